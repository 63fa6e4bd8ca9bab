"""The floor: what an afternoon without a network brings on labelled events, on any detector."""

from typing import Annotated, Literal

from pydantic import Field

from tpcfm.config.base import Block, Count, NullTakesOut, Positive, Seed, Share
from tpcfm.config.training import TrainConfig, Training
from tpcfm.models.heads.settings import Join


class TreeSettings(Block):
    """Gradient-boosted trees on the local geometry of points."""

    leaves: int = Field(31, gt=1, description="leaves of a tree at most")
    min_leaf: int = Field(20, gt=0, description="points of a leaf at least")
    l2: float = Field(1.0, ge=0, description="regularisation of the leaves")
    weight_powers: list[Annotated[float, Field(ge=0, le=2)]] = Field(
        default=[0.0, 0.5, 1.0],
        min_length=1,
        description="points weigh (points / points of the class) to these powers; the best is chosen on validation events",
    )
    points: int = Field(
        400_000, gt=0, description="points to learn from at most, evenly taken from the labelled events"
    )
    train: Training = Field(
        Training(steps=200, batch_size=1, learning_rate=0.1, evaluate_every=20),
        description="steps: boosting rounds, of which as many are kept as validation events say; learning_rate: shrinkage",
    )


class EdgeSettings(Block):
    """A perceptron on pairs of near points, joined into objects."""

    neighbours: int = Field(12, gt=0, le=32, description="neighbours of each point whose pairs are looked at")
    hidden: list[Count] = Field(default=[64, 64], min_length=1)
    joining: Literal["components", "partition"] = Field(
        "components",
        description="how pairs become objects: all pairs above the threshold, or greedy contraction of votes",
    )
    thresholds: list[Share] = Field(default=[0.5, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95], min_length=1)
    join: Join | None = Field(None, description="second stage; takes the place of `thresholds`")
    train: Training = Training(
        steps=400, batch_size=4, learning_rate=3e-3, warmup_steps=20, weight_decay=1e-4, clip=1.0, evaluate_every=100
    )


class DbscanSettings(Block):
    """DBSCAN (Ester et al. 1996) on positions."""

    eps: list[Positive] = Field(default=[2.0, 1.0, 1.5, 3.0, 4.0], min_length=1, description="in pitches")
    min_samples: list[Count] = Field(default=[1, 2, 4], min_length=1)


class TreesConfig(TreeSettings):
    """One run of classes."""

    label: str = Field(description="label column with classes")
    classes: int = Field(gt=1, description="of the label")
    n_labels: int = Field(gt=0, description="labelled training events")
    validation_events: int = Field(256, gt=0, description="events of the fixed validation set")
    train: TrainConfig
    seed: Seed = 0


class FinderConfig(Block):
    """One run of instances."""

    label: str = Field(description="label column with instances")
    n_labels: int = Field(ge=0, description="labelled training events; 0 for DBSCAN, which learns nothing")
    edges: EdgeSettings | None = None
    dbscan: DbscanSettings | None = Field(None, description="in place of `edges`")
    validation_events: int = Field(256, gt=0, description="events of the fixed validation set")
    tuning_events: int = Field(100, gt=0, description="validation events on which the clustering is chosen, by ARI")
    train: TrainConfig
    seed: Seed = 0


class Subsets(Block):
    """Labelled events of a task."""

    labels: list[Count] = Field(min_length=1, description="labelled events, each subset inside the next")
    seeds: list[Seed] = Field(default=[0], min_length=1)


class ClassicalStudy(Block):
    """Which label columns get a floor, at which label counts; events and subsets are those of the heads."""

    tasks: Annotated[dict[str, Subsets], NullTakesOut] = Field(
        min_length=1, description="label columns of the detector"
    )
    finders: list[Literal["edges", "dbscan"]] = Field(default=["edges", "dbscan"], min_length=1)
    trees: TreeSettings = TreeSettings()
    edges: EdgeSettings = EdgeSettings()
    dbscan: DbscanSettings = DbscanSettings()
    validation_events: int = Field(256, gt=0, description="events of the fixed validation set")
    tuning_events: int = Field(100, gt=0, description="validation events on which clusterings are chosen")
