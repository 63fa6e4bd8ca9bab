"""PoLAr-MAE: tokenizer, network, pretraining, probe, segmentation (arXiv 2502.02558)."""

from typing import Literal

from pydantic import Field, model_validator

from tpcfm.config.base import Block
from tpcfm.config.training import TrainConfig


class TokenizerConfig(Block):
    """Volumetric tokens of one event."""

    method: Literal["cnms", "fps_cnms", "fps_ball", "fps_knn"] = Field(
        "cnms", description="how centres and members are chosen"
    )
    radius: float = Field(5.0, gt=0, description="group radius r, voxels")
    overlap: float = Field(0.73, gt=0, le=2, description="factor f: centres closer than 2 f r are suppressed")
    max_points: int = Field(32, gt=0, description="points kept per group K (by farthest point sampling)")
    seeds: int = Field(2048, gt=0, description="farthest-point seeds (fps_cnms)")
    centres_per_point: float = Field(1 / 16, gt=0, le=1, description="centres / points (fps_ball, fps_knn)")
    max_tokens: int = Field(0, ge=0, description="tokens kept per event, by centrality; 0 keeps all")
    reduction: Literal["fps", "energy"] = Field(
        "fps", description="which members a group keeps: spread out, or those of largest energy"
    )
    neighbour_cap: int = Field(0, ge=0, description="neighbours that C-NMS counts and removes; 0 all (released: 256)")
    ball_cap: int = Field(0, ge=0, description="members before the reduction; 0 all (released: 256)")
    energy_threshold: float = Field(0.13, ge=0, description="MeV; points at or below are dropped")
    min_points: int = Field(1, ge=1, description="events with fewer points after the cuts are rejected (paper: 1024)")


class PolarMaeModel(Block):
    """Width and depth of encoder and decoder."""

    width: int = Field(384, gt=0)
    depth: int = Field(12, gt=0)
    heads: int = Field(6, gt=0)
    decoder_depth: int = Field(4, gt=0)
    mlp_ratio: int = Field(4, gt=0)
    embed_hidden: int = Field(
        0, ge=0, description="first hidden width h of the mini-PointNet (then 2h, 4h); 0 = width / 3, the paper's 128"
    )
    drop_path: float = Field(0.25, ge=0, lt=1)
    attention_dropout: float = Field(0.05, ge=0, lt=1)
    preset: Literal["paper", "released"] = Field("paper", description="`released` loads the published weights")
    group_energy: bool = Field(
        False, description="energies relative to the mean of their group, which is embedded like its centre (App. F)"
    )
    decoder: Literal["plain", "diffusion"] = Field(
        "plain", description="`diffusion`: masked groups enter the decoder as noised copies of themselves (App. F)"
    )

    @property
    def pointnet_hidden(self) -> int:
        """First hidden width of the mini-PointNet."""
        return self.embed_hidden or max(1, self.width // 3)

    @model_validator(mode="after")
    def _heads_divide(self) -> "PolarMaeModel":
        if self.width % self.heads:
            raise ValueError(f"width ({self.width}) must be a multiple of heads ({self.heads})")
        return self


class MaskedPretraining(Block):
    """One masked pretraining run."""

    objective: Literal["polar_mae", "point_mae"] = Field("polar_mae", description="with or without the energy task")
    mask_ratio: float = Field(0.6, gt=0, lt=1)
    masking: Literal["random", "block"] = "random"
    autoencode_weight: float = Field(
        0.0, ge=0, description="weight of a chamfer loss on visible groups (App. F; 0 = off)"
    )
    probe_events: int = Field(
        16, ge=0, description="events on either side of a small token probe at each validation; 0 = none"
    )
    model: PolarMaeModel = PolarMaeModel()
    train: TrainConfig
    seed: int = 0


class ProbeConfig(Block):
    """Linear SVM on frozen tokens."""

    train_events: int = Field(60, gt=0)
    test_events: int = Field(30, gt=0)
    max_tokens: int = Field(15_000, gt=0)
    components: int = Field(128, ge=0, description="principal components kept; 0 skips the PCA")
    c: float = Field(0.005, gt=0, description="SVM regularisation C")
    seeds: list[int] = Field(default=[0, 1, 2])
    model: PolarMaeModel = Field(PolarMaeModel(), description="network of the random-weights floor (no pretrained run)")


class SegmentationConfig(Block):
    """One segmentation fine-tuning run."""

    mode: Literal["peft", "full"] = Field(
        "peft", description="encoder frozen in evaluation mode, or everything trained"
    )
    start: Literal["pretrained", "random"] = "pretrained"
    n_labels: int = Field(gt=0, description="labelled training events")
    class_weights: Literal["published", "subset", "none"] = "subset"
    gamma: float = Field(2.0, ge=0, description="focal exponent")
    head_dropout: float = Field(0.5, ge=0, lt=1)
    head_hidden: int = Field(
        0, ge=0, description="first hidden width of the per-point head (then half); 0 = 4/3 width, the paper's 512"
    )
    calibrate: bool = Field(
        True, description="tune per-class decision weights on validation events, as rows of their own"
    )
    model: PolarMaeModel = PolarMaeModel()
    train: TrainConfig
    seed: int = 0


class SparseUNetConfig(Block):
    """The supervised sparse residual U-Net baseline."""

    n_labels: int = Field(gt=0)
    filters: int = Field(32, gt=0)
    depth: int = Field(5, gt=1)
    repetitions: int = Field(2, gt=0)
    augment: bool = Field(True, description="random symmetries of the lattice (flips, exchange of axes) in training")
    calibrate: bool = Field(
        True, description="tune per-class decision weights on validation events, as rows of their own"
    )
    train: TrainConfig
    seed: int = 0
