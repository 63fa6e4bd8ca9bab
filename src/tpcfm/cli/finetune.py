"""``tpcfm finetune``."""

import os
from pathlib import Path

import typer

from tpcfm.cli._jobs import DEVICE, MAX_MINUTES, MAX_SECONDS, PLAN, RUN, run_job


def command(
    plan: Path = PLAN,
    run: str = RUN,
    max_seconds: float | None = MAX_SECONDS,
    max_minutes: float | None = MAX_MINUTES,
    device: str | None = DEVICE,
    scratch_gb: float | None = typer.Option(
        None,
        min=0.0,
        envvar="TPCFM_SCRATCH_GB",
        help="Most gigabytes that features of a frozen FM4NPP backbone may take on disk; those of further events are computed anew "
        "whenever they are read. Default: 90 % of what is free.",
    ),
) -> None:
    """Fine-tune one run of the run table (segmentation or an adapter)."""
    if scratch_gb is not None:
        os.environ["TPCFM_SCRATCH_GB"] = f"{scratch_gb:g}"
    run_job("finetune", plan, run, max_seconds, max_minutes, device)
