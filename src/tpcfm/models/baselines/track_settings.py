"""Networks of the baselines of track finding (arXiv 2508.14087, Sec. 5 and App. C)."""

from typing import Annotated

from pydantic import Field, model_validator

from tpcfm.config.base import Block, Count, Positive, Share

NotNegative = Annotated[float, Field(ge=0)]


class EggNetConfig(Block):
    """Graph network on neighbour graphs that follow its own embedding; tracks are DBSCAN clusters of the embedding."""

    width: int = Field(
        64,
        gt=0,
        description="channels of all perceptrons, which have two linear layers (these make the published 0.16M)",
    )
    iterations: int = Field(4, gt=0, description="graphs built one after another")
    passings: int = Field(4, gt=0, description="message passings on each graph, with shared weights")
    neighbours: int = Field(10, gt=0)
    embedding: int = Field(24, gt=0)
    margin: float = Field(1.0, gt=0, description="of the hinge loss")
    hard_negatives: int = Field(10, gt=0, description="nearest points of other tracks that count extra in the loss")
    eps: list[Positive] = Field(
        default=[1.0, 0.1, 0.15, 0.25, 0.5, 0.75],
        min_length=1,
        description="radius of DBSCAN; the first is the published one",
    )
    min_samples: int = Field(2, gt=0, description="of DBSCAN, the point itself counted")


class ExaTrkxConfig(Block):
    """Metric learning, edge filter, interaction network; tracks are connected components of the edges kept."""

    embedding_width: int = Field(1024, gt=0)
    embedding_layers: int = Field(4, gt=0, description="hidden layers")
    embedding: int = Field(12, gt=0)
    margin: float = Field(2.0, gt=0, description="of the hinge loss")
    hard_negatives: int = Field(10, gt=0)
    radius: float = Field(2.0, gt=0, description="pairs nearer than this in the embedding become edges")
    neighbours: int = Field(100, gt=0, description="edges per point at most")
    filter_width: int = Field(512, gt=0)
    filter_layers: int = Field(3, gt=0, description="hidden layers")
    filter_edges: int = Field(
        0, ge=0, description="edges per point in a training step of the filter, others in later epochs; 0 takes all"
    )
    filter_threshold: float = Field(0.675, gt=0, lt=1, description="score above which an edge passes the filter")
    width: int = Field(128, gt=0, description="channels of the interaction network")
    passings: int = Field(8, gt=0, description="message passings, with shared weights")
    stage_steps: tuple[Share, Share, Share] = Field(
        (0.4, 0.2, 0.4), description="shares of `train.steps` for embedding, filter and interaction network"
    )
    thresholds: list[Share] = Field(
        default=[0.9, 0.8, 0.95, 0.7, 0.5, 0.3], min_length=1, description="edge scores; the first two are published"
    )

    @model_validator(mode="after")
    def _shares(self) -> "ExaTrkxConfig":
        if abs(sum(self.stage_steps) - 1) > 1e-6:
            raise ValueError(f"stage_steps ({self.stage_steps}) must add up to 1")
        return self


class HeptConfig(Block):
    """Transformer with attention inside blocks of hashed points; tracks are HDBSCAN clusters of the embedding."""

    width: int = Field(24, gt=0, description="channels, and size of each head")
    heads: int = Field(8, gt=0)
    layers: int = Field(4, gt=0)
    block: int = Field(100, gt=1, description="points that attend to each other")
    hashes: int = Field(3, gt=0)
    regions: int = Field(150, gt=0, description="regions in eta and phi that keep far points out of a block")
    output_width: int = Field(256, gt=0, description="hidden channels of the last perceptron")
    output_layers: int = Field(4, gt=0, description="its hidden layers")
    negatives: int = Field(64, gt=0, description="nearest points of other tracks in the contrastive loss")
    temperature: float = Field(0.05, gt=0)
    sigma: float = Field(0.75, gt=0, description="width of the similarity exp(-d^2 / 2 sigma^2)")
    min_cluster: list[Annotated[int, Field(ge=2)]] = Field(
        default=[12, 8, 5], min_length=1, description="HDBSCAN; the first is the published"
    )
    min_samples: list[Count] = Field(
        default=[15, 8, 3], min_length=1, description="HDBSCAN; the first is the published"
    )


class KalmanConfig(Block):
    """Cellular-automaton seeds and Kalman filter: cuts tried on validation events; the first of each is the default."""

    gate: list[Positive] = Field(default=[40.0, 20.0], min_length=1, description="chi-square of a point")
    min_points: list[Count] = Field(default=[4, 8], min_length=1, description="points of a track")
    pick_up: list[NotNegative] = Field(default=[1.5, 2.5], min_length=1, description="cm")
    merge: list[NotNegative] = Field(default=[3.0, 2.0, 5.0], min_length=1, description="tolerance of joining turns")
