"""How an event becomes a sequence with targets: the settings of the sequences cache (arXiv 2508.14087, Sec. 3)."""

from typing import Literal

from pydantic import Field

from tpcfm.config.base import Block


class SerializationConfig(Block):
    """Order of the points of an event, and feature scaling."""

    order: Literal["raster", "hilbert", "morton", "radial"] = "raster"
    box_order: Literal["r_phi_eta", "r_eta_phi", "phi_r_eta", "phi_eta_r", "eta_r_phi", "eta_phi_r"] = Field(
        "r_phi_eta", description="outermost to innermost key of the boxes (raster)"
    )
    bins: tuple[int, int, int] = Field((8, 8, 6), description="boxes in eta, phi, r")
    scaling: Literal["paper", "released"] = "paper"
    max_points: int = Field(0, ge=0, description="events above are cut out and counted; 0 keeps all (released: 3200)")


RELEASED_SERIALIZATION = SerializationConfig(scaling="released", max_points=3200)
"""How the events of the published weights were prepared; ``max_points`` is a cut on events, not on how a point is seen."""


class TargetConfig(Block):
    """What is predicted at each point."""

    objective: Literal["next_neighbours", "next_token"] = "next_neighbours"
    k: int = Field(30, gt=0)
    candidates: Literal["outer_radius", "later_index"] = Field(
        "outer_radius", description="strictly larger layer, or later in radius order"
    )
    wrap: bool = Field(False, description="measure azimuth across the -pi/pi seam")
    rescale: Literal["none", "difficulty", "inverse_difficulty"] = "none"
