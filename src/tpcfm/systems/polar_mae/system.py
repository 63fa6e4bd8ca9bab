"""PoLAr-MAE as a system of the configuration: pretraining, its studies, probes, heads on labels, baselines (arXiv 2502.02558)."""

from typing import Literal

from pydantic import Field, model_validator

from tpcfm.config.base import Block, Seed, Share
from tpcfm.config.system import SystemBlock
from tpcfm.config.training import Tasks, Training
from tpcfm.models.heads.settings import EdgeHead
from tpcfm.models.polar_mae.settings import PolarMaeModel
from tpcfm.models.tuning.settings import Tuning
from tpcfm.prepare.groups.settings import Method, Overlap, TokenizerConfig, TokenizerStudy
from tpcfm.systems.classical.settings import ClassicalStudy
from tpcfm.systems.polar_mae.settings import Chamfer, ProbeConfig

Objective = Literal["polar_mae", "point_mae"]
TRAINED = ("polar_mae", "point_mae", "random")


class HeadStudy(Block):
    """Which starts and modes are trained for every task, label count and seed."""

    modes: list[Literal["peft", "last", "lora", "full", "edges"]] = Field(
        default=["peft", "full"],
        min_length=1,
        description="what is trained beside the head: peft: nothing; last: the last blocks; lora: low-rank changes; full: all. edges: edge "
        "convolutions over features of the frozen encoder and local geometry",
    )
    starts: list[Literal["polar_mae", "point_mae", "random", "none"]] = Field(
        default=["polar_mae", "random"],
        description="pretrained model to start from; `random` is frozen random (peft, edges) or from scratch (full); `none` (edges): local "
        "geometry alone",
    )
    tuning: Tuning = Tuning()
    edge_head: EdgeHead = EdgeHead()
    class_weights: Literal["published", "subset", "none"] = "subset"
    queries: int = Field(60, gt=0, description="objects that an instance head can find in an event")


class UNetStudy(Block):
    """The sparse residual U-Net on the same labelled events."""

    filters: int = Field(32, gt=0)
    depth: int = Field(5, gt=1)
    tasks: Tasks = Field(min_length=1, description="label columns with classes")


class Baselines(Block):
    """Baselines."""

    sparse_unet: UNetStudy | None = None
    classical: ClassicalStudy | None = None


class OwnSettings(Block):
    """What one method of the grouping study has otherwise than the system's tokenizer: its own Pareto point."""

    radius: float | None = Field(None, gt=0, description="in units of the detector's pitch")
    overlap: float | None = Field(None, gt=0, le=2, description="factor f of C-NMS")
    centres_per_point: float | None = Field(None, gt=0, le=1, description="of fps_ball and fps_knn")
    max_points: int | None = Field(None, gt=0, description="points per group; neighbours of fps_knn")
    seeds: int | None = Field(None, gt=0, description="of fps_cnms")


class GroupingStudy(Block):
    """Pretraining and probe for each way of making tokens (arXiv 2502.02558, Table 4)."""

    methods: list[Method] = Field(
        default=["cnms", "fps_cnms", "fps_ball", "fps_knn"], description="grouping strategies"
    )
    settings: dict[Method, OwnSettings] = Field(
        default_factory=dict, description="what a method has otherwise than the tokenizer of the system"
    )
    overlaps: list[Overlap] = Field(default=[1.0], description="further factors f (extremes) of C-NMS")
    overlap_methods: list[Literal["cnms", "fps_cnms"]] = Field(
        default_factory=list, description="methods that these are run for; none: the system's own"
    )
    steps: int | None = Field(None, gt=0, description="pretraining steps of every entry; default: those of the system")


class PretrainingVariants(Block):
    """Pretrainings that change one thing, each with a probe, beside an unchanged one."""

    variants: list[Literal["autoencode", "group_energy", "diffusion", "block_masking", "random_masking"]] = Field(
        min_length=1, description="the first three: negative results of arXiv 2502.02558, App. F"
    )
    autoencode_weight: float = Field(1.0, gt=0, description="weight of the chamfer loss on visible groups")
    steps: int | None = Field(None, gt=0, description="pretraining steps of every entry; default: those of the system")


class PolarMaeSystem(SystemBlock):
    """Everything about PoLAr-MAE on one dataset."""

    family: Literal["polar_mae"]
    tokenizer: TokenizerConfig = TokenizerConfig()
    model: PolarMaeModel = PolarMaeModel()
    pretrain: Training
    mask_ratio: float = Field(0.6, gt=0, lt=1)
    masking: Literal["random", "block"] = Field("random", description="tokens masked anywhere, or around one of them")
    autoencode_weight: float = Field(
        0.0, ge=0, description="weight of a chamfer loss on visible groups (App. F; 0 = off)"
    )
    chamfer: Chamfer = Field(
        "full", description="distances of the chamfer loss: in position and energy (as released), or position alone"
    )
    probe_events: int = Field(
        16, ge=0, description="events of the small probe at each validation of a pretraining; 0 = none"
    )
    objectives: list[Objective] = Field(default=["polar_mae", "point_mae"], min_length=1)
    short_steps: int | None = Field(
        None, gt=0, description="a further pretraining of every objective in so many steps, with a schedule of its own"
    )
    mask_ratios: list[Share] = Field(default_factory=list, description="ablation: further mask ratios (PoLAr-MAE)")
    grouping_study: GroupingStudy | None = None
    variants: PretrainingVariants | None = None
    tokenizer_study: TokenizerStudy | None = None
    seeds: list[Seed] = Field(default=[0], min_length=1)
    probe: ProbeConfig | None = ProbeConfig()
    heads: HeadStudy = HeadStudy()
    tasks: Tasks = Field(default_factory=dict, description="label columns of the detector")
    baselines: Baselines = Baselines()

    @model_validator(mode="after")
    def _imported_names_are_free(self) -> "PolarMaeSystem":
        taken = [name for name in self.imported if name in TRAINED]
        if taken:
            raise ValueError(f"imported: {taken[0]!r} is the name of a start that is trained here; give another")
        return self
