"""``tpcfm simulate``: make files in the published raw formats, and compare the simulation with the published figures."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Simulate events in the raw formats of the public datasets.")


class Revision(StrEnum):
    """Layouts of PILArNet-M."""

    v1 = "v1"
    v2 = "v2"
    v3 = "v3"


class Source(StrEnum):
    """What collides."""

    pythia = "pythia"
    gun = "gun"


@app.command()
def lartpc(
    out: Annotated[Path, typer.Option(help="HDF5 file to write; a folder gets the published file name inside it.")],
    events: Annotated[int, typer.Option(help="Number of events.", min=1)],
    seed: Annotated[int, typer.Option(help="Seed; event k depends on (seed, index, k) alone.")] = 0,
    index: Annotated[int, typer.Option(help="Number of this file among files of the same seed.", min=0)] = 0,
    revision: Annotated[Revision, typer.Option(help="Layout to write.")] = Revision.v2,
) -> None:
    """Simulate particle bombs in a liquid-argon TPC and write a PILArNet-M file with its point-count sidecar."""
    from tpcfm.simulate.lartpc import simulate_file
    from tpcfm.simulate.lartpc.write import file_name

    target = out / file_name(events, revision.value) if out.is_dir() else out
    simulate_file(target, events, seed, index=index, revision=revision.value)
    print(f"{target}: {events} events")


@app.command()
def collider(
    out: Annotated[
        Path,
        typer.Option(help="Folder to write spacepoints_NNN.npz and the label files into, or that file's own path."),
    ],
    events: Annotated[int, typer.Option(help="Number of events.", min=1)],
    seed: Annotated[int, typer.Option(help="Seed; a file depends on (seed, index) alone.")] = 0,
    index: Annotated[int, typer.Option(help="Number of this file: NNN in the names.", min=0)] = 0,
    source: Annotated[Source, typer.Option(help="Pythia 8 minimum bias, or a particle gun.")] = Source.pythia,
    labelled: Annotated[bool, typer.Option(help="Write track, pid and noise too.")] = True,
    particles: Annotated[bool, typer.Option(help="Write the truth particles too.")] = False,
) -> None:
    """Simulate proton collisions in the sPHENIX TPC and write TPCpp-10M files."""
    from tpcfm.detectors.simulations import SIMULATIONS
    from tpcfm.errors import ConfigError

    name = SIMULATIONS["collider"].name.format(index)
    if out.suffix == ".npz" and out.name != name:
        raise ConfigError(f"--out {out}: the file of --index {index} is called {name}")
    folder = out.parent if out.suffix == ".npz" else out
    from tpcfm.simulate.collider import simulate_file

    simulate_file(folder, index, events, seed, source.value, labelled, particles)
    print(f"{folder}: file {index:03d}, {events} events")


@app.command("calibrate-lartpc")
def calibrate_lartpc(
    events: Annotated[int, typer.Option(help="Number of simulated events.", min=10)] = 1000,
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
    real: Annotated[
        Path | None, typer.Option(help="PILArNet-M file of real events to compare muon tracks with.")
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="Figure to write.")] = None,
) -> None:
    """Print the liquid-argon simulation beside the published figures of PILArNet-M."""
    from tpcfm.report.published.calibration.figure import calibrate

    print(calibrate(events, seed, real=real, figure=figure))


@app.command("calibrate-collider")
def calibrate_collider(
    events: Annotated[int, typer.Option(help="Number of simulated events.", min=10)] = 1000,
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
    source: Annotated[Source, typer.Option(help="Pythia 8 minimum bias, or a particle gun.")] = Source.pythia,
    figure: Annotated[Path | None, typer.Option(help="Figure to write.")] = None,
) -> None:
    """Print the collider simulation beside the published figures of TPCpp-10M."""
    from tpcfm.report.published.calibration.collider import calibrate

    print(calibrate(source.value, events, seed, figure))
