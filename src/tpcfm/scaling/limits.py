"""What a site lets a job have, and which jobs of a plan do not fit: time, scratch, memory of the GPU."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from tpcfm.config.site import Site
from tpcfm.plan.table import Plan
from tpcfm.plan.work import USABLE
from tpcfm.scaling.cost import TRAININGS, Costs, Job
from tpcfm.scaling.devices import Assumptions, Device

SPARE = 3
"""Attempts beside those that the time limit asks for: nodes fail, jobs are killed for want of memory."""
MOST_ATTEMPTS = 100


@dataclass(frozen=True)
class Limits:
    """What a job may have at most.

    Attributes:
        minutes: of one attempt of a training; trainings stop themselves before it and continue in the next.
        cpu_minutes: of a job without a GPU, which starts anew.
        scratch: bytes on disk while a training runs.
    """

    minutes: float = math.inf
    cpu_minutes: float = math.inf
    scratch: float = math.inf

    @classmethod
    def of_site(cls, site: Site) -> "Limits":
        """Return the limits of a site file."""
        scratch = 1e9 * site.scratch_gb if site.scratch_gb else math.inf
        return cls(site.gpu_limit_minutes, site.cpu_limit_minutes, scratch)


def usable(minutes: float) -> float:
    """Return the minutes that a training works of a time limit: a tenth, at most ten, is kept to save."""
    return minutes - min(10.0, minutes / 10)


def attempts(minutes: float, limit: Callable[[int], float]) -> int:
    """Return how many attempts a training of so many minutes takes.

    Args:
        minutes: of the whole training.
        limit: minutes of the n-th attempt, n from 1.
    """
    done = 0.0
    for number in range(1, MOST_ATTEMPTS + 1):
        done += usable(limit(number))
        if done >= minutes:
            return number
    return MOST_ATTEMPTS


def too_much(job: Job, limits: Limits, device: Device) -> list[str]:
    """Return why a site cannot hold a job, in words; nothing if it can."""
    said = []
    if job.memory > USABLE * device.memory:
        said.append(
            f"memory {job.memory / 1e9:.0f} GB, {USABLE:.0%} of {device.name} are {USABLE * device.memory / 1e9:.0f} GB"
        )
    if job.scratch > limits.scratch:
        said.append(f"scratch {job.scratch / 1e9:.0f} GB of {limits.scratch / 1e9:.0f} GB")
    limit = limits.minutes if job.on_device else limits.cpu_minutes
    if job.stage not in TRAININGS and job.seconds / 60 > limit:
        said.append(f"{job.seconds / 3600:.1f} h, limit {limit / 60:.0f} h, and it starts anew")
    if job.stage in TRAININGS and attempts(job.seconds / 60, lambda _: limit) == MOST_ATTEMPTS:
        said.append(f"{job.seconds / 3600:.0f} h, limit {limit / 60:.1f} h: more than {MOST_ATTEMPTS} attempts")
    return said


def retries(plan: Plan, stage: str, limit: Callable[[int], float], device: Device, gpus: int = 1) -> int:
    """Return how often the longest training of a stage must be able to come back, with `SPARE` to spare.

    Args:
        plan: the run table.
        stage: of the runs.
        limit: minutes of the n-th attempt.
        device: that trains.
        gpus: per training, which share its work.
    """
    costs, assumed, longest = Costs(plan), Assumptions(), 0.0
    for run in plan.of_stage(stage):
        found = costs.estimate(run)
        longest = max(longest, costs.time(run, found, device, assumed) / 60 / max(gpus, 1) if found else 0.0)
    return attempts(longest, limit) - 1 + SPARE
