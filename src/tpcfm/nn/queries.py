"""What a set decoder predicts for the points of each event: a class and a mask for every query."""

from dataclasses import dataclass

from torch import Tensor

TRACK = 1  # class of a query that stands for an object: a track, a particle, an interaction


@dataclass(frozen=True)
class TrackSet:
    """One set of predictions: ``classes`` (B, Q, 2) logits, ``masks`` per event (Q, n) logits, of padded events (B, Q, L)."""

    classes: Tensor
    masks: list[Tensor] | Tensor
