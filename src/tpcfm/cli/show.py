"""``tpcfm show``."""

from pathlib import Path

import typer

COLOURS = ("energy", "semantic", "fragment", "group", "interaction", "pid", "track", "noise")


def command(
    file: Path = typer.Argument(
        ..., help="Raw file (.h5, spacepoints*.npz), event table or predictions table (.parquet)."
    ),
    event: int = typer.Option(0, help="Row of the event in the file."),
    color: list[str] = typer.Option(
        [], help=f"{', '.join(COLOURS)}; several become buttons; default: all that are there."
    ),
    out: Path = typer.Option(
        Path("event.html"), help="HTML (rotatable, opens without a network), or .png, .svg, .pdf for a still."
    ),
) -> None:
    """Write a rotatable 3-D display of one event."""
    from tpcfm.report.show import show_event

    title, points = show_event(file, event, color, out)
    print(f"{out}: {title}, {points} points")
