"""Linear probe of frozen tokens: one linear SVM per class on principal components (arXiv 2502.02558, Sec. 4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.svm import LinearSVC

from tpcfm.errors import DataError

Floats = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]
MAX_ITERATIONS = 5000


@dataclass(frozen=True)
class TokenSet:
    """Frozen tokens of some events.

    Attributes:
        features: ``(T, D)``.
        labels: ``(T, C)``: the token has at least one point of the class.
        event: ``(T,)`` event number of each token, 0 .. E − 1.
    """

    features: Floats
    labels: Bools
    event: npt.NDArray[np.int64]

    def sample(self, count: int, seed: int) -> "TokenSet":
        """Return at most ``count`` tokens, drawn evenly from all events."""
        if len(self.features) <= count:
            return self
        keep = np.sort(np.random.default_rng(seed).choice(len(self.features), count, replace=False))
        return TokenSet(self.features[keep], self.labels[keep], self.event[keep])


def token_labels(classes_of: npt.NDArray[Any], member: npt.NDArray[np.int64], classes: int) -> Bools:
    """Return ``(T, classes)``: which classes occur among the member points of each token.

    Args:
        classes_of: ``(N,)`` class of each point, negative for none.
        member: ``(T, K)`` rows of the member points, −1 for an empty slot.
    """
    labels = np.zeros((len(member), classes), dtype=bool)
    token, slot = np.nonzero(member >= 0)
    found = classes_of[member[token, slot]]
    labels[token[found >= 0], found[found >= 0]] = True
    return labels


def fit_and_predict(train: TokenSet, test: TokenSet, *, components: int, c: float, seed: int) -> Bools:
    """Fit one balanced linear SVM per class and return its decisions on the test tokens, ``(T, C)``.

    Args:
        train, test: tokens of different events.
        components: principal components kept (fitted on the training tokens); 0 uses the features as they are.
        c: SVM regularisation C (squared hinge).
        seed: of PCA and SVM.

    A class without positive (or without negative) training tokens cannot be learnt: it is predicted as the only value seen.
    """
    if not len(train.features) or not len(test.features):
        raise DataError(f"probe: {len(train.features)} training and {len(test.features)} test tokens; both must exist")
    x, y = train.features, test.features
    if components:
        kept = min(components, *x.shape)
        projection = PCA(kept, svd_solver="full", random_state=seed).fit(x)
        x, y = projection.transform(x), projection.transform(y)
    chosen = np.zeros(test.labels.shape, dtype=bool)
    for k in range(train.labels.shape[1]):
        truth = train.labels[:, k]
        if truth.all() or not truth.any():
            chosen[:, k] = truth[0]
            continue
        machine = LinearSVC(C=c, class_weight="balanced", random_state=seed, dual="auto", max_iter=MAX_ITERATIONS)
        chosen[:, k] = machine.fit(x, truth).predict(y)
    return chosen


def event_counts(test: TokenSet, chosen: Bools, events: int) -> npt.NDArray[np.float64]:
    """Return true positives, false positives and false negatives, ``(events, C, 3)``."""
    counts = np.zeros((events, test.labels.shape[1], 3))
    for number, cell in enumerate((chosen & test.labels, chosen & ~test.labels, ~chosen & test.labels)):
        np.add.at(counts[..., number], test.event, cell.astype(np.float64))
    return counts


def f1(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return F1 of the positive class from ``(..., 3)`` counts; NaN where nothing is true."""
    hit, wrong, missed = np.moveaxis(counts, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(hit + missed > 0, 2 * hit / (2 * hit + wrong + missed), np.nan)


def probe_rows(
    per_seed: Sequence[npt.NDArray[np.float64]], names: Sequence[str], *, resamples: int = 1000, seed: int = 0
) -> list[dict[str, Any]]:
    """Return table rows of F1 per class and their mean, averaged over seeds, with 95 % intervals.

    A bootstrap draw takes one of the seeds at random and resamples its test events, so the interval covers both.

    Args:
        per_seed: for each seed the counts ``(events, C, 3)`` of :func:`event_counts`.
        names: class names.
    """
    rng = np.random.default_rng(seed)
    each = np.stack([f1(counts.sum(0)) for counts in per_seed])
    draws = np.empty((resamples, len(names)))
    for i in range(resamples):
        counts = per_seed[int(rng.integers(len(per_seed)))]
        draws[i] = f1(counts[rng.integers(len(counts), size=len(counts))].sum(0))
    rows = []
    columns = [("", _mean(each), _mean(draws)), *((n, each[:, k], draws[:, k]) for k, n in enumerate(names))]
    for name, values, drawn in columns:
        values, drawn = values[np.isfinite(values)], drawn[np.isfinite(drawn)]
        low, high = np.quantile(drawn, [0.025, 0.975]) if len(drawn) else (np.nan, np.nan)
        value = float(values.mean()) if len(values) else float("nan")
        rows.append({"metric": "f1", "class": name, "value": value, "low": float(low), "high": float(high)})
    return rows


def _mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mean over classes that have a score."""
    count = np.isfinite(values).sum(1)
    return np.where(count > 0, np.nansum(values, axis=1) / np.maximum(count, 1), np.nan)
