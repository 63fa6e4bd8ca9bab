"""``tpcfm plan``."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from tpcfm.plan.table import Plan
    from tpcfm.scaling.cost import Job
    from tpcfm.scaling.devices import Assumptions, Device
    from tpcfm.scaling.limits import Limits


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
    jobs: bool = typer.Option(False, help="With --gpu: one line per job, the longest first."),
    as_json: bool = typer.Option(False, "--json", help="With --gpu: the jobs as JSON, one per line."),
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
        _costs(plan, gpu, gpus, cores, utilisation, "json" if as_json else "jobs" if jobs else "stages")
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


def _costs(plan: "Plan", gpu: str, gpus: int, cores: int, utilisation: float | None, form: str) -> None:
    """Print jobs, hours, disk and wall time of every stage, and which jobs the site cannot hold; or all jobs."""
    from rich.console import Console
    from rich.table import Table

    from tpcfm.config.site import read_site, site_file
    from tpcfm.scaling.cost import peak_disk, plan_jobs, stage_costs
    from tpcfm.scaling.devices import Assumptions, device
    from tpcfm.scaling.limits import Limits

    chosen, assumed = device(gpu), Assumptions(utilisation=utilisation)
    limits = Limits.of_site(read_site()) if chosen.gpu and site_file().is_file() else Limits()
    found, unknown = plan_jobs(plan, chosen, assumed, limits.scratch)
    rows = stage_costs(found, gpus, cores)
    table = Table(box=None)
    lines = _job_lines(found, limits, chosen)
    if form == "json":
        import json

        for line in lines:
            print(json.dumps(line))
        return
    console = Console(width=max(120, 80 + max(len(str(line["job"])) for line in lines)) if form == "jobs" else 120)
    if form == "jobs":
        for name in ("stage", "job", "hours", "attempts", "memory", "disk", "scratch", ""):
            table.add_column(name, justify="left" if name in ("stage", "job", "") else "right")
        for line in lines:
            sizes = [_size(float(str(line[name]))) for name in ("memory", "disk", "scratch")]
            cells = [line["stage"], line["job"], _hours(float(str(line["hours"]))), line["attempts"], *sizes]
            table.add_row(*map(str, cells), str(line["cannot"]))
        console.print(table)
        table = Table(box=None)
    for name in ("stage", "jobs", "GPU-hours", "core-hours", "disk", "scratch", "wall time"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for row in rows:
        hours = [_hours(row.device_hours), _hours(row.core_hours)]
        table.add_row(row.stage, str(row.jobs), *hours, _size(row.disk), _size(row.scratch), _time(row.wall))
    sums = [sum(r.device_hours for r in rows), sum(r.core_hours for r in rows)]
    disk, wall = sum(r.disk for r in rows), sum(r.wall for r in rows)
    highest = max(r.scratch for r in rows)
    table.add_row("all", str(len(found)), *map(_hours, sums), _size(disk), _size(highest), _time(wall))
    console.print(table)
    where = f"{gpus} x {chosen.name}, {cores} CPU cores" if chosen.gpu else f"{cores} CPU cores"
    for text in [
        f"on {where}; stages one after another, nothing waits in a queue; trainings that may stop early count in full",
        f"disk at its peak, scratch of the stage that runs included: {_size(peak_disk(rows))}",
        *(f"  {line}" for line in (assumed.lines() if chosen.gpu else ["shares of a core's peak as seen in the demo"])),
        "  scratch: features of the frozen backbones while the adapters train, all jobs that run at a time"
        + (
            f"; at most {_size(limits.scratch)} a job, the rest is computed anew"
            if limits.scratch < float("inf")
            else ""
        ),
        *(
            f"  no estimate for the {number} runs of {recipe}: counted as jobs only"
            for recipe, number in unknown.items()
        ),
        *(_quota_lines(plan, chosen, assumed, found, limits) if limits.scratch < float("inf") else []),
        *(_site_lines(lines, limits.minutes) if chosen.gpu else []),
    ]:
        console.print(text, highlight=False)


def _job_lines(jobs: "list[Job]", limits: "Limits", device: "Device") -> list[dict[str, object]]:
    """Return what each job takes, the longest first, and why the site cannot hold it ("" if it can)."""
    from tpcfm.scaling.limits import attempts, too_much

    lines: list[dict[str, object]] = []
    for job in sorted(jobs, key=lambda job: -job.seconds):
        number = attempts(job.seconds / 60, lambda _: limits.minutes) if job.on_device else 1
        sizes = {"memory": job.memory, "disk": job.disk, "scratch": job.scratch}
        line = {"stage": job.stage, "job": job.name, "hours": job.seconds / 3600, "attempts": number, **sizes}
        lines.append({**line, "cannot": "; ".join(too_much(job, limits, device))})
    return lines


def _quota_lines(
    plan: "Plan", device: "Device", assumed: "Assumptions", found: "list[Job]", limits: "Limits"
) -> list[str]:
    """Say what the scratch of a job costs in hours, and how much would cost none."""
    from tpcfm.scaling.cost import plan_jobs

    free, _ = plan_jobs(plan, device, assumed)
    hours = sum(job.seconds for job in found) - sum(job.seconds for job in free)
    largest = max((job.scratch for job in free), default=0.0)
    if largest <= limits.scratch:
        return []
    return [
        f"  {hours / 3600:,.0f} of these hours compute features anew; without a limit (scratch_gb of the site) a job keeps up to {_size(largest)}"
    ]


def _site_lines(lines: list[dict[str, object]], minutes: float) -> list[str]:
    """Say which jobs take several attempts, and which the site cannot hold."""
    import re

    several = [line for line in lines if int(str(line["attempts"])) > 1]
    said = []
    if several:
        most = max(several, key=lambda line: int(str(line["attempts"])))
        said.append(
            f"{len(several)} trainings are longer than the time limit of {minutes / 60:.0f} h and continue, at most "
            f"{most['attempts']} attempts ({most['job']}, {float(str(most['hours'])):.0f} h); the workflow allows as many"
        )
    kinds: dict[tuple[str, str], int] = {}
    for line in lines:
        if line["cannot"]:
            key = (re.sub(r"-s\d+-[0-9a-f]{8}$", "", str(line["job"])), str(line["cannot"]))
            kinds[key] = kinds.get(key, 0) + 1
    said += [f"! {job}, {number} job{'s' * (number > 1)}: {why}" for (job, why), number in kinds.items()]
    return said or ["every job is within the limits of the site (profiles/slurm/site.yaml)"] if not kinds else said


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
