"""From a set of queries to a label per point (arXiv 2508.14087, Sec. 4.2), as published and with a decision of one's own choice."""

from dataclasses import dataclass

import torch
from torch import Tensor

from tpcfm.nn.queries import TRACK, TrackSet

UNASSIGNED = -1


@dataclass(frozen=True)
class SetDecision:
    """How points choose among queries. The default is the published rule.

    Attributes:
        threshold: probability of being an object above which a query takes part.
        power: exponent of that probability in the score of a query at a point (mask times probability to the power).
        min_points: objects with fewer points dissolve, and their points choose again among the others.
    """

    threshold: float = 0.5
    power: float = 1.0
    min_points: int = 1


PUBLISHED = SetDecision()


def decide(chances: Tensor, masks: Tensor, decision: SetDecision = PUBLISHED) -> Tensor:
    """Return (N,) the query each point of an event belongs to, or -1.

    Args:
        chances: (Q,) probability of each query to be an object.
        masks: (Q, N) probability of each point to belong to each query.
        decision: the rule.
    """
    chosen = chances > decision.threshold
    if not masks.shape[1] or not bool(chosen.any()):
        return torch.full((masks.shape[1],), UNASSIGNED, dtype=torch.int64, device=masks.device)
    score = masks * chances[:, None] ** decision.power
    score = score.masked_fill(~chosen[:, None], -1.0)
    best = score.argmax(0)
    sizes = best.bincount(minlength=len(chances))
    large = sizes >= decision.min_points
    if bool(large.any()) and bool((~large & (sizes > 0)).any()):
        best = score.masked_fill(~large[:, None], -1.0).argmax(0)
    return best


@torch.no_grad()
def query_chances(found: TrackSet) -> list[tuple[Tensor, Tensor]]:
    """Return per event (Q,) the probability of each query to be an object, and (Q, n) of each point to belong to it."""
    return [
        (classes.softmax(1)[:, TRACK], mask.sigmoid()) for classes, mask in zip(found.classes, found.masks, strict=True)
    ]


def assign_points(found: TrackSet, decision: SetDecision = PUBLISHED) -> Tensor:
    """Return (N,) the query each point belongs to, or -1: the largest mask times object probability among object queries."""
    return torch.cat([decide(chances, masks, decision) for chances, masks in query_chances(found)])
