"""``tpcfm validate``: check raw files and event tables."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    files: Annotated[list[Path], typer.Argument(help="Raw files (HDF5, spacepoints npz) or event tables (Parquet).")],
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the count per file.")] = False,
) -> None:
    """Report every deviation from the layout, with file, event and column; exit code 1 if there is any."""
    from tpcfm.ingest.validate import validate_file

    damaged = 0
    for file in files:
        count = 0
        for finding in validate_file(file):
            count += 1
            if not quiet:
                print(finding)
        damaged += count > 0
        print(f"{file}: {'ok' if count == 0 else f'{count} deviations'}")
    if damaged:
        raise typer.Exit(1)
