"""What a run asks of a machine, before it is run: families say it (``systems/<family>/cost.py``), `tpcfm.scaling` turns it into time on a device."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Literal

from tpcfm.config.training import Training
from tpcfm.plan.run import Run
from tpcfm.workspace import Workspace

USABLE = 0.9
"""Share of the device's memory that a training is to fill."""
OPTIMISER_BYTES = 16
"""Per trained parameter: weight, gradient and two moments of AdamW, all float32."""


@dataclass(frozen=True)
class Held:
    """The events that a run works on: points per event, events by split; where finished runs lie; what a job may use.

    ``scratch`` is the most bytes that a job may keep on disk while it runs, ``stored`` whether its cache holds the neighbours.
    """

    per_event: float
    events: Mapping[str, float]
    workspace: Workspace
    scratch: float = inf
    stored: bool = True


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
    """What a pretraining adds to the ladder (`tpcfm ladder plan`): trained parameters, points it sees, its operations."""

    parameters: int
    points: float
    flops: float


@dataclass(frozen=True)
class Memory:
    """Bytes on the device: ``fixed`` (weights, optimiser), and per point of a micro-batch what waits for the backward pass.

    ``least`` is the latter with activation checkpointing, None where the settings leave no choice.
    """

    fixed: float
    kept: float
    least: float | None = None

    def of(self, points: float, room: float) -> float:
        """Return the bytes of a micro-batch, recomputed if it would not fit into ``room`` and the settings allow it."""
        plain = self.fixed + points * self.kept
        return plain if plain <= room or self.least is None else self.fixed + points * self.least


@dataclass(frozen=True)
class Estimate:
    """What a whole run takes. Networks without a formula are small beside the others.

    Attributes:
        work: its parts.
        parameters: stored ones.
        scratch: bytes on disk while it runs.
        rung: of a pretraining on the ladder.
        memory: on the device; None where there is no formula.
        loader: seconds that the loader threads take for its batches, beside the device.
    """

    work: tuple[Work, ...]
    parameters: int = 1_000_000
    scratch: float = 0.0
    rung: Rung | None = None
    memory: Memory | None = None
    loader: float = 0.0


Estimator = Callable[[Run, Held], Estimate]


def validations(train: Training) -> int:
    """Return how often a training is validated, first and last included. One that may stop early counts with its whole budget."""
    return 2 + (train.steps // train.evaluate_every if train.evaluate_every else 10)
