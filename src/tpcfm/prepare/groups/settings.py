"""How an event becomes tokens: the settings of the groups cache (arXiv 2502.02558, Sec. III)."""

from typing import Annotated, Literal

from pydantic import Field

from tpcfm.config.base import Block, Positive

Overlap = Annotated[float, Field(gt=0, le=2)]

Method = Literal["cnms", "fps_cnms", "fps_ball", "fps_knn"]


class TokenizerConfig(Block):
    """Volumetric tokens of one event."""

    method: Method = Field("cnms", description="how centres and members are chosen")
    radius: float = Field(5.0, gt=0, description="group radius r, in units of the detector's pitch (voxels)")
    overlap: Overlap = Field(0.73, description="factor f: centres closer than 2 f r are suppressed")
    max_points: int = Field(32, gt=0, description="points kept per group K (by farthest point sampling)")
    seeds: int = Field(2048, gt=0, description="farthest-point seeds (fps_cnms)")
    centres_per_point: float = Field(1 / 16, gt=0, le=1, description="centres / points (fps_ball, fps_knn)")
    max_tokens: int = Field(0, ge=0, description="tokens kept per event, by centrality; 0 keeps all")
    reduction: Literal["fps", "energy"] = Field(
        "fps", description="which members a group keeps: spread out, or those of largest signal"
    )
    neighbour_cap: int = Field(0, ge=0, description="neighbours that C-NMS counts and removes; 0 all (released: 256)")
    ball_cap: int = Field(0, ge=0, description="members before the reduction; 0 all (released: 256)")
    energy_threshold: float | None = Field(
        None, ge=0, description="points whose signal is at or below are dropped; null: the detector's own threshold"
    )
    scatter: Literal["keep", "dbscan"] = Field(
        "keep",
        description="dbscan: drop what lies in no cluster, which stands for the low-energy deposits where no label names them",
    )
    scatter_distance: float = Field(5.0, gt=0, description="neighbourhood of DBSCAN, in units of the detector's pitch")
    scatter_points: int = Field(8, gt=0, description="points within it that make a cluster, the point itself counted")
    min_points: int = Field(1, ge=1, description="events with fewer points after the cuts are rejected (paper: 1024)")


class TokenizerStudy(Block):
    """Grid of the tokenizer study."""

    events: int = Field(50, gt=0)
    radii: list[Positive] = Field(default=[2.5, 5.0], min_length=1)
    overlaps: list[Overlap] = Field(default=[0.6, 0.73, 0.9], min_length=1)
