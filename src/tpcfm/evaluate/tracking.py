"""Track-finding metrics: double majority, adjusted Rand index, spacepoint shares (arXiv 2508.14087, Sec. 5, Table 6).

Conventions: every distinct label >= 0 is a track; a negative prediction is a point left unassigned, which belongs to no
predicted track but counts as one more cluster in the Rand index (so do negative truth labels).
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tpcfm.errors import DataError
from tpcfm.evaluate.intervals import bootstrap_sums

Labels = npt.NDArray[np.integer]

MIN_TRUE = 3
MIN_PREDICTED = 4
"""Points that a true and a predicted track need to be counted in the variant with minimum sizes (released scripts)."""


@dataclass(frozen=True)
class Overlap:
    """Sizes of the clusters of one event and the points that each true one shares with each predicted one."""

    true_ids: Labels  # (A,) sorted labels
    true_sizes: npt.NDArray[np.int64]  # (A,) points
    predicted_ids: Labels  # (P,) sorted labels
    predicted_sizes: npt.NDArray[np.int64]  # (P,) points
    true_index: npt.NDArray[np.int64]  # (M,) pairs that share at least one point
    predicted_index: npt.NDArray[np.int64]
    shared: npt.NDArray[np.int64]  # (M,) points shared


def overlap(truth: Labels, prediction: Labels) -> Overlap:
    """Count the points shared by each pair of true and predicted clusters of one event.

    Args:
        truth, prediction: (N,) integer labels of the same points.

    Raises:
        DataError: the two differ in length.
    """
    truth, prediction = np.asarray(truth), np.asarray(prediction)
    if truth.shape != prediction.shape or truth.ndim != 1:
        raise DataError(
            f"track labels: truth has shape {truth.shape}, prediction {prediction.shape}; expected equal (N,)"
        )
    true_ids, a, true_sizes = np.unique(truth, return_inverse=True, return_counts=True)
    predicted_ids, b, predicted_sizes = np.unique(prediction, return_inverse=True, return_counts=True)
    pairs, shared = np.unique(a * len(predicted_ids) + b, return_counts=True)
    true_index, predicted_index = np.divmod(pairs, max(len(predicted_ids), 1))
    return Overlap(true_ids, true_sizes, predicted_ids, predicted_sizes, true_index, predicted_index, shared)


def matched_pairs(pairs: Overlap) -> npt.NDArray[np.int64]:
    """Return the rows of the pairs that match by double majority.

    A predicted track matches a true one when more than half of its points belong to it and it holds more than half of
    the points of it; so each takes part in at most one pair.
    """
    a, b = pairs.true_index, pairs.predicted_index
    good = (2 * pairs.shared > pairs.true_sizes[a]) & (2 * pairs.shared > pairs.predicted_sizes[b])
    return np.flatnonzero(good & (pairs.true_ids[a] >= 0) & (pairs.predicted_ids[b] >= 0))


@dataclass(frozen=True)
class TrackCounts:
    """Counts of double-majority matching; they add up over events."""

    matched: int = 0  # pairs
    true: int = 0  # true tracks
    predicted: int = 0  # predicted tracks
    shared_points: int = 0  # points in both tracks of a matched pair
    true_points: int = 0  # points of matched true tracks
    predicted_points: int = 0  # points of matched predicted tracks

    def __add__(self, other: "TrackCounts") -> "TrackCounts":
        return TrackCounts(*(a + b for a, b in zip(self.as_tuple(), other.as_tuple(), strict=True)))

    def as_tuple(self) -> tuple[int, int, int, int, int, int]:
        """Return the six counts in the order of the fields."""
        return self.matched, self.true, self.predicted, self.shared_points, self.true_points, self.predicted_points

    @property
    def efficiency(self) -> float:
        """Matched / true tracks; NaN without true tracks."""
        return _ratio(self.matched, self.true)

    @property
    def purity(self) -> float:
        """Matched / predicted tracks; NaN without predicted tracks."""
        return _ratio(self.matched, self.predicted)

    @property
    def spacepoint_efficiency(self) -> float:
        """Share of the points of matched true tracks that their match holds."""
        return _ratio(self.shared_points, self.true_points)

    @property
    def spacepoint_purity(self) -> float:
        """Share of the points of matched predicted tracks that belong to their true track."""
        return _ratio(self.shared_points, self.predicted_points)


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else float("nan")


def double_majority(
    truth: Labels,
    prediction: Labels,
    *,
    min_true: int = 1,
    min_predicted: int = 1,
    select: Labels | None = None,
) -> TrackCounts:
    """Count the tracks of one event and those matched by double majority.

    Args:
        truth, prediction: (N,) labels.
        min_true, min_predicted: tracks with fewer points are not counted, on neither side of a ratio.
        select: labels of the true tracks to count (a physics selection); all if not given. Predicted tracks are not
            restricted by it, so only the efficiency is meaningful then.
    """
    return _count(overlap(truth, prediction), min_true, min_predicted, select)


def _count(pairs: Overlap, min_true: int = 1, min_predicted: int = 1, select: Labels | None = None) -> TrackCounts:
    true = (pairs.true_ids >= 0) & (pairs.true_sizes >= min_true)
    if select is not None:
        true &= np.isin(pairs.true_ids, select)
    predicted = (pairs.predicted_ids >= 0) & (pairs.predicted_sizes >= min_predicted)
    rows = matched_pairs(pairs)
    rows = rows[true[pairs.true_index[rows]] & predicted[pairs.predicted_index[rows]]]
    return TrackCounts(
        matched=len(rows),
        true=int(true.sum()),
        predicted=int(predicted.sum()),
        shared_points=int(pairs.shared[rows].sum()),
        true_points=int(pairs.true_sizes[pairs.true_index[rows]].sum()),
        predicted_points=int(pairs.predicted_sizes[pairs.predicted_index[rows]].sum()),
    )


def pair_counts(pairs: Overlap) -> tuple[float, float, float, float]:
    """Return the numbers of point pairs: in the same cluster of both, of truth, of the prediction, and all.

    Float64, since pooled test sets hold more pairs than fit exactly in products of 64-bit integers.
    """

    def choose(sizes: npt.NDArray[np.int64]) -> float:
        return float((sizes * (sizes - 1) // 2).sum())

    return (
        choose(pairs.shared),
        choose(pairs.true_sizes),
        choose(pairs.predicted_sizes),
        choose(np.array([pairs.true_sizes.sum()])),
    )


def rand_from_pairs(both: float, true: float, predicted: float, total: float) -> float:
    """Return the adjusted Rand index from pair counts (Hubert and Arabie 1985); 1 for two identical partitions."""
    if both == true == predicted:
        return 1.0
    expected = true * predicted / total
    return (both - expected) / ((true + predicted) / 2 - expected)


def adjusted_rand_index(truth: Labels, prediction: Labels) -> float:
    """Return the adjusted Rand index of two partitions of the same points."""
    return rand_from_pairs(*pair_counts(overlap(truth, prediction)))


METRICS = (
    "ari",
    "ari_pooled",
    "efficiency",
    "purity",
    "efficiency_min_size",
    "purity_min_size",
    "spacepoint_efficiency",
    "spacepoint_purity",
)
"""Keys of `TrackingTally.values`."""


class TrackingTally:
    """Collects a test set event by event; all ratios are of sums over it, except the mean of the events' Rand index.

    ``ari`` is the mean over events, ``ari_pooled`` treats all points as one set with labels unique to their event;
    ``*_min_size`` count only true tracks of at least 3 and predicted ones of at least 4 points.
    """

    def __init__(self) -> None:
        self._rows: list[tuple[float, ...]] = []
        self._points: list[int] = []

    def update(self, truth: Labels, prediction: Labels, offsets: npt.NDArray[np.integer] | None = None) -> None:
        """Add one event, or the events of a packed batch divided by ``offsets`` (B+1,); empty ones are passed."""
        for start, stop in _spans(len(truth), offsets):
            pairs = overlap(truth[start:stop], prediction[start:stop])
            pair_numbers = pair_counts(pairs)
            # Points of different events are never together, so only the number of all pairs does not add up.
            plain, sized = _count(pairs), _count(pairs, MIN_TRUE, MIN_PREDICTED)
            row = (
                1,
                rand_from_pairs(*pair_numbers),
                *pair_numbers[:3],
                stop - start,
                *plain.as_tuple(),
                *sized.as_tuple(),
            )
            self._rows.append(row)

    def __len__(self) -> int:
        """Number of events so far."""
        return len(self._rows)

    @property
    def table(self) -> npt.NDArray[np.float64]:
        """One row of additive counts per event: what bootstraps draw from."""
        return np.array(self._rows, dtype=np.float64).reshape(len(self._rows), 18)

    @property
    def counts(self) -> TrackCounts:
        """Counts over all events, without minimum sizes."""
        return TrackCounts(*(int(value) for value in self.table.sum(0)[6:12]))

    @property
    def counts_min_size(self) -> TrackCounts:
        """Counts over all events, with minimum sizes."""
        return TrackCounts(*(int(value) for value in self.table.sum(0)[12:18]))

    def values(self) -> dict[str, float]:
        """Return the metrics by name (`METRICS`); NaN where nothing was counted."""
        return dict(zip(METRICS, _from_sums(self.table.sum(0)).tolist(), strict=True))

    def intervals(self, *, draws: int = 1000, level: float = 0.95, seed: int = 0) -> dict[str, tuple[float, float]]:
        """Return percentile intervals of all metrics from a bootstrap over events."""
        low, high = bootstrap_sums(self.table, _from_sums, draws=draws, level=level, seed=seed)
        return {name: (float(a), float(b)) for name, a, b in zip(METRICS, low, high, strict=True)}


def _from_sums(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    events, rand, both, true, predicted, points = sums[:6]
    plain, sized = TrackCounts(*sums[6:12]), TrackCounts(*sums[12:18])
    pooled = rand_from_pairs(both, true, predicted, points * (points - 1) / 2) if points else float("nan")
    values = [_ratio(rand, events), pooled, plain.efficiency, plain.purity, sized.efficiency, sized.purity]
    return np.array([*values, plain.spacepoint_efficiency, plain.spacepoint_purity])


def _spans(n: int, offsets: npt.NDArray[np.integer] | None) -> Iterator[tuple[int, int]]:
    bounds = [0, n] if offsets is None else [int(offset) for offset in offsets]
    if bounds[0] != 0 or bounds[-1] != n:
        raise DataError(f"offsets run from {bounds[0]} to {bounds[-1]}, the labels hold {n} points")
    for start, stop in itertools.pairwise(bounds):
        if stop > start:
            yield start, stop
