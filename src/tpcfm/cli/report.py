"""``tpcfm report``."""

from pathlib import Path

import typer


def command(
    plan: Path = typer.Option(..., help="Plan file."),
    out: Path = typer.Option(Path("results/report/index.html"), help="HTML file; figures go into figures/ beside it."),
) -> None:
    """Write the report: one HTML file that opens without a network."""
    from tpcfm.cli.ledger import paper_plan
    from tpcfm.errors import ConfigError
    from tpcfm.plan.table import Plan

    if out.suffix != ".html":
        raise ConfigError(f"--out {out}: allowed is a page, .html; its figures are written beside it as PNG and SVG")
    table = Plan.read(plan)
    from tpcfm.evaluate.sources import check_results
    from tpcfm.report.page import write_report
    from tpcfm.workspace import Workspace

    check_results(table, folders=Workspace(Path(table.config["results"])).shown(table.systems()))

    parts = write_report(table, out, paper_plan())
    for section in parts:
        print(f"{section.title}: {len(section.items)} items")
    print(f"{out}: {out.stat().st_size / 2**20:.1f} MiB")
