"""Found objects of an event against the true ones: panoptic quality, and the sum of the signal in each.

A found and a true object match where they share more than half of their union (Kirillov et al., CVPR 2019, arXiv 1801.00868), so each has at
most one partner. Nothing here needs a field or a table of particles: it serves particles and interactions in liquid argon as well as tracks.
"""

import numpy as np
import numpy.typing as npt

from tpcfm.evaluate.intervals import bootstrap_sums, residual_spread
from tpcfm.evaluate.tracking import Labels, overlap

QUALITIES = ("panoptic_quality", "segmentation_quality", "recognition_quality")
LEAST = 10  # matched objects that a spread is made of


class ObjectTally:
    """Collects a test set event by event: qualities from summed counts, residuals of the signal of matched objects."""

    def __init__(self) -> None:
        self._rows: list[tuple[float, float, float, float]] = []
        self._residuals: list[npt.NDArray[np.float64]] = []

    def update(self, truth: Labels, prediction: Labels, signal: npt.NDArray[np.floating] | None = None) -> None:
        """Add one event: labels (N,), negative for no object, and a signal that adds up within objects (N,)."""
        pairs = overlap(truth, prediction)
        a, b = pairs.true_index, pairs.predicted_index
        share = pairs.shared / (pairs.true_sizes[a] + pairs.predicted_sizes[b] - pairs.shared)
        real = (pairs.true_ids[a] >= 0) & (pairs.predicted_ids[b] >= 0)
        matched = np.flatnonzero(real & (share > 0.5))
        true, found = int((pairs.true_ids >= 0).sum()), int((pairs.predicted_ids >= 0).sum())
        self._rows.append((float(share[matched].sum()), len(matched), true, found))
        if signal is None or not len(matched):
            return
        of_true = np.bincount(np.searchsorted(pairs.true_ids, truth), signal, len(pairs.true_ids))[a[matched]]
        of_found = np.bincount(np.searchsorted(pairs.predicted_ids, prediction), signal, len(pairs.predicted_ids))[
            b[matched]
        ]
        self._residuals.append((of_found / of_true - 1)[of_true > 0])

    @property
    def _table(self) -> npt.NDArray[np.float64]:
        return np.array(self._rows, np.float64).reshape(-1, 4)

    def _spread(self) -> dict[str, tuple[float, tuple[float, float]]]:
        residual = np.concatenate(self._residuals) if self._residuals else np.zeros(0)
        return residual_spread(residual, "signal") if len(residual) >= LEAST else {}

    def values(self) -> dict[str, float]:
        """Return the qualities (NaN without objects): recognition is matched / mean of true and found, segmentation the mean shared part of
        matched ones, panoptic their product; and ``signal_bias`` and ``signal_resolution``, median and half of the central 68 % of
        (found - true) / true sum of matched objects."""
        qualities = dict(zip(QUALITIES, _qualities(self._table.sum(0)).tolist(), strict=True))
        return qualities | {name: value for name, (value, _) in self._spread().items()}

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Return 95 % intervals from a bootstrap: of the qualities over events, of the signal over objects."""
        low, high = bootstrap_sums(self._table, _qualities)
        found = {name: (float(a), float(b)) for name, a, b in zip(QUALITIES, low, high, strict=True)}
        return found | {name: interval for name, (_, interval) in self._spread().items()}


def _qualities(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    shared, matched, true, found = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        segmentation, recognition = np.divide(shared, matched), np.divide(2 * matched, true + found)
    panoptic = shared * 2 / (true + found) if true + found else np.nan
    return np.array([panoptic, segmentation, recognition])


def object_classes(
    owner: Labels, truth: Labels, decided: Labels, classes: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the true and the decided class of every object of an event, (A,) each: those of most of its points.

    Args:
        owner: (N,) object of each point, negative for none.
        truth: (N,) classes, negative where there is none: such points have no vote.
        decided: (N,) classes.
        classes: their number.
    """
    votes = (owner >= 0) & (truth >= 0)
    ids, member = np.unique(owner[votes], return_inverse=True)

    def most(values: Labels) -> npt.NDArray[np.int64]:
        counts = np.bincount(member * classes + values[votes], minlength=len(ids) * classes)
        return counts.reshape(len(ids), classes).argmax(1)

    return most(truth), most(decided)
