"""``tpcfm ledger``: every number that the papers print, beside ours."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from tpcfm.plan.table import Plan

PAPER = (Path("config.yaml"), Path("workflow/scales/paper.yaml"))
"""Configuration of the papers' scale, in the repository root."""


def command(
    results: Path = typer.Option(Path("results"), help="Results folder; its newest plan says what the runs are."),
    plan: Path | None = typer.Option(None, help="Plan file, if not the newest of the results folder."),
    as_json: bool = typer.Option(False, "--json", help="Print the rows as JSON, one per line."),
    out: Path | None = typer.Option(None, help="Also write them: .parquet or .csv."),
    status: str | None = typer.Option(
        None, help="Only rows of a status: reproduced, differs, another scale, not run here."
    ),
) -> None:
    """Print every number of the papers' tables with ours, the difference, the interval, and whether it is reproduced."""
    from rich.console import Console
    from rich.table import Table

    from tpcfm.errors import ConfigError
    from tpcfm.evaluate.sources import check_results
    from tpcfm.files import atomic
    from tpcfm.plan.table import Plan
    from tpcfm.report.published.ledger import NOT_RUN, STATES, make_ledger, summary
    from tpcfm.report.published.ours import Results, read_scored
    from tpcfm.workspace import Workspace

    if status is not None and status not in STATES:
        raise ConfigError(f"--status {status!r}: allowed are {', '.join(STATES)}")
    if out is not None and out.suffix not in (".parquet", ".csv"):
        raise ConfigError(f"--out {out}: allowed are .parquet and .csv")
    workspace = Workspace(results)
    path = plan or max(workspace.plans.glob("*.json"), key=lambda p: p.stat().st_mtime, default=None)
    found = Plan.read(path) if path else None
    if found is not None and plan is not None:
        workspace = Workspace(Path(found.config["results"]))
    if found is not None:
        check_results(found)
    frame = make_ledger(Results(found, read_scored(workspace)), paper_plan())
    shown = frame if status is None else frame[frame["status"] == status]
    if out is not None:
        with atomic(out) as temporary:
            (shown.to_parquet if out.suffix == ".parquet" else shown.to_csv)(temporary, index=False)
    if as_json:
        print(shown.to_json(orient="records", lines=True), end="")
        return
    table = Table(box=None)
    for name in ("paper", "printed in", "row", "column", "printed", "ours", "difference", "status"):
        table.add_column(name, justify="right" if name in ("printed", "ours", "difference") else "left")
    for row in shown.to_dict("records"):
        known = row["status"] != NOT_RUN
        said = row["status"] + (f" ({row['scale']})" if known and row["scale"] else "")
        if row["cost_gpu_hours"] == row["cost_gpu_hours"]:
            said += f" (cost: {row['cost_gpu_hours']:,.3g} GPU-hours)"
        interval = f" [{row['low']:.4g}, {row['high']:.4g}]" if row["low"] == row["low"] else ""
        ours = [f"{row['ours']:.6g}{interval}", f"{row['difference']:+.4g}"] if known else ["", ""]
        table.add_row(
            *(row[name] for name in ("paper", "place", "row", "column")), f"{row['published']:.6g}", *ours, said
        )
    console = Console(width=230)
    console.print(table)
    console.print(f"{len(frame)} printed numbers: {summary(frame)}; plan: {path or 'none'}", highlight=False)


def paper_plan() -> "Plan | None":
    """Return the plan of the papers' scale, if its configuration lies in the working folder and holds; else None, with a warning."""
    import logging

    from tpcfm.errors import TpcfmError
    from tpcfm.systems.registry import load, make_plan

    if not all(path.is_file() for path in PAPER):
        return None
    try:
        return make_plan(load(*PAPER))
    except TpcfmError as error:
        logging.getLogger(__name__).warning("costs of the papers' scale are left out: %s", error)
        return None
