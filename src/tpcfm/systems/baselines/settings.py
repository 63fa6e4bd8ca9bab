"""Baselines of FM4NPP: point classification and track finding (arXiv 2508.14087, Sec. 5 and App. C)."""

from typing import Literal

from pydantic import Field, model_validator

from tpcfm.config.base import Block, LabelCount, Positive, Seed
from tpcfm.config.training import Tasks, TrainConfig
from tpcfm.models.baselines.settings import GraphNetConfig, VoxelUNetConfig
from tpcfm.systems.baselines.track_settings import TrackBaselines
from tpcfm.systems.classical.settings import ClassicalStudy

PointModel = Literal["sage", "graph_conv", "gcn", "gat", "voxel_unet"]


class PointBaselineConfig(Block):
    """One comparison run of point classification; only the block of its network is filled."""

    model: PointModel
    label: str = Field(description="label column with classes")
    classes: int = Field(gt=1, description="of the label")
    n_labels: LabelCount = Field(description="labelled training events")
    graph: GraphNetConfig | None = None
    voxel: VoxelUNetConfig | None = None
    validation_events: int = Field(
        1000, gt=0, description="events of the fixed validation set, evenly spaced in its split"
    )
    train: TrainConfig
    seed: Seed = 0

    @model_validator(mode="after")
    def _one_network(self) -> "PointBaselineConfig":
        needed = "voxel" if self.model == "voxel_unet" else "graph"
        filled = [name for name in ("graph", "voxel") if getattr(self, name) is not None]
        if filled != [needed]:
            raise ValueError(f"model {self.model} needs the block `{needed}` and no other, found {filled or 'none'}")
        return self


class PointBaselines(Block):
    """Which networks classify points, at which label counts; data, subsets and selection are those of the adapters."""

    models: list[PointModel] = Field(default=["sage", "graph_conv", "gcn", "gat", "voxel_unet"], min_length=1)
    only: dict[str, list[PointModel]] = Field(
        default_factory=dict, description="models of a task, in place of `models`"
    )
    graph: GraphNetConfig = GraphNetConfig()
    voxel: VoxelUNetConfig = VoxelUNetConfig()
    learning_rates: dict[PointModel, Positive] = Field(
        default_factory=dict, description="peak learning rate of a model, in place of the one in `train`"
    )
    tasks: Tasks = Field(min_length=1, description="label columns with classes")

    @model_validator(mode="after")
    def _only_names_tasks(self) -> "PointBaselines":
        if unknown := [task for task in self.only if task not in self.tasks]:
            raise ValueError(f"only: {unknown} are not in tasks ({', '.join(self.tasks)})")
        return self


class BaselinesStudy(Block):
    """Baselines on the labelled events of a system."""

    classes: PointBaselines | None = None
    instances: TrackBaselines | None = None
    classical: ClassicalStudy | None = None
