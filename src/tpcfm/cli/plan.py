"""``tpcfm plan``."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from tpcfm.plan.table import Plan


def command(
    config: list[Path] = typer.Option(
        [Path("config.yaml")], help="Configuration and overlays, the later over the earlier."
    ),
    scale: str | None = typer.Option(None, help="Shorthand for the overlay workflow/scales/<scale>.yaml."),
    write: Path | None = typer.Option(None, help="Write the plan file into this folder and print its path."),
    show: str | None = typer.Option(None, help="Print one run, resolved: its id, or the beginning of it."),
    gpu: str | None = typer.Option(
        None, help="Print jobs, hours, disk and wall time of every stage on this device: h100, a100, ... or cpu."
    ),
    gpus: int = typer.Option(1, min=1, help="GPUs at hand at a time, one training on each."),
    cores: int = typer.Option(2, min=1, help="CPU cores for jobs that need no GPU; with --gpu cpu for all."),
    utilisation: float | None = typer.Option(None, min=1e-6, max=1.0, help="Share of the peak that trainings reach."),
) -> None:
    """Print the run table, or with --gpu what it costs on a named device, before anything is spent."""
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    from tpcfm.plan.counts import require_events
    from tpcfm.systems.registry import load, make_plan
    from tpcfm.workspace import Workspace

    paths = [*config, Path(f"workflow/scales/{scale}.yaml")] if scale else config
    loaded = load(*paths)
    plan = make_plan(loaded)
    require_events(plan, Workspace(Path(loaded.results)))
    if write:
        print(plan.write(write))
        return
    if show:
        print(plan.run(show).model_dump_json(indent=2))
        return
    if gpu:
        _costs(plan, gpu, gpus, cores, utilisation)
        return
    table = Table("study", "experiment", "axis = value", "run", box=None)
    for name, study in plan.studies.items():
        for point in study.points:
            table.add_row(name, study.experiment, f"{point.axis} = {point.value}", point.run)
    wide = Console(width=1000)
    console = Console(width=max(80, Measurement.get(wide, wide.options, table).maximum))  # run ids are never cut
    console.print(table)
    parts = sum(len(d.parts) for d in plan.datasets.values())
    console.print(
        f"{len(plan.datasets)} datasets ({parts} files), {len(plan.caches)} caches, {len(plan.runs)} runs, plan {plan.hash}"
    )


def _costs(plan: "Plan", gpu: str, gpus: int, cores: int, utilisation: float | None) -> None:
    """Print jobs, hours, disk and wall time of every stage, with what is assumed."""
    from rich.console import Console
    from rich.table import Table

    from tpcfm.scaling.cost import plan_jobs, stage_costs
    from tpcfm.scaling.devices import Assumptions, device

    chosen, assumed = device(gpu), Assumptions(utilisation=utilisation)
    jobs, unknown = plan_jobs(plan, chosen, assumed)
    rows = stage_costs(jobs, gpus, cores)
    table = Table(box=None)
    for name in ("stage", "jobs", "GPU-hours", "core-hours", "disk", "scratch", "wall time"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for row in rows:
        hours = [_hours(row.device_hours), _hours(row.core_hours)]
        table.add_row(row.stage, str(row.jobs), *hours, _size(row.disk), _size(row.scratch), _time(row.wall))
    sums = [sum(r.device_hours for r in rows), sum(r.core_hours for r in rows)]
    disk, wall = sum(r.disk for r in rows), sum(r.wall for r in rows)
    highest = max(r.scratch for r in rows)
    table.add_row("all", str(len(jobs)), *map(_hours, sums), _size(disk), _size(highest), _time(wall))
    console = Console(width=120)
    console.print(table)
    where = f"{gpus} x {chosen.name}, {cores} CPU cores" if chosen.gpu else f"{cores} CPU cores"
    console.print(
        f"on {where}; stages one after another, nothing waits in a queue; trainings that may stop early count in full",
        highlight=False,
    )
    for line in assumed.lines() if chosen.gpu else ["shares of a core's peak as seen in the demo"]:
        console.print(f"  {line}", highlight=False)
    console.print(
        "  scratch: features of the frozen backbones while the adapters train, all jobs that run at a time",
        highlight=False,
    )
    for recipe, number in unknown.items():
        console.print(f"  no estimate for the {number} runs of {recipe}: counted as jobs only", highlight=False)


def _hours(value: float) -> str:
    return f"{value:,.1f}" if value >= 10 or value == 0 else f"{value:.2f}"


def _size(value: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return "0" if value == 0 else "< 1 MB"


def _time(seconds: float) -> str:
    if seconds < 5400:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86400:.1f} d"
