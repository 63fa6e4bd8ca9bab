"""``tpcfm scaling``: fit scaling laws to the runs of the scaling studies, and draw them."""

from pathlib import Path

import typer

app = typer.Typer(no_args_is_help=True, help="Fit and draw scaling laws.")


@app.callback()
def _group() -> None:
    pass


@app.command()
def fit(
    plan: Path = typer.Option(..., help="Plan file."),
    out: Path = typer.Option(..., help="Folder for points, fits, curves and the compute front (Parquet)."),
) -> None:
    """Fit power laws to the scaling studies and print the exponents with their 95 % intervals."""
    from rich.console import Console
    from rich.table import Table

    from tpcfm.plan.table import Plan

    runs = Plan.read(plan)
    from tpcfm.evaluate.sources import check_results, write_sources
    from tpcfm.scaling.study import write_scaling
    from tpcfm.workspace import Workspace

    scaling, workspace = runs.of_experiment("scaling"), Workspace(Path(runs.config["results"]))
    check_results(runs, scaling)
    fits = write_scaling(runs, out)
    write_sources(out, map(workspace.metrics, scaling))
    table = Table(
        "system", "study", "group", "against", "exponent b", "95 %", "saturation c", "sizes", "note", box=None
    )
    for row in fits.to_dict("records"):
        interval = f"{row['b_low']:.3f} to {row['b_high']:.3f}"
        saturation = f"{row['c']:.4g}" if row["saturation"] else "not fitted"
        note = "illustrative: fewer than five sizes" if row["illustrative"] else ""
        table.add_row(
            row["system"],
            row["study"],
            row["group"],
            row["x_label"],
            f"{row['b']:.3f}",
            interval,
            saturation,
            str(row["points"]),
            note,
        )
    Console(width=160).print(table)


@app.command()
def draw(
    plan: Path = typer.Option(..., help="Plan file."),
    folder: Path = typer.Option(..., help="Folder that `tpcfm scaling fit` wrote."),
    out: Path = typer.Option(..., help="Page to write (HTML); the figures lie beside it as PNG and SVG."),
) -> None:
    """Draw the scaling studies: laws, downstream metrics, coordinate check and learning-rate transfer."""
    from tpcfm.errors import ConfigError

    if out.suffix != ".html":
        raise ConfigError(f"--out {out}: allowed is a page, .html; its figures are written beside it as PNG and SVG")
    from tpcfm.plan.table import Plan

    runs = Plan.read(plan)
    from tpcfm.evaluate.sources import check_results
    from tpcfm.report.scaling_page import write_scaling_page

    check_results(runs, runs.of_experiment("scaling"), [folder])
    items = write_scaling_page(runs, folder, out)
    print(f"{out}: {', '.join(item.name for item in items)}")
