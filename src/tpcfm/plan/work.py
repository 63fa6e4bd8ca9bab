"""What a run asks of a machine, before it is run: families say it (``systems/<family>/cost.py``), `tpcfm.scaling` turns it into time on a device."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from tpcfm.config.training import Training
from tpcfm.plan.run import Run
from tpcfm.workspace import Workspace

GEOMETRY = 4e-5
"""Seconds of a core that the local geometry of a point takes (measured: 0.13 s for 3,200 points)."""


@dataclass(frozen=True)
class Held:
    """The events that a run works on: points per event, events by split; and where finished runs lie."""

    per_event: float
    events: Mapping[str, float]
    workspace: Workspace


@dataclass(frozen=True)
class Work:
    """One part of a run.

    Attributes:
        flops: operations.
        kind: how much of a device they reach: large matrix ``products`` (their traffic is counted beside them), ``dense``
            networks, ``sparse`` ones (graphs, sparse convolutions).
        precision: "float32" or "bfloat16".
        moved: bytes that the device reads and writes beside what ``kind`` counts on.
        loaded: bytes from the host to the device.
        seconds: of a CPU core, whatever the device.
    """

    flops: float = 0.0
    kind: Literal["products", "dense", "sparse"] = "dense"
    precision: str = "float32"
    moved: float = 0.0
    loaded: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class Rung:
    """What a pretraining adds to the ladder (`tpcfm ladder plan`): trained parameters, points it sees, its operations, and the bytes per
    point that wait for the backward pass."""

    parameters: int
    points: float
    flops: float
    kept: float


@dataclass(frozen=True)
class Estimate:
    """What a whole run takes: its work, stored parameters, bytes on disk while it runs. Networks without a formula are small beside the others."""

    work: tuple[Work, ...]
    parameters: int = 1_000_000
    scratch: float = 0.0
    rung: Rung | None = None


Estimator = Callable[[Run, Held], Estimate]


def validations(train: Training) -> int:
    """Return how often a training is validated, first and last included. One that may stop early counts with its whole budget."""
    return 2 + (train.steps // train.evaluate_every if train.evaluate_every else 10)
