"""Scores event by event, as sums that add up: what paired comparisons resample (``event_scores.parquet`` of a run).

Every score of a test set is a ratio of two sums over its events (F1 = 2 hits / (2 hits + wrong + missed), and so on), so one
row per event, metric and class with numerator and denominator holds all that a bootstrap over events needs.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tpcfm.errors import DataError
from tpcfm.files import atomic

Counts = npt.NDArray[Any]
Sums = dict[tuple[str, str], npt.NDArray[np.float64]]
"""``(metric, class)`` to ``(E, 2)``: numerator and denominator of each event; class "" is a score over all classes."""

NAME = "event_scores.parquet"
CALIBRATED = "_calibrated"
"""Ending of the scores under a decision chosen on validation events."""
COLUMNS = ("event_id", "task", "repeat", "metric", "class", "numerator", "denominator")
TRACKING_EVENTS = {"ari": (1, 0), "efficiency": (6, 7), "purity": (6, 8)}  # columns of TrackingTally.table


def confusion_sums(per_event: Counts, names: Sequence[str], *, suffix: str = "") -> Sums:
    """Return F1, precision, recall and IoU of each class and the accuracy, from ``(E, C, C)`` confusion matrices.

    Rows of a matrix are true classes; ``suffix`` is appended to the metric names.
    """
    hits = np.diagonal(per_event, axis1=1, axis2=2)
    stacked = np.stack([hits, per_event.sum(1) - hits, per_event.sum(2) - hits], axis=-1)
    sums = hit_sums(stacked, names, suffix=suffix)
    sums["accuracy" + suffix, ""] = np.stack([hits.sum(1), per_event.sum((1, 2))], axis=1).astype(np.float64)
    return sums


def hit_sums(counts: Counts, names: Sequence[str], *, suffix: str = "") -> Sums:
    """Return F1, precision, recall and IoU of each class from ``(E, C, 3)`` hits, wrong and missed."""
    hit, wrong, missed = np.moveaxis(np.asarray(counts, dtype=np.float64), -1, 0)
    parts = {
        "f1": (2 * hit, 2 * hit + wrong + missed),
        "precision": (hit, hit + wrong),
        "recall": (hit, hit + missed),
        "iou": (hit, hit + wrong + missed),
    }
    return {
        (metric + suffix, name): np.stack([above[:, c], below[:, c]], axis=1)
        for metric, (above, below) in parts.items()
        for c, name in enumerate(names)
    }


def tracking_sums(table: npt.NDArray[np.float64], *, suffix: str = "") -> Sums:
    """Return Rand index, efficiency and purity from the table of :class:`tpcfm.evaluate.tracking.TrackingTally`.

    ``suffix`` is appended to the metric names.
    """
    return {(metric + suffix, ""): table[:, [above, below]] for metric, (above, below) in TRACKING_EVENTS.items()}


def write_event_scores(
    path: str | Path, event_ids: Sequence[str], parts: Sequence[tuple[str, int, Mapping[tuple[str, str], Counts]]]
) -> None:
    """Write the scores of one run.

    Args:
        event_ids: (E,) the test events, in the order of the sums.
        parts: per task and repetition within the run (a probe fits several): task, repetition, sums.

    Raises:
        DataError: sums of another number of events.
    """
    frames = []
    for task, repeat, sums in parts:
        for (metric, name), values in sums.items():
            if values.shape != (len(event_ids), 2):
                raise DataError(
                    f"{path}: {metric} {name!r} has sums of shape {values.shape}, there are {len(event_ids)} events"
                )
            common = {"event_id": list(event_ids), "task": task, "repeat": repeat, "metric": metric, "class": name}
            frames.append(pd.DataFrame({**common, "numerator": values[:, 0], "denominator": values[:, 1]}))
    if not frames:
        raise DataError(f"{path}: no scores to write")
    frame = pd.concat(frames, ignore_index=True)
    with atomic(path) as temporary:
        frame[list(COLUMNS)].to_parquet(temporary, index=False, compression="zstd")


def read_event_scores(path: str | Path) -> pd.DataFrame:
    """Read the scores of one run.

    Raises:
        DataError: a column is missing.
    """
    frame = pd.read_parquet(path)
    missing = set(COLUMNS) - set(frame.columns)
    if missing:
        raise DataError(f"{path}: not a table of scores per event: lacks {sorted(missing)}")
    return frame[list(COLUMNS)]


def ratio(
    metric: str, numerator: npt.NDArray[np.float64], denominator: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return numerator / denominator; where nothing was counted NaN, for precision 0 (nothing predicted)."""
    empty = 0.0 if metric.startswith("precision") else np.nan
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(denominator > 0, numerator / denominator, empty)
