"""``tpcfm pretrain``."""

from pathlib import Path

from tpcfm.cli._jobs import DEVICE, MAX_MINUTES, MAX_SECONDS, PLAN, PROCESSES, RUN, run_job


def command(
    plan: Path = PLAN,
    run: str = RUN,
    max_seconds: float | None = MAX_SECONDS,
    max_minutes: float | None = MAX_MINUTES,
    device: str | None = DEVICE,
    processes: int = PROCESSES,
) -> None:
    """Pretrain one backbone of the run table."""
    run_job("pretrain", plan, run, max_seconds, max_minutes, device, processes)
