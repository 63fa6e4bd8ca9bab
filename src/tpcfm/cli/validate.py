"""``tpcfm validate``: check raw files and event tables."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    files: Annotated[list[Path], typer.Argument(help="Raw files or event tables (Parquet).")],
    detector: Annotated[
        str | None,
        typer.Option(
            help="Detector of raw files: a name or FILE.yaml; default: the one whose reader recognises a file."
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the count per file.")] = False,
) -> None:
    """Report every deviation from the detector's rules, with file, event and column; exit code 1 if there is any.

    Files beside the events that hold none (labels, point counts, manifests) are named as what they are.
    """
    from tpcfm.detectors.registry import load_detector
    from tpcfm.events.validate import about, validate_file

    known = load_detector(detector) if detector else None
    damaged = 0
    for file in files:
        count = 0
        for finding in validate_file(file, known):
            count += 1
            if not quiet:
                print(finding)
        damaged += count > 0
        if count:
            print(f"{file}: {count} deviation{'' if count == 1 else 's'}")
        else:
            what = about(file)
            print(f"{file}: ok{f' ({what})' if what else ''}")
    if damaged:
        raise typer.Exit(1)
