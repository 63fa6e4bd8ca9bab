"""The whole configuration: ``config.yaml`` with a scale laid over it."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from tpcfm.config.base import Block
from tpcfm.config.data import ColliderSource, LArTPCSource
from tpcfm.config.training import LabelledTraining, TrainConfig
from tpcfm.models.fm4npp.settings import WIDTHS, Fm4nppModel, Mixer, Size
from tpcfm.models.polar_mae.settings import PolarMaeModel
from tpcfm.prepare.groups.settings import TokenizerConfig
from tpcfm.prepare.sequences.settings import SerializationConfig, TargetConfig
from tpcfm.systems.baselines.settings import BaselinesStudy
from tpcfm.systems.fm4npp.study_settings import DepthStudy, JointStudy, MupStudy
from tpcfm.systems.polar_mae.settings import ProbeConfig

ImportedName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
"""Name of a model directory in the folder of the runs."""


class SegmentationStudy(LabelledTraining):
    """Few-label segmentation: every start and mode named here, at every label count and seed."""

    modes: list[Literal["peft", "full"]] = Field(default=["peft", "full"], min_length=1)
    starts: list[Literal["polar_mae", "point_mae", "random"]] = Field(
        default=["polar_mae", "random"],
        description="pretrained model to start from; `random` is frozen random (peft) or from scratch (full)",
    )
    class_weights: Literal["published", "subset", "none"] = "subset"


class GroupingStudy(Block):
    """Pretraining and probe for each way of making tokens (arXiv 2502.02558, Table 4)."""

    methods: list[Literal["cnms", "fps_cnms", "fps_ball", "fps_knn"]] = Field(
        default=["cnms", "fps_cnms", "fps_ball", "fps_knn"], description="grouping strategies"
    )
    overlaps: list[float] = Field(default=[1.0], description="further factors f of the system's own method (extremes)")
    steps: int | None = Field(None, gt=0, description="pretraining steps of every entry; default: those of the system")


class PretrainingVariants(Block):
    """Pretrainings that change one thing, each with a probe, beside an unchanged one."""

    variants: list[Literal["autoencode", "group_energy", "diffusion", "block_masking", "random_masking"]] = Field(
        min_length=1, description="the first three: negative results of arXiv 2502.02558, App. F"
    )
    autoencode_weight: float = Field(1.0, gt=0, description="weight of the chamfer loss on visible groups")
    steps: int | None = Field(None, gt=0, description="pretraining steps of every entry; default: those of the system")


class PolarMaeSystem(Block):
    """Everything about PoLAr-MAE and its comparison systems."""

    tokenizer: TokenizerConfig = TokenizerConfig()
    model: PolarMaeModel = PolarMaeModel()
    pretrain: TrainConfig
    mask_ratio: float = Field(0.6, gt=0, lt=1)
    masking: Literal["random", "block"] = Field("random", description="tokens masked anywhere, or around one of them")
    autoencode_weight: float = Field(
        0.0, ge=0, description="weight of a chamfer loss on visible groups (App. F; 0 = off)"
    )
    probe_events: int = Field(
        16, ge=0, description="events of the small probe at each validation of a pretraining; 0 = none"
    )
    objectives: list[Literal["polar_mae", "point_mae"]] = Field(default=["polar_mae", "point_mae"], min_length=1)
    mask_ratios: list[float] = Field(default_factory=list, description="ablation: further mask ratios (PoLAr-MAE)")
    grouping_study: GroupingStudy | None = None
    variants: PretrainingVariants | None = None
    imported: list[ImportedName] = Field(
        default_factory=list,
        description="model directories <results>/runs/<name> made by `tpcfm import-polar-mae`: probed, and starts of segmentation",
    )
    seeds: list[int] = Field(default=[0], min_length=1)
    probe: ProbeConfig = ProbeConfig()
    segmentation: SegmentationStudy
    sparse_unet: LabelledTraining | None = None
    sparse_unet_filters: int = Field(32, gt=0)
    sparse_unet_depth: int = Field(5, gt=1)

    @model_validator(mode="after")
    def _imported_names_are_free(self) -> "PolarMaeSystem":
        taken = [name for name in self.imported if name in ("polar_mae", "point_mae", "random")]
        if taken:
            raise ValueError(f"imported: {taken[0]!r} is the name of a start that is trained here; give another")
        return self


class ScalingStudy(Block):
    """What is scaled; the full-data, full-compute run of every size is always there."""

    data_size: Size = "m1"
    data_fractions: list[float] = Field(default_factory=list, description="further shares of the training events")
    compute_sizes: list[Size] = Field(default_factory=list)
    compute_fractions: list[float] = Field(
        default_factory=list, description="further shares of the steps, each with a full schedule"
    )

    @model_validator(mode="after")
    def _fractions(self) -> "ScalingStudy":
        for name in ("data_fractions", "compute_fractions"):
            wrong = [f for f in getattr(self, name) if not 0 < f < 1]
            if wrong:
                raise ValueError(f"{name}: {wrong} outside (0, 1); the full run is always there")
        return self


class AblationStudy(Block):
    """One thing changed of a base run; adapters are trained on each."""

    size: Size = "m1"
    k: list[int] = Field(default_factory=list, description="further neighbour counts")
    next_token: bool = False
    orders: list[Literal["hilbert", "morton", "radial"]] = Field(default_factory=list)
    mixers: list[Mixer] = Field(default_factory=list, description="further sequence mixers, at equal parameters")
    rescale: list[Literal["difficulty", "inverse_difficulty"]] = Field(
        default_factory=list, description="further weightings of the training loss by the difficulty of an event"
    )
    n_labels: int | None = Field(None, description="label count of the adapters; null trains none")
    tasks: list[Literal["tracks", "pid", "noise"]] = Field(default=["tracks", "pid", "noise"])


class AdapterStudy(Block):
    """Downstream tasks on frozen backbones and the adapter-only control."""

    sizes: list[Size] = Field(default=["m1"], min_length=1)
    starts: list[Literal["pretrained", "random", "none"]] = Field(default=["pretrained", "none"], min_length=1)
    width: int = Field(256, gt=0, description="adapter width (paper: 256)")
    queries: int = Field(150, gt=0, description="track queries (paper: 150)")
    mix_embedding: bool = Field(
        False,
        exclude_if=lambda on: not on,  # so that a plan without it keeps its hash
        description="adapters on a backbone mix its point embedding with its layers (paper: the layers)",
    )
    tracks: LabelledTraining | None = None
    pid: LabelledTraining | None = None
    noise: LabelledTraining | None = None
    depth: DepthStudy | None = None
    joint: JointStudy | None = None

    @model_validator(mode="after")
    def _studies_have_a_budget(self) -> "AdapterStudy":
        if (self.depth or self.joint) and self.pid is None:
            raise ValueError("depth and joint take the training settings of `pid`, which is null")
        return self


class Fm4nppSystem(Block):
    """Everything about FM4NPP."""

    serialization: SerializationConfig = SerializationConfig()
    targets: TargetConfig = TargetConfig()
    model: Fm4nppModel = Field(default_factory=Fm4nppModel, description="width is set by the size")
    sizes: list[Size] = Field(default=["m1", "m2", "m3"], min_length=1)
    imported: list[ImportedName] = Field(
        default_factory=list,
        exclude_if=lambda names: not names,  # so that a plan without it keeps its hash
        description="model directories <results>/runs/<name> made by `tpcfm import-fm4npp`: frozen backbones of the adapters",
    )
    pretrain: TrainConfig
    steps_by_size: dict[Size, int] = Field(default_factory=dict)
    max_points_by_size: dict[Size, Annotated[int, Field(gt=0)]] = Field(
        default_factory=dict, description="points per micro-batch of a size, as `tpcfm ladder plan` finds room for"
    )
    validation_events: int = Field(1000, gt=0, description="events of every fixed validation set")
    seeds: list[int] = Field(default=[0], min_length=1)
    scaling: ScalingStudy = ScalingStudy()
    mup_study: MupStudy | None = None
    ablations: AblationStudy = AblationStudy()
    adapters: AdapterStudy
    baselines: BaselinesStudy | None = None

    @model_validator(mode="after")
    def _imported_names_are_free(self) -> "Fm4nppSystem":
        taken = [name for name in self.imported if name in (*WIDTHS, "random", "none")]
        if taken:
            raise ValueError(f"imported: {taken[0]!r} is the name of a size or start; give another")
        return self

    @model_validator(mode="after")
    def _sizes_are_trained(self) -> "Fm4nppSystem":
        named = {"adapters.sizes": self.adapters.sizes, "scaling.compute_sizes": self.scaling.compute_sizes}
        named |= {"ablations.size": [self.ablations.size], "scaling.data_size": [self.scaling.data_size]}
        for key, study in (("adapters.depth", self.adapters.depth), ("adapters.joint", self.adapters.joint)):
            named |= {f"{key}.size": [study.size]} if study else {}
        for key, sizes in named.items():
            missing = [s for s in sizes if s not in self.sizes]
            if missing:
                raise ValueError(f"{key}: {missing} not in sizes {self.sizes}; add them there or take them out here")
        too_large = [k for k in self.ablations.k if k > self.targets.k]
        if too_large:
            raise ValueError(f"ablations.k: {too_large} above targets.k ({self.targets.k})")
        return self

    def width(self, size: str) -> int:
        """Backbone width of a named size."""
        return WIDTHS[size]


class DataSources(Block):
    """Where events come from."""

    lartpc: LArTPCSource | None = None
    collider: ColliderSource | None = None
    collider_pretrain: ColliderSource | None = Field(
        None, description="unlabelled events for pretraining; default: collider"
    )


class TokenizerStudy(Block):
    """Grid of the tokenizer study."""

    events: int = Field(50, gt=0)
    radii: list[float] = Field(default=[2.5, 5.0], min_length=1)
    overlaps: list[float] = Field(default=[0.6, 0.73, 0.9], min_length=1)


class PicturesConfig(Block):
    """What the pictures of the report are computed on."""

    events: int = Field(6, gt=0, description="held-out events behind the numbers of the feature pictures")
    points: int = Field(600, ge=20, description="points of each projection; t-SNE costs most")
    tsne_dims: list[int] = Field(default=[2, 3, 4, 5], min_length=1, description="dimensions of t-SNE, 2 to 5")
    serialization_events: int = Field(300, gt=0, description="events of the comparison of serializations")

    @field_validator("tsne_dims")
    @classmethod
    def _dims(cls, value: list[int]) -> list[int]:
        if not all(2 <= dims <= 5 for dims in value):
            raise ValueError(f"tsne_dims ({value}) must lie from 2 to 5")
        return sorted(set(value))


class MlflowConfig(Block):
    """Tracking. Files in the run folders are the record; this only mirrors them."""

    tracking_uri: str | None = Field(None, pattern=r"^https?://", description="live mirror; null writes none")
    max_artifact_mib: int = Field(50, ge=0, description="larger weights are not copied into the store")


class WorkflowConfig(Block):
    """``config.yaml``: every scientific choice."""

    scale: Literal["tiny", "demo", "study", "h200", "paper"] = "demo"
    results: str = Field("results", description="folder everything is written to")
    container: str = Field(
        "containers/tpcfm-cpu-0.1.0.sif", description="image of every rule (path, docker:// or oras://)"
    )
    systems: list[Literal["polar_mae", "fm4npp"]] = Field(default=["polar_mae", "fm4npp"], min_length=1)
    data: DataSources
    polar_mae: PolarMaeSystem | None = None
    fm4npp: Fm4nppSystem | None = None
    tokenizer_study: TokenizerStudy | None = None
    pictures: PicturesConfig | None = Field(PicturesConfig(), description="null leaves the model pictures out")
    mlflow: MlflowConfig = MlflowConfig()

    @model_validator(mode="after")
    def _systems_have_what_they_need(self) -> "WorkflowConfig":
        needs = {"polar_mae": ("lartpc", self.data.lartpc), "fm4npp": ("collider", self.data.collider)}
        for system in self.systems:
            if getattr(self, system) is None:
                raise ValueError(f"systems names {system}, but there is no block `{system}`")
            key, source = needs[system]
            if source is None:
                raise ValueError(f"systems names {system}, which needs data.{key}; it is missing")
        return self
