"""FM4NPP as a system of the configuration: pretraining, scaling, ablations, adapters on labels, baselines (arXiv 2508.14087)."""

from typing import Any, Literal

from pydantic import Field, model_validator

from tpcfm.config.base import Block, Count, LabelCount, Seed, Share
from tpcfm.config.system import SystemBlock
from tpcfm.config.text import merge
from tpcfm.config.training import Tasks, Training
from tpcfm.models.fm4npp.settings import READS, WIDTHS, Fm4nppModel, Mixer, Reads, Size
from tpcfm.models.heads.settings import EdgeHead
from tpcfm.models.tuning.settings import WAYS, Tuning, Way
from tpcfm.prepare.sequences.settings import Rescaling, SerializationConfig, TargetConfig
from tpcfm.systems.baselines.settings import BaselinesStudy
from tpcfm.systems.fm4npp.study_settings import DepthStudy, JointStudy, MupStudy


class ScalingStudy(Block):
    """What is scaled; the full-data, full-compute run of every size is always there."""

    data_size: Size = "m1"
    data_fractions: list[Share] = Field(default_factory=list, description="further shares of the training events")
    compute_sizes: list[Size] = Field(default_factory=list)
    compute_fractions: list[Share] = Field(
        default_factory=list, description="further shares of the steps, each with a full schedule"
    )


class AblationStudy(Block):
    """One thing changed of a base run; adapters are trained on each."""

    size: Size = "m1"
    k: list[Count] = Field(default_factory=list, description="further neighbour counts")
    next_token: bool = False
    orders: list[Literal["hilbert", "morton", "radial"]] = Field(default_factory=list)
    mixers: list[Mixer] = Field(default_factory=list, description="further sequence mixers, at equal parameters")
    rescale: list[Rescaling] = Field(
        default_factory=list, description="further weightings of the training loss by the difficulty of an event"
    )
    n_labels: LabelCount | None = Field(None, description="label count of the adapters; null trains none")
    tasks: list[str] | None = Field(None, description="tasks of the adapters; null takes all of the system")


class AdapterStudy(Block):
    """Adapters of every task on frozen backbones, and the adapter-only control."""

    sizes: list[Size] = Field(default=["m1"], min_length=1)
    starts: list[Literal["pretrained", "random", "none"]] = Field(default=["pretrained", "none"], min_length=1)
    width: int = Field(256, gt=0, description="adapter width (paper: 256)")
    queries: int = Field(150, gt=0, description="objects that an adapter can find in an event (paper: 150)")
    reads: Reads = Field("layers", description=READS)
    mix_embedding: bool = Field(
        False, description="adapters on a backbone mix its point embedding with its layers (paper: the layers)"
    )
    modes: list[Way] = Field(default=["frozen"], min_length=1, description=WAYS)
    tuning: Tuning = Tuning()
    heads: list[Literal["published", "edges"]] = Field(
        default=["published"],
        min_length=1,
        description="edges: edge convolutions over features and local geometry (start `none`: geometry alone)",
    )
    edge_head: EdgeHead = EdgeHead()
    depth: DepthStudy | None = None
    joint: JointStudy | None = None


class Fm4nppSystem(SystemBlock):
    """Everything about FM4NPP on one dataset."""

    family: Literal["fm4npp"]
    serialization: SerializationConfig = SerializationConfig()
    targets: TargetConfig = TargetConfig()
    model: Fm4nppModel = Field(default_factory=Fm4nppModel, description="width is set by the size")
    sizes: list[Size] = Field(default=["m1", "m2", "m3"], min_length=1)
    pretrain: Training
    steps_by_size: dict[Size, Count] = Field(default_factory=dict)
    validation_events: int = Field(1000, gt=0, description="events of every fixed validation set")
    seeds: list[Seed] = Field(default=[0], min_length=1)
    scaling: ScalingStudy | None = Field(ScalingStudy(), description="null: no studies of data and compute")
    mup_study: MupStudy | None = None
    ablations: AblationStudy = AblationStudy()
    adapters: AdapterStudy = AdapterStudy()
    tasks: Tasks = Field(default_factory=dict, description="label columns of the detector")
    baselines: BaselinesStudy = BaselinesStudy()

    @model_validator(mode="before")
    @classmethod
    def _studies_take_a_size_that_is_trained(cls, values: Any) -> Any:
        """Where m1, the size of studies that name none, is not among the sizes, the first of these takes its place."""
        sizes = values.get("sizes") if isinstance(values, dict) else None
        if not isinstance(sizes, list) or "m1" in sizes or not sizes or sizes[0] not in [*WIDTHS]:
            return values
        first = sizes[0]
        return merge(
            {"scaling": {"data_size": first}, "ablations": {"size": first}, "adapters": {"sizes": [first]}}, values
        )

    @model_validator(mode="after")
    def _imported_names_are_free(self) -> "Fm4nppSystem":
        taken = [name for name in self.imported if name in (*WIDTHS, "random", "none")]
        if taken:
            raise ValueError(f"imported: {taken[0]!r} is the name of a size or start; give another")
        return self

    @model_validator(mode="after")
    def _studies_name_what_is_trained(self) -> "Fm4nppSystem":
        named: dict[str, list[Size]] = {}
        if self.scaling:
            named |= {
                "scaling.compute_sizes": self.scaling.compute_sizes,
                "scaling.data_size": [self.scaling.data_size],
            }
        named |= {"ablations.size": [self.ablations.size]}
        if self.tasks:
            named |= {"adapters.sizes": self.adapters.sizes}
        studies = {"adapters.depth": self.adapters.depth, "adapters.joint": self.adapters.joint}
        for key, study in studies.items():
            named |= {f"{key}.size": [study.size]} if study else {}
        for key, sizes in named.items():
            missing = [s for s in sizes if s not in self.sizes]
            if missing:
                raise ValueError(f"{key}: {missing} not in sizes {self.sizes}; add them there or take them out here")
        tasks = {"ablations.tasks": self.ablations.tasks or []}
        tasks |= {"adapters.depth.task": [self.adapters.depth.task]} if self.adapters.depth else {}
        tasks |= {"adapters.joint.tasks": list(self.adapters.joint.weights)} if self.adapters.joint else {}
        for key, names in tasks.items():
            absent = [name for name in names if name not in self.tasks]
            if absent:
                raise ValueError(f"{key}: {absent} not in tasks ({', '.join(self.tasks) or 'none'})")
        too_large = [k for k in self.ablations.k if k > self.targets.k]
        if too_large:
            raise ValueError(f"ablations.k: {too_large} above targets.k ({self.targets.k})")
        return self
