"""``tpcfm ladder``: the pretraining runs of the scaling studies, before anything is spent."""

from pathlib import Path

import typer

app = typer.Typer(no_args_is_help=True, help="Pretraining runs of the scaling studies, before anything is spent.")


@app.callback()
def _group() -> None:
    pass


@app.command()
def plan(
    config: list[Path] = typer.Option(
        [Path("config.yaml")], help="Configuration and overlays, the later over the earlier."
    ),
    scale: str | None = typer.Option(None, help="Shorthand for the overlay workflow/scales/<scale>.yaml."),
    gpu: str = typer.Option("h100", help="Named device: h100, h200, a100, ...; cpu is one core."),
    utilisation: float | None = typer.Option(
        None, min=1e-6, max=1.0, help="Share of the peak over a training; default: from operations and memory traffic."
    ),
) -> None:
    """Print parameters, points, FLOPs, hours and memory of every pretraining of the scaling studies."""
    from rich.console import Console
    from rich.table import Table

    from tpcfm.scaling.devices import Assumptions, device
    from tpcfm.scaling.ladder import ladder
    from tpcfm.systems.registry import SYSTEMS, load, make_plan

    chosen, assumed = device(gpu), Assumptions(utilisation=utilisation)
    table_of_runs = make_plan(load(*config, *([Path(f"workflow/scales/{scale}.yaml")] if scale else [])))
    rows = ladder(table_of_runs, chosen, assumed)
    unit = "GPU-h" if chosen.gpu else "core-h"
    table = Table(box=None)
    for name in ("run", "studies", "parameters", "points", "FLOPs", unit, "of peak", "memory", "micro-batch"):
        table.add_column(name, justify="left" if name in ("run", "studies", "micro-batch") else "right")
    for row in rows:
        fits = f"{row.micro_batch:,}" + ("" if row.fits else f" too large: at most {row.largest:,}")
        studies = ", ".join(s.removeprefix("scaling_") for s in row.studies)
        values = [f"{row.parameters:,}", f"{row.points:.2e}", f"{row.flops:.2e}", f"{row.hours:,.3g}"]
        table.add_row(row.run, studies, *values, f"{row.utilisation:.1%}", f"{row.memory / 1e9:.1f} GB", fits)
    console = Console(width=190)
    console.print(table)
    total = sum(row.hours for row in rows)
    console.print(
        f"{len(rows)} runs, {sum(row.flops for row in rows):.2e} FLOPs, {total:,.3g} {unit} on {chosen.name}",
        highlight=False,
    )
    for line in assumed.lines():
        console.print(f"  {line}", highlight=False)
    console.print(
        "  memory: weights, gradients, AdamW and what waits for the backward pass of one micro-batch (max_points), which must stay below "
        "90 % of the device; activation_checkpointing lowers it",
        highlight=False,
    )
    for family in dict.fromkeys(row.family for row in rows):
        console.print(f"  {SYSTEMS[family].published_hours}", highlight=False)
