"""``tpcfm baseline``."""

from pathlib import Path

from tpcfm.cli._jobs import DEVICE, MAX_MINUTES, MAX_SECONDS, PLAN, RUN, run_job


def command(
    plan: Path = PLAN,
    run: str = RUN,
    max_seconds: float | None = MAX_SECONDS,
    max_minutes: float | None = MAX_MINUTES,
    device: str | None = DEVICE,
) -> None:
    """Train one baseline of the run table."""
    run_job("baseline", plan, run, max_seconds, max_minutes, device)
