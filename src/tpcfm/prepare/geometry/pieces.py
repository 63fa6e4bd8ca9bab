"""Pieces of the objects of one event: what is known of each, features of two, and two made one."""

import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tpcfm.detectors.model import Detector
from tpcfm.kernels import njit
from tpcfm.prepare.geometry.piece_features import NO_VOTE, OF_HELIX, OF_SIGNAL, SUMMARY, pair_features, summarise

MOST = 2000
"""Pieces that are looked at: the largest; the others stay as they are."""
CANDIDATES = 32
"""Nearest pieces of a piece that may belong to it."""
_TANGENT = 6  # nearest points of its piece that say where a point's track goes
_LEAST = 1e-6  # chances are kept this far from 0 and 1
Pairs = npt.NDArray[np.int64]


class Pieces:
    """Pieces of one event; nothing depends on the order of its points, as long as no two are at the same place.

    Args:
        detector: gives pitch and frame.
        xyz: (N, 3) in its unit.
        scaled_signal: (N,); None for a detector without signal.
        edges, scores: (2, E) pairs of near points and the chances (E,) that both belong to one object.
        labels: (N,) piece of each point, -1 for a point alone, which is a piece of its own.
    """

    def __init__(
        self,
        detector: Detector,
        xyz: npt.NDArray[np.number],
        scaled_signal: npt.NDArray[np.floating] | None,
        edges: npt.NDArray[np.integer],
        scores: npt.NDArray[np.floating],
        labels: npt.NDArray[np.integer],
    ) -> None:
        self.bent, self.signals = detector.cylindrical, 0 if scaled_signal is None else len(OF_SIGNAL)
        points = np.asarray(xyz, np.float64) / detector.pitch
        self.place = place = np.lexsort(points.T)
        """(N,) points in the order that everything below is in."""
        back = np.empty_like(place)
        back[place] = np.arange(len(points))
        self.xyz = np.ascontiguousarray(points[place])
        signal = np.zeros(len(points)) if scaled_signal is None else np.asarray(scaled_signal, np.float64)
        self.signal = signal[place]
        number = _numbered(np.asarray(labels)[place])
        self.numbers = number[back]
        """(N,) piece of each point, as the event gave them, before any was merged."""
        self.piece = np.where(number < MOST, number, -1)
        count = int(self.piece.max(initial=-1)) + 1
        order = np.argsort(self.piece, kind="stable")
        start = np.searchsorted(self.piece[order], np.arange(count + 1))
        self.members = [order[a:b] for a, b in pairwise(start)]
        self.tangent, self.offset = _tangents(self.xyz, order, start, _TANGENT)
        self.gap, self.end = _gaps(self.xyz, order, start)
        self.summary = np.array([self._summary(m) for m in self.members]).reshape(count, SUMMARY)
        self.votes = np.zeros((3, count, count), np.float32)
        self.votes[0] = NO_VOTE
        a, b = self.piece[back[edges]]
        between = (a != b) & (a >= 0) & (b >= 0)
        chance = np.clip(scores[between].astype(np.float64), _LEAST, 1 - _LEAST)
        odds = np.log(chance / (1 - chance))
        for one, other in ((a[between], b[between]), (b[between], a[between])):
            np.maximum.at(self.votes[0], (one, other), odds)
            np.add.at(self.votes[1], (one, other), odds)
            np.add.at(self.votes[2], (one, other), 1)

    def _summary(self, points: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        return np.asarray(summarise(self.xyz, self.signal, self.tangent, points, self.bent))

    def candidates(self) -> Pairs:
        """Return the pairs (E, 2), smaller number first, of pieces of which one is among the nearest of the other."""
        count = len(self.members)
        if count < 2:
            return np.zeros((0, 2), np.int64)
        near = np.argsort(self.gap, axis=1, kind="stable")[:, : min(CANDIDATES, count - 1)]
        own = np.repeat(np.arange(count), near.shape[1])
        other = near.ravel()
        there = np.isfinite(self.gap[own, other])  # not what was put into another
        key = np.unique((np.minimum(own, other) * count + np.maximum(own, other))[there])
        return np.stack(np.divmod(key, count), axis=1)

    def features(self, pairs: Pairs) -> npt.NDArray[np.float32]:
        """Return the features (E, F) of pairs (E, 2), see `tpcfm.prepare.geometry.piece_features`."""
        size = np.array([len(m) for m in self.members])
        order = np.concatenate(self.members) if len(size) else np.zeros(0, np.int64)
        found = pair_features(
            self.xyz, self.tangent, self.offset, order, np.cumsum(size) - size, size, self.summary, self.gap, self.end, self.votes,
            np.ascontiguousarray(pairs), self.signals, len(OF_HELIX) if self.bent else 0,
        )  # fmt: skip
        return found.astype(np.float32)

    def merge(self, p: int, q: int) -> None:
        """Put piece ``q`` into piece ``p``; ``q`` is empty afterwards."""
        self.members[p] = np.concatenate([self.members[p], self.members[q]])
        self.members[q] = self.members[q][:0]
        self.piece[self.members[p]] = p
        self.summary[p] = self._summary(self.members[p])
        nearer = self.gap[q] < self.gap[p]
        self.gap[p, nearer] = self.gap[q, nearer]
        self.end[p, nearer], self.end[nearer, p] = self.end[q, nearer], self.end[nearer, q]
        self.gap[p, [p, q]] = np.inf
        self.gap[:, p] = self.gap[p]
        self.gap[q], self.gap[:, q] = np.inf, np.inf
        np.maximum(self.votes[0, p], self.votes[0, q], out=self.votes[0, p])
        self.votes[1:, p] += self.votes[1:, q]
        self.votes[:, :, p] = self.votes[:, p]


def _numbered(labels: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Return the number of each point's piece (N,), the largest first; a point alone (-1) is one."""
    labels = labels.astype(np.int64)
    alone = np.flatnonzero(labels < 0)
    labels[alone] = labels.max(initial=-1) + 1 + np.arange(len(alone))
    _, first, number, size = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(size), np.int64)
    rank[np.lexsort((first, -size))] = np.arange(len(size))
    return rank[number]


@njit(cache=True, nogil=True)
def _tangents(xyz, order, start, count):  # type: ignore[no-untyped-def]
    """Return unit tangents (N, 3) of points within their pieces (zeros in a piece of one), and their offsets (N,) from the mean around them."""
    tangent, offset = np.zeros(xyz.shape), np.zeros(len(xyz))
    for piece in range(len(start) - 1):
        members = order[start[piece] : start[piece + 1]]
        if len(members) < 2:
            continue
        for i in members:
            distance = np.empty(len(members))
            for m, j in enumerate(members):
                distance[m] = ((xyz[i] - xyz[j]) ** 2).sum()
            # All at the same distance as the last, so that no order decides.
            reach = np.partition(distance, min(count, len(members) - 1))[min(count, len(members) - 1)] * (1 + 1e-6)
            near = members[distance <= reach]
            mean = np.zeros(3)
            for j in near:
                mean += xyz[j] / len(near)
            spread = np.zeros((3, 3))
            for j in near:
                step = xyz[j] - mean
                for a in range(3):
                    for b in range(3):
                        spread[a, b] += step[a] * step[b]
            tangent[i] = np.linalg.eigh(spread)[1][:, 2]
            scale = max((spread[0, 0] + spread[1, 1] + spread[2, 2]) / len(near), 1e-6)
            offset[i] = math.sqrt(((xyz[i] - mean) ** 2).sum() / scale)
    return tangent, offset


@njit(cache=True, nogil=True)
def _gaps(xyz, order, start):  # type: ignore[no-untyped-def]
    """Return the smallest distance between any two pieces (P, P), infinite with itself, and the point of the first that is nearest to the second."""
    count = len(start) - 1
    gap = np.full((count, count), np.inf, np.float32)
    end = np.zeros((count, count), np.int32)
    for p in range(count):
        for q in range(p + 1, count):
            best, at, to = 1e30, order[start[p]], order[start[q]]
            for i in order[start[p] : start[p + 1]]:
                for j in order[start[q] : start[q + 1]]:
                    x, y, z = xyz[i, 0] - xyz[j, 0], xyz[i, 1] - xyz[j, 1], xyz[i, 2] - xyz[j, 2]
                    distance = x * x + y * y + z * z
                    if distance < best:
                        best, at, to = distance, i, j
            gap[p, q] = gap[q, p] = math.sqrt(best)
            end[p, q], end[q, p] = at, to
    return gap, end
