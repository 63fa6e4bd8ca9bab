"""PoLAr-MAE: tokenizer, network, pretraining, probe, segmentation (arXiv 2502.02558)."""

from typing import Literal

from pydantic import Field

from tpcfm.config.base import Block, LabelCount, Seed
from tpcfm.config.training import TrainConfig
from tpcfm.models.heads.settings import EdgeHead
from tpcfm.models.polar_mae.settings import PolarMaeModel
from tpcfm.models.tuning.settings import Tuning

Chamfer = Literal["full", "position"]


class MaskedPretraining(Block):
    """One masked pretraining run."""

    objective: Literal["polar_mae", "point_mae"] = Field("polar_mae", description="with or without the energy task")
    mask_ratio: float = Field(0.6, gt=0, lt=1)
    masking: Literal["random", "block"] = "random"
    autoencode_weight: float = Field(
        0.0, ge=0, description="weight of a chamfer loss on visible groups (App. F; 0 = off)"
    )
    chamfer: Chamfer = Field("full", description="full: distances in position and energy; position: in position alone")
    probe_events: int = Field(
        16, ge=0, description="events on either side of a small token probe at each validation; 0 = none"
    )
    model: PolarMaeModel = PolarMaeModel()
    train: TrainConfig
    seed: Seed = 0


class ProbeConfig(Block):
    """Linear SVM on frozen tokens."""

    label: str | None = Field(None, description="label column with classes; null takes the detector's first")
    train_events: int = Field(60, gt=0)
    test_events: int = Field(30, gt=0)
    max_tokens: int = Field(15_000, gt=0)
    components: int = Field(128, ge=0, description="principal components kept; 0 skips the PCA")
    c: float = Field(0.005, gt=0, description="SVM regularisation C")
    seeds: list[Seed] = Field(default=[0, 1, 2])
    model: PolarMaeModel = Field(PolarMaeModel(), description="network of the random-weights floor (no pretrained run)")


class SegmentationConfig(Block):
    """One fine-tuning run on a label column."""

    label: str = "semantic"
    classes: int = Field(4, ge=0, description="of the label; 0: instances")
    queries: int = Field(60, gt=0, description="objects that an instance head can find in an event")
    mode: Literal["peft", "last", "lora", "full"] = Field(
        "peft",
        description="encoder frozen in evaluation mode; its last blocks, or low-rank changes of its attention (arXiv 2106.09685), trained with "
        "the head; or everything trained",
    )
    tuning: Tuning = Tuning()
    start: Literal["pretrained", "random", "none"] = Field(
        "pretrained", description="none: an edge head on local geometry alone"
    )
    edge_head: EdgeHead | None = Field(
        None, description="edge convolutions over frozen features and local geometry, in place of the published head"
    )
    n_labels: LabelCount = Field(description="labelled training events")
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
    seed: Seed = 0


class SparseUNetConfig(Block):
    """The supervised sparse residual U-Net baseline."""

    label: str = "semantic"
    classes: int = Field(4, gt=1, description="of the label")
    n_labels: LabelCount
    filters: int = Field(32, gt=0)
    depth: int = Field(5, gt=1)
    repetitions: int = Field(2, gt=0)
    augment: bool = Field(True, description="random symmetries of the lattice (flips, exchange of axes) in training")
    calibrate: bool = Field(
        True, description="tune per-class decision weights on validation events, as rows of their own"
    )
    train: TrainConfig
    seed: Seed = 0
