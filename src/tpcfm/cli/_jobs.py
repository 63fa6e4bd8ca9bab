"""What the verbs that run one entry of the run table share."""

from pathlib import Path

import typer

PLAN = typer.Option(..., help="Plan file (results/plan/<hash>.json), as `tpcfm plan` and the workflow write it.")
RUN = typer.Option(..., help="Run id, as `tpcfm plan` lists them, or its beginning if only one run begins so.")
MAX_SECONDS = typer.Option(
    None, help="Save and stop with exit code 75 before this many seconds; the same command continues."
)
MAX_MINUTES = typer.Option(None, help="The same in minutes; a tenth, at most ten minutes, is kept as a margin.")
DEVICE = typer.Option(None, help="cpu, cuda or cuda:N; default: CUDA if there is one.")

PROCESSES = typer.Option(1, min=0, help="Processes on this machine that train together, one per GPU; 0 counts as 1.")


def run_job(
    stage: str,
    plan: Path,
    run: str,
    max_seconds: float | None,
    max_minutes: float | None,
    device: str | None,
    processes: int = 1,
) -> None:
    """Run one entry of the plan with its recipe."""
    import importlib
    import logging
    import os

    from tpcfm.cli._launch import relaunch, report_exit

    if (code := relaunch(processes)) is not None:
        raise typer.Exit(code)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", datefmt="%H:%M:%S"
    )
    from tpcfm.errors import ConfigError, TpcfmError
    from tpcfm.plan.table import Plan
    from tpcfm.workspace import Workspace

    table = Plan.read(plan)
    entry = table.run(run)
    run = entry.id
    if entry.stage != stage:
        raise ConfigError(
            f"run {run} belongs to the stage {entry.stage!r}: call `tpcfm {entry.stage}`, not `tpcfm {stage}`"
        )
    workspace = Workspace(Path(table.config["results"]))
    if workspace.finished(run):
        # A second call by hand must not make outputs newer than what was made of them.
        print(
            f"{run}: finished already, see {workspace.run(run)}; remove that folder and {workspace.state(run)} to run it anew"
        )
        return
    uri = table.config["mlflow"]["tracking_uri"]
    if uri:
        # The trainer mirrors to this server; a server that does not answer costs one warning.
        os.environ.setdefault("MLFLOW_TRACKING_URI", uri)
        os.environ.setdefault("MLFLOW_EXPERIMENT_NAME", f"tpcfm-{stage}")
    if max_minutes is not None:
        max_seconds = 60 * (max_minutes - min(10.0, max_minutes / 10))
    import torch

    from tpcfm.evaluate.sources import write_run_sources
    from tpcfm.train.distributed import is_main

    threads = int(os.environ.get("OMP_NUM_THREADS", 0) or 0)
    if threads:
        torch.set_num_threads(threads)
    recipe = importlib.import_module(f"tpcfm.systems.{entry.recipe}")
    try:
        recipe.run(entry, workspace, max_seconds=max_seconds, device=device)
    except TpcfmError as error:
        report_exit(error.exit_code)
        raise
    if is_main():
        write_run_sources(entry, workspace)
        print(f"{run}: finished, see {workspace.run(run)}")
