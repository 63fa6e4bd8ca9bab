"""Scores of point-wise segmentation with intervals over events, and calibrated decision weights."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
METRICS = ("f1", "precision", "recall", "iou")


def batched_scores(matrix: npt.NDArray[Any]) -> dict[str, Floats]:
    """Return F1, precision, recall and IoU of each class, for many matrices at once.

    Args:
        matrix: ``(..., C, C)`` confusion matrices.

    Returns:
        Arrays ``(..., C)``, defined as in `classification.class_scores`: a class that never occurs in truth has no score
        (NaN), one that is never predicted has precision 0.
    """
    hits = np.diagonal(matrix, axis1=-2, axis2=-1).astype(np.float64)
    true, predicted = matrix.sum(-1).astype(np.float64), matrix.sum(-2).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        union = true + predicted - hits
        some = true > 0
        return {
            "f1": np.where(some, 2 * hits / (true + predicted), np.nan),
            "precision": np.where(some, hits / np.maximum(predicted, 1), np.nan),
            "recall": np.where(some, hits / np.maximum(true, 1), np.nan),
            "iou": np.where(some, hits / union, np.nan),
        }


def macro(values: Floats) -> Floats:
    """Return the mean over the classes that have a score, ``(..., C)`` to ``(...)``; NaN where none has."""
    count = np.isfinite(values).sum(-1)
    return np.where(count > 0, np.nansum(values, axis=-1) / np.maximum(count, 1), np.nan)


def score_rows(
    per_event: npt.NDArray[Any], names: Sequence[str], *, suffix: str = "", resamples: int = 1000, seed: int = 0
) -> list[dict[str, Any]]:
    """Return table rows of every metric per class and on average, with 95 % intervals.

    Args:
        per_event: ``(E, C, C)`` confusion matrix of each event; scores are of the points of all events together.
        names: class names.
        suffix: appended to the metric names.
        resamples: bootstrap draws over events.
        seed: of the bootstrap.

    Returns:
        Mappings of ``metric``, ``class`` ("" for the mean over classes), ``value``, ``low``, ``high``.
    """
    events = len(per_event)
    weights = np.random.default_rng(seed).multinomial(events, np.full(events, 1 / events), size=resamples)
    drawn = np.tensordot(weights, per_event, axes=1)
    rows = []
    value, spread = batched_scores(per_event.sum(0)), batched_scores(drawn)
    for metric in METRICS:
        for name, one, many in [
            ("", macro(value[metric]), macro(spread[metric])),
            *((name, value[metric][c], spread[metric][:, c]) for c, name in enumerate(names)),
        ]:
            finite = many[np.isfinite(many)]
            low, high = np.quantile(finite, [0.025, 0.975]) if len(finite) else (np.nan, np.nan)
            rows.append({"metric": metric + suffix, "class": name, "value": float(one), "low": low, "high": high})
    return rows


def confusion_rows(matrix: npt.NDArray[Any], names: Sequence[str], *, suffix: str = "") -> list[dict[str, Any]]:
    """Return one row per cell of a confusion matrix, ``class`` = ``truth>prediction``, ``value`` = points."""
    return [
        {"metric": "confusion" + suffix, "class": f"{truth}>{prediction}", "value": float(matrix[i, j])}
        for i, truth in enumerate(names)
        for j, prediction in enumerate(names)
    ]


def tune_decision_weights(
    log_p: npt.NDArray[np.float32], truth: npt.NDArray[Any], *, rounds: int = 4, limit: float = 12.0
) -> Floats:
    """Find the class offsets w that maximise the macro F1 of argmax(log p + w).

    Training with strong class weights shifts the decision boundary towards rare classes; this shifts it back. By
    coordinate ascent: for one class at a time, every threshold that changes a decision is tried at once, by a sort.

    Args:
        log_p: ``(N, C)`` log-probabilities of held-out points (not those the result is reported on).
        truth: ``(N,)`` classes.
        rounds: passes over the classes.
        limit: largest offset.

    Returns:
        ``(C,)`` offsets with mean 0.
    """
    points, classes = log_p.shape
    offset = np.zeros(classes)
    truth = truth.astype(np.int64)
    true = np.bincount(truth, minlength=classes).astype(np.float64)
    everyone = np.arange(points)
    best = -1.0
    for _ in range(rounds):
        before = best
        for c in range(classes):
            rival_score = log_p + offset
            rival_score[:, c] = -np.inf
            rival = rival_score.argmax(1)
            threshold = rival_score[everyone, rival] - log_p[:, c]  # chosen as c once its offset exceeds this
            order = np.argsort(threshold, kind="stable")
            sorted_threshold, moved_from, is_true = threshold[order], rival[order], truth[order]
            # Row i: the first i points of the order belong to c, the others to their rival.
            f1 = np.empty((classes, points + 1))
            for k in range(classes):
                if k == c:
                    hits = np.concatenate([[0], np.cumsum(is_true == c)])
                    chosen = np.arange(points + 1)
                else:
                    leaves = moved_from == k
                    hits = (leaves & (is_true == k)).sum() - np.concatenate([[0], np.cumsum(leaves & (is_true == k))])
                    chosen = leaves.sum() - np.concatenate([[0], np.cumsum(leaves)])
                with np.errstate(invalid="ignore", divide="ignore"):
                    f1[k] = np.where(true[k] > 0, 2 * hits / (true[k] + chosen), np.nan)
            mean = macro(f1.T)
            # A cut is possible only between different thresholds, and only where the offset stays bounded.
            middle = (sorted_threshold[1:] + sorted_threshold[:-1]) / 2
            cut = np.concatenate([[sorted_threshold[0] - 1], middle, [sorted_threshold[-1] + 1]])
            possible = np.abs(cut) <= limit
            possible[1:-1] &= np.diff(sorted_threshold) > 0
            mean = np.where(possible, mean, -1.0)
            i = int(mean.argmax())
            if mean[i] > best:
                best, offset[c] = float(mean[i]), cut[i]
        if best <= before:
            break
    return offset - offset.mean()
