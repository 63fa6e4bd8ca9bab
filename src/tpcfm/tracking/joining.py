"""Objects out of pieces: the two that most likely belong together are made one, its features taken anew, again and again."""

import heapq
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tpcfm.prepare.geometry.pieces import Pieces

LEAST = 0.05
"""Chance below which two pieces are never made one."""
Score = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.floating]]
"""Features (E, F) of pairs of pieces to the chances (E,) that both belong to one object."""


class Joined(NamedTuple):
    """All that was joined, the most likely first."""

    pieces: npt.NDArray[np.int64]
    """(N,) piece of each point before."""
    steps: list[tuple[float, int, int]]
    """Chance, piece, piece that was put into it."""


def join_pieces(pieces: Pieces, score: Score) -> Joined:
    """Join pieces as long as some pair reaches `LEAST`; ``pieces`` is changed.

    Which pairs come first does not depend on where it ends, so one pass serves every threshold (`cut`).
    """
    steps: list[tuple[float, int, int]] = []
    near: list[dict[int, float]] = [{} for _ in pieces.members]
    heap: list[tuple[float, int, int]] = []

    def look(pairs: npt.NDArray[np.int64]) -> None:
        if not len(pairs):
            return
        for (p, q), chance in zip(pairs.tolist(), score(pieces.features(pairs)).tolist(), strict=True):
            near[p][q] = near[q][p] = chance
            if chance >= LEAST:
                heapq.heappush(heap, (-chance, p, q))

    look(pieces.candidates())
    while heap:
        chance, p, q = heapq.heappop(heap)
        if near[p].get(q) != -chance:
            continue  # of a pair that has changed since
        steps.append((-chance, p, q))
        pieces.merge(p, q)
        others = sorted((near[p].keys() | near[q].keys()) - {p, q})
        for other in near[q]:
            near[other].pop(q)
        near[q].clear()
        look(np.array([(min(p, other), max(p, other)) for other in others], np.int64).reshape(-1, 2))
    return Joined(pieces.numbers, steps)


def cut(joined: Joined, threshold: float) -> npt.NDArray[np.int64]:
    """Return the object of each point (N,), -1 for a point alone, when joining ends at the first pair below a threshold."""
    target = np.arange(joined.pieces.max(initial=-1) + 1)
    for chance, p, q in joined.steps:
        if chance < threshold:
            break
        target[target == q] = p
    found = target[joined.pieces]
    alone = np.bincount(found, minlength=1)[found] == 1
    return np.where(alone, -1, found)
