"""How well features group by label: silhouette and k-nearest-neighbour purity, the numbers beside the pictures."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import silhouette_score
from sklearn.neighbors import NearestNeighbors

from tpcfm.errors import DataError


@dataclass(frozen=True)
class FeatureGrouping:
    """Grouping of features by a label."""

    silhouette: float  # -1 to 1
    purity: float  # share of the k nearest neighbours with the same label
    chance: float  # purity expected of features that know nothing of the labels
    n: int  # points used
    n_labels: int


def knn_purity(
    features: npt.NDArray[np.floating], labels: npt.NDArray[np.integer], k: int = 10, *, macro: bool = False
) -> float:
    """Return the share of each point's k nearest neighbours (itself left out) that carry its label.

    Args:
        features: (N, D).
        labels: (N,).
        k: neighbours; fewer if there are not as many points.
        macro: mean over labels of the mean over their points, instead of the mean over points.

    Raises:
        DataError: fewer than two points, or lengths differ.
    """
    features, labels = _checked(features, labels)
    k = min(k, len(features) - 1)
    found = (
        NearestNeighbors(n_neighbors=k).fit(features).kneighbors(return_distance=False)
    )  # leaves the point itself out
    same = (labels[found] == labels[:, None]).mean(1)
    if not macro:
        return float(same.mean())
    return float(np.mean([same[labels == label].mean() for label in np.unique(labels)]))


def chance_purity(labels: npt.NDArray[np.integer]) -> float:
    """Return the purity expected when neighbours are drawn at random without replacement."""
    n = len(labels)
    sizes = np.unique(labels, return_counts=True)[1].astype(np.float64)
    return float((sizes * (sizes - 1)).sum() / (n * (n - 1)))


def feature_grouping(
    features: npt.NDArray[np.floating],
    labels: npt.NDArray[np.integer],
    *,
    k: int = 10,
    max_points: int = 5000,
    seed: int = 0,
) -> FeatureGrouping:
    """Return silhouette and kNN purity of features by label, on at most ``max_points`` points drawn with ``seed``.

    The silhouette needs at least two labels and fewer labels than points; it is NaN otherwise.

    Raises:
        DataError: fewer than two points, values that are not finite, or lengths differ.
    """
    features, labels = _checked(features, labels)
    if len(features) > max_points:
        rows = np.sort(np.random.default_rng(seed).choice(len(features), max_points, replace=False))
        features, labels = features[rows], labels[rows]
    n_labels = len(np.unique(labels))
    silhouette = float(silhouette_score(features, labels)) if 1 < n_labels < len(labels) else float("nan")
    return FeatureGrouping(silhouette, knn_purity(features, labels, k), chance_purity(labels), len(labels), n_labels)


def _checked(
    features: npt.NDArray[np.floating], labels: npt.NDArray[np.integer]
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.integer]]:
    features, labels = np.asarray(features), np.asarray(labels)
    if features.ndim != 2 or labels.shape != features.shape[:1] or len(features) < 2:
        raise DataError(
            f"feature grouping: features {features.shape}, labels {labels.shape}; expected (N, D), (N,), N > 1"
        )
    if not np.isfinite(features).all():
        raise DataError("feature grouping: features hold values that are not finite")
    return features, labels
