"""Networks of the baselines of point classification (arXiv 2508.14087, Sec. 5 and App. C)."""

from typing import Annotated

from pydantic import Field, model_validator

from tpcfm.config.base import Block, Count


class GraphNetConfig(Block):
    """Message passing on a neighbour graph: SAGE, GraphConv, GCN or GAT."""

    width: int = Field(256, gt=0, description="channels of encoder and layers (paper: 256)")
    layers: int = Field(6, gt=0, description="message passings")
    neighbours: int = Field(50, gt=0, description="incoming edges per point at most")
    max_distance: float = Field(1.0, gt=0, description="exclusive, in (eta / 1.96, cos phi, sin phi, layer / 48)")
    classifier: tuple[Count, Count] = Field((128, 64), description="hidden channels of the classifier")


Side = Annotated[int, Field(ge=1, le=1022)]


class VoxelUNetConfig(Block):
    """Sparse voxel U-Net with a query decoder, standing for OneFormer3D."""

    grid: tuple[Side, Side, Side] = Field((64, 64, 48), description="voxels in eta, phi, r")
    filters: int = Field(64, gt=0, description="channels of the finest level; level i has (i + 1) times as many")
    depth: int = Field(5, gt=1, description="levels of the U-Net")
    width: int = Field(256, gt=0, description="channels of voxels and queries in the decoder")
    decoder_layers: int = Field(3, gt=0)
    heads: int = Field(8, gt=0, description="must divide width")

    @model_validator(mode="after")
    def _fits(self) -> "VoxelUNetConfig":
        if self.width % self.heads:
            raise ValueError(f"width ({self.width}) must be a multiple of heads ({self.heads})")
        return self
