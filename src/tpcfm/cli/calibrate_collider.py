"""``tpcfm calibrate-collider``: the collider simulation beside the published aggregates of TPCpp-10M."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Source(StrEnum):
    """What collides."""

    pythia = "pythia"
    gun = "gun"


def command(
    events: Annotated[int, typer.Option(help="Number of simulated events.", min=10)] = 2000,
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
    source: Annotated[Source, typer.Option(help="Pythia 8 minimum bias, or a particle gun.")] = Source.pythia,
    figure: Annotated[Path | None, typer.Option(help="Figure to write (png, pdf or svg).")] = None,
) -> None:
    """Print the collider simulation beside the published aggregates of TPCpp-10M."""
    from tpcfm.simulate.calibration_collider import calibrate

    print(calibrate(source.value, events, seed, figure))
