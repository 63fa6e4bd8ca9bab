"""``tpcfm plan``."""

from pathlib import Path

import typer


def command(
    config: list[Path] = typer.Option(
        [Path("config.yaml")], help="Configuration and overlays, the later over the earlier."
    ),
    scale: str | None = typer.Option(None, help="Shorthand for the overlay workflow/scales/<scale>.yaml."),
    write: Path | None = typer.Option(None, help="Write the plan file into this folder and print its path."),
    show: str | None = typer.Option(None, help="Print one run, resolved."),
) -> None:
    """Print the run table: every dataset, cache and run with its id, before anything is spent."""
    from rich.console import Console
    from rich.table import Table

    from tpcfm.config.load import load
    from tpcfm.config.plan import make_plan

    paths = [*config, Path(f"workflow/scales/{scale}.yaml")] if scale else config
    plan = make_plan(load(*paths))
    if write:
        print(plan.write(write))
        return
    if show:
        print(plan.run(show).model_dump_json(indent=2))
        return
    console = Console()
    table = Table("study", "experiment", "axis = value", "run", box=None)
    for name, study in plan.studies.items():
        for point in study.points:
            table.add_row(name, study.experiment, f"{point.axis} = {point.value}", point.run)
    console.print(table)
    parts = sum(len(d.parts) for d in plan.datasets.values())
    console.print(
        f"{len(plan.datasets)} datasets ({parts} files), {len(plan.caches)} caches, {len(plan.runs)} runs, plan {plan.hash}"
    )
