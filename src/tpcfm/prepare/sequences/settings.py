"""How an event becomes a sequence with targets: the settings of the sequences cache (arXiv 2508.14087, Sec. 3)."""

from typing import Literal

from pydantic import Field

from tpcfm.config.base import Block, Count

Rescaling = Literal["none", "difficulty", "inverse_difficulty"]


class SerializationConfig(Block):
    """Order of the points of an event, and feature scaling."""

    order: Literal["raster", "hilbert", "morton", "radial"] = "raster"
    box_order: str = Field(
        "",
        description="outermost to innermost key of the boxes (raster), names of the network coordinates joined by _;"
        " empty: from the third to the first (cylinder: r_phi_eta)",
    )
    bins: tuple[Count, Count, Count] = Field(
        (8, 8, 6), description="boxes in eta, phi, r (cylinder) or x, y, z (box), at most"
    )
    preset: str = Field("", description="named ranges of the detector that features are scaled with; empty: its own")
    max_points: int = Field(0, ge=0, description="events above are cut out and counted; 0 keeps all (released: 3200)")


RELEASED_SERIALIZATION = SerializationConfig(preset="released", max_points=3200)
"""How the events of the published weights were prepared; ``max_points`` is a cut on events, not on how a point is seen."""


class TargetConfig(Block):
    """What is predicted at each point."""

    objective: Literal["next_neighbours", "next_token"] = "next_neighbours"
    k: int = Field(30, gt=0)
    candidates: Literal["outer_radius", "later_index"] = Field(
        "outer_radius", description="strictly further out (layer, or step of the pitch), or later in the order outwards"
    )
    wrap: bool = Field(False, description="measure azimuth across the -pi/pi seam (cylinders only)")
    average: Literal["events", "points"] = Field(
        "events",
        description="mean over events of each event's mean over its targets (App. B.7), or over all targets of the batch",
    )
    rescale: Rescaling = Field(
        "none", description="weight of an event in the training loss, by its difficulty (App. B.7)"
    )
