"""Comparison systems of FM4NPP: point classification and track finding (arXiv 2508.14087, Sec. 5 and App. C)."""

from typing import Literal

from pydantic import Field, model_validator

from tpcfm.config.base import Block
from tpcfm.config.baselines_tracks import TrackBaselines
from tpcfm.config.training import LabelledTraining, TrainConfig

GraphLayer = Literal["sage", "graph_conv", "gcn", "gat"]
PointModel = Literal["sage", "graph_conv", "gcn", "gat", "voxel_unet"]


class GraphNetConfig(Block):
    """Message passing on a neighbour graph: SAGE, GraphConv, GCN or GAT."""

    width: int = Field(256, gt=0, description="channels of encoder and layers (paper: 256)")
    layers: int = Field(6, gt=0, description="message passings")
    neighbours: int = Field(50, gt=0, description="incoming edges per point at most")
    max_distance: float = Field(1.0, gt=0, description="exclusive, in (eta / 1.96, cos phi, sin phi, layer / 48)")
    classifier: tuple[int, int] = Field((128, 64), description="hidden channels of the classifier")


class VoxelUNetConfig(Block):
    """Sparse voxel U-Net with a query decoder, standing for OneFormer3D."""

    grid: tuple[int, int, int] = Field((64, 64, 48), description="voxels in eta, phi, r")
    filters: int = Field(64, gt=0, description="channels of the finest level; level i has (i + 1) times as many")
    depth: int = Field(5, gt=1, description="levels of the U-Net")
    width: int = Field(256, gt=0, description="channels of voxels and queries in the decoder")
    decoder_layers: int = Field(3, gt=0)
    heads: int = Field(8, gt=0, description="must divide width")

    @model_validator(mode="after")
    def _fits(self) -> "VoxelUNetConfig":
        if self.width % self.heads:
            raise ValueError(f"width ({self.width}) must be a multiple of heads ({self.heads})")
        if not all(0 < n <= 1022 for n in self.grid):
            raise ValueError(f"grid ({self.grid}): each side must lie in 1..1022")
        return self


class PointBaselineConfig(Block):
    """One comparison run of particle identification or noise tagging; only the block of its network is filled."""

    model: PointModel
    task: Literal["pid", "noise"]
    n_labels: int = Field(gt=0, description="labelled training events")
    graph: GraphNetConfig | None = None
    voxel: VoxelUNetConfig | None = None
    validation_events: int = Field(
        1000, gt=0, description="events of the fixed validation set, evenly spaced in its split"
    )
    train: TrainConfig
    seed: int = 0

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
    noise_models: list[PointModel] | None = Field(None, description="for noise, in place of `models`")
    graph: GraphNetConfig = GraphNetConfig()
    voxel: VoxelUNetConfig = VoxelUNetConfig()
    learning_rates: dict[PointModel, float] = Field(
        default_factory=dict, description="peak learning rate of a model, in place of the one in `train`"
    )
    pid: LabelledTraining | None = None
    noise: LabelledTraining | None = None


class BaselinesStudy(Block):
    """Comparison systems on the labelled collider events."""

    point: PointBaselines | None = None
    tracks: TrackBaselines | None = None
