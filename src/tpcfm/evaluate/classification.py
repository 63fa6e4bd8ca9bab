"""Classification metrics from confusion counts: accuracy, recall, precision, F1, IoU, and the majority floor."""

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from tpcfm.errors import DataError
from tpcfm.evaluate.event_scores import Sums, confusion_sums
from tpcfm.evaluate.intervals import bootstrap_sums

Labels = npt.NDArray[np.integer]

METRICS = ("accuracy", "recall", "precision", "f1", "iou", "majority")
"""Keys of `ConfusionTally.values`: overall accuracy, macro means over classes, and the floor."""
PER_CLASS = ("recall", "precision", "f1", "iou")


def confusion_matrix(truth: Labels, prediction: Labels, n_classes: int) -> npt.NDArray[np.int64]:
    """Return the (C, C) counts of points; rows are true classes, columns predicted ones.

    Raises:
        DataError: lengths differ, or a label is outside 0 .. C - 1.
    """
    truth, prediction = np.asarray(truth), np.asarray(prediction)
    if truth.shape != prediction.shape or truth.ndim != 1:
        raise DataError(
            f"class labels: truth has shape {truth.shape}, prediction {prediction.shape}; expected equal (N,)"
        )
    for name, labels in (("truth", truth), ("prediction", prediction)):
        if len(labels) and (labels.min() < 0 or labels.max() >= n_classes):
            raise DataError(
                f"class labels: {name} holds {labels.min()} to {labels.max()}; allowed: 0 to {n_classes - 1}"
            )
    flat = truth.astype(np.int64) * n_classes + prediction.astype(np.int64)
    return np.bincount(flat, minlength=n_classes * n_classes).reshape(n_classes, n_classes)


def class_scores(matrix: npt.NDArray[np.floating] | npt.NDArray[np.integer]) -> dict[str, npt.NDArray[np.float64]]:
    """Return recall, precision, F1 and IoU of each class, (C,) each.

    A class that never occurs in truth has NaN everywhere. One that occurs but is never predicted has precision 0.
    """
    counts = np.asarray(matrix, dtype=np.float64)
    hit, true, predicted = np.diag(counts), counts.sum(1), counts.sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = np.where(true > 0, hit / true, np.nan)
        precision = np.where(true > 0, np.where(predicted > 0, hit / predicted, 0.0), np.nan)
        f1 = np.where(true > 0, 2 * hit / (true + predicted), np.nan)
        iou = np.where(true > 0, hit / (true + predicted - hit), np.nan)
    return {"recall": recall, "precision": precision, "f1": f1, "iou": iou}


def overall_scores(matrix: npt.NDArray[np.floating] | npt.NDArray[np.integer]) -> dict[str, float]:
    """Return accuracy, macro recall, precision, F1 and IoU over the classes that occur, and the majority floor.

    The floor is the accuracy of always naming the most frequent true class. All are NaN without points.
    """
    counts = np.asarray(matrix, dtype=np.float64)
    total = counts.sum()
    if total == 0:
        return dict.fromkeys(METRICS, float("nan"))
    scores = class_scores(counts)
    macro = {name: float(np.nanmean(scores[name])) for name in PER_CLASS}
    return {"accuracy": float(np.trace(counts) / total), **macro, "majority": float(counts.sum(1).max() / total)}


class ConfusionTally:
    """Collects the confusion counts of a test set event by event; metrics are of the summed counts.

    Args:
        classes: names of the classes, in the order of their labels, or their number.
    """

    def __init__(self, classes: Sequence[str] | int) -> None:
        self.classes = [str(label) for label in range(classes)] if isinstance(classes, int) else list(classes)
        self._rows: list[npt.NDArray[np.int64]] = []

    def update(self, truth: Labels, prediction: Labels, offsets: npt.NDArray[np.integer] | None = None) -> None:
        """Add one event, or the events of a packed batch divided by ``offsets`` (B+1,)."""
        bounds = [0, len(truth)] if offsets is None else [int(offset) for offset in offsets]
        if bounds[0] != 0 or bounds[-1] != len(truth):
            raise DataError(f"offsets run from {bounds[0]} to {bounds[-1]}, the labels hold {len(truth)} points")
        for start, stop in itertools.pairwise(bounds):
            self._rows.append(confusion_matrix(truth[start:stop], prediction[start:stop], len(self.classes)).ravel())

    def __len__(self) -> int:
        """Number of events so far."""
        return len(self._rows)

    @property
    def table(self) -> npt.NDArray[np.int64]:
        """Confusion counts per event, (events, C * C): what bootstraps draw from."""
        return np.array(self._rows, dtype=np.int64).reshape(len(self._rows), len(self.classes) ** 2)

    @property
    def matrix(self) -> npt.NDArray[np.int64]:
        """Confusion counts over all events, (C, C)."""
        return self.table.sum(0).reshape(len(self.classes), len(self.classes))

    def values(self) -> dict[str, float]:
        """Return the metrics over all classes by name (`METRICS`)."""
        return overall_scores(self.matrix)

    def per_class(self) -> pd.DataFrame:
        """Return one row per class: ``class recall precision f1 iou points share`` (points of the true class)."""
        matrix = self.matrix
        points = matrix.sum(1)
        columns = {"class": self.classes, **class_scores(matrix), "points": points}
        return pd.DataFrame({**columns, "share": points / max(points.sum(), 1)})

    def sums(self, *, suffix: str = "") -> Sums:
        """Return the scores of every event as sums that add up (see `tpcfm.evaluate.event_scores`)."""
        n = len(self.classes)
        return confusion_sums(self.table.reshape(-1, n, n), self.classes, suffix=suffix)

    def intervals(self, *, draws: int = 1000, level: float = 0.95, seed: int = 0) -> dict[str, tuple[float, float]]:
        """Return percentile intervals of the metrics over all classes, from a bootstrap over events."""
        n = len(self.classes)

        def statistic(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            return np.array(list(overall_scores(sums.reshape(n, n)).values()))

        low, high = bootstrap_sums(self.table.astype(np.float64), statistic, draws=draws, level=level, seed=seed)
        return {name: (float(a), float(b)) for name, a, b in zip(METRICS, low, high, strict=True)}
