"""``tpcfm serialization-study``: how well each order of the points keeps tracks together."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    events: Annotated[
        list[Path], typer.Argument(help="Event tables (Parquet) of one detector, with labels of instances.")
    ],
    edges: Annotated[Path, typer.Option(help="Box edges (edges.json), from `tpcfm prepare fit-edges`.")],
    out: Annotated[Path, typer.Option(help="Folder for metrics.parquet.")],
    max_events: Annotated[int, typer.Option(min=1, help="Events to look at.")] = 500,
    label: Annotated[str | None, typer.Option(help="Column with instances; default: the detector's first.")] = None,
    split: Annotated[str, typer.Option(help="Split to take them from.")] = "validation",
) -> None:
    """Compare serializations: raster (six nestings), Hilbert, Morton, radial, random, on the same labelled events."""
    from tpcfm.cli.prepare import _tables
    from tpcfm.files import require_file

    _tables(*events)
    require_file(edges, "the file of box edges that `tpcfm prepare fit-edges` writes")
    from tpcfm.evaluate.serialization_study import run_study
    from tpcfm.evaluate.sources import write_sources

    table = run_study(events, edges, out, events=max_events, split=split, label=label)
    write_sources(out, [*events, edges])
    print(table.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
