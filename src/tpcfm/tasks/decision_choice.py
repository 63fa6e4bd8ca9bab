"""Choosing the rule by which points choose among the queries of a set decoder, on validation events.

The published rule asks for a class probability above one half. A head that has seen few labels, or few steps, seldom is that sure of an
object it has found, so the rule says more about the class head than about the masks. Baselines have their clusterings chosen on
validation events; the ``_calibrated`` rows give the same to the adapters. Test events play no part.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tpcfm.errors import DataError
from tpcfm.evaluate.tracking import adjusted_rand_index
from tpcfm.nn.set_decision import SetDecision, decide
from tpcfm.tasks.clustering_choice import Choice, Chosen, Kind, choose

TUNING_EVENTS = 100
VALUES = {"threshold": [0.5, 0.0, 0.25], "power": [1.0, 2.0, 4.0], "min_points": [1.0, 4.0, 8.0, 16.0]}
KINDS: dict[str, tuple[Kind, float]] = {
    "threshold": ("score", 0.0),
    "power": ("scale", 0.0),
    "min_points": ("count", 1),
}

SetEvent = tuple[npt.NDArray[np.integer], Tensor, Tensor]
"""Of one event: (N,) true ids, (Q,) probabilities of the queries, (Q, N) probabilities of points to belong to them."""


def as_decision(choice: Choice) -> SetDecision:
    """Return the rule of a choice."""
    return SetDecision(choice["threshold"], choice["power"], round(choice["min_points"]))


@torch.no_grad()
def choose_decision(events: Iterable[SetEvent]) -> Chosen:
    """Return the rule with the largest adjusted Rand index, mean over events; the published one in a tie.

    Raises:
        DataError: no event holds a point.
    """
    kept = [event for event in events if len(event[0])]
    if not kept:
        raise DataError("no validation event with points to choose the decision of a set decoder on")

    def score(choices: Iterable[Choice]) -> list[float]:
        reached = []
        for decision in map(as_decision, choices):
            found = ((truth, decide(chances, masks, decision).cpu().numpy()) for truth, chances, masks in kept)
            reached.append(float(np.mean([adjusted_rand_index(truth, labels) for truth, labels in found])))
        return reached

    return choose(VALUES, KINDS, score)
