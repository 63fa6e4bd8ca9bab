"""``tpcfm finetune``."""

from pathlib import Path

from tpcfm.cli._jobs import DEVICE, MAX_MINUTES, MAX_SECONDS, PLAN, RUN, run_job


def command(
    plan: Path = PLAN,
    run: str = RUN,
    max_seconds: float | None = MAX_SECONDS,
    max_minutes: float | None = MAX_MINUTES,
    device: str | None = DEVICE,
) -> None:
    """Fine-tune one run of the run table (segmentation or an adapter)."""
    run_job("finetune", plan, run, max_seconds, max_minutes, device)
