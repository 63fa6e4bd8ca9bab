"""What the loop asks of a loss, and what it tells the loss about the step."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor, nn

Batch = dict[str, np.ndarray]
"""A packed batch (contracts: Batches)."""


@dataclass(frozen=True)
class StepInfo:
    """Where in the training a micro-batch stands; what keyed random draws need beside the event key."""

    step: int
    """Optimiser step, counted from 0."""
    epoch: int
    """How often the events of this micro-batch have been seen before."""
    seed: int
    """Seed of the run."""
    training: bool
    """False in evaluation."""


class Objective(Protocol):
    """A loss as numerators and denominators.

    With ``loss = sum_k weights[k] * sum(sums[k]) / sum(counts[k])``, both inner sums running over all micro-batches
    and all ranks of a step, the value and its gradient are exact however the global batch is divided. A weight of 0
    logs a value without training on it. A term whose count is 0 in a whole step is left out of that step.
    """

    weights: Mapping[str, float]

    def counts(self, batch: Batch, info: StepInfo) -> dict[str, float]:
        """Return the denominators from the data alone (NumPy arrays). Uses keyed draws only, never torch's
        generator."""
        ...

    def sums(self, model: "nn.Module", batch: "dict[str, Tensor]", info: StepInfo) -> "dict[str, Tensor]":
        """Return the numerators, scalars with gradient. ``batch``: tensors on the device, ``event_key`` on the host."""
        ...


def term_names(objective: Objective) -> list[str]:
    """Return the names of an objective's terms in the order every rank uses."""
    return sorted(objective.weights)


def finite_or_none(value: Any) -> float | None:
    """Return a float, or None in place of NaN and infinity (which JSON has no words for)."""
    number = float(value)
    return number if np.isfinite(number) else None
