"""From track queries to a label per point (arXiv 2508.14087, Sec. 4.3), as published and with a decision of one's own choice."""

from dataclasses import dataclass

import torch
from torch import Tensor

UNASSIGNED = -1


@dataclass(frozen=True)
class TrackDecision:
    """How points choose among queries. The default is the published rule.

    Attributes:
        threshold: probability of being a track above which a query takes part.
        power: exponent of that probability in the score of a query at a point (mask times probability to the power).
        min_points: tracks with fewer points dissolve, and their points choose again among the others.
    """

    threshold: float = 0.5
    power: float = 1.0
    min_points: int = 1


PUBLISHED = TrackDecision()


def decide(chances: Tensor, masks: Tensor, decision: TrackDecision = PUBLISHED) -> Tensor:
    """Return (N,) the query each point of an event belongs to, or -1.

    Args:
        chances: (Q,) probability of each query to be a track.
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
