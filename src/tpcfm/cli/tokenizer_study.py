"""``tpcfm tokenizer-study``: grouping strategies over parameter grids."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    events: Annotated[list[Path], typer.Argument(help="Event tables (Parquet) of one detector.")],
    out: Annotated[Path, typer.Option(help="Folder for study, group_sizes, throughput and metrics (.parquet).")],
    config: Annotated[str, typer.Option(help="Grid as JSON text or a JSON file: events, radii, overlaps.")] = "{}",
) -> None:
    """Compare tokenizers: missed and duplicated points, group sizes, groups per event, throughput."""
    from tpcfm.cli.prepare import _block, _tables
    from tpcfm.prepare.groups.settings import TokenizerStudy

    grid = _block(TokenizerStudy, config)
    _tables(*events)
    from tpcfm.evaluate.sources import write_sources
    from tpcfm.evaluate.table import write_metrics
    from tpcfm.prepare.groups.tokenizer_study import metric_rows, run_study

    study = run_study(events, out, events=grid.events, radii=grid.radii, overlaps=grid.overlaps)
    write_metrics(out / "metrics.parquet", metric_rows(study))
    write_sources(out, events)
    shown = [
        "tokenizer",
        "tokens_per_event",
        "missed_before_cap",
        "missed",
        "duplicated_before_cap",
        "duplicated",
        "pareto",
    ]
    print(study.sort_values("total")[shown].to_string(index=False, float_format=lambda value: f"{value:.4g}"))
    print(f"{out}: {len(study)} tokenizers on {study['events'].max()} events")
