"""Close-by true tracks that one system merges and another separates (arXiv 2508.14087, Figs. 10 to 12), found by rule."""

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial import cKDTree

from tpcfm.errors import DataError
from tpcfm.evaluate.tracking import Labels, matched_pairs, overlap

COLUMNS = ("track_a", "track_b", "points_a", "points_b", "distance", "closest")


def merged_tracks(truth: Labels, prediction: Labels) -> list[npt.NDArray[np.int64]]:
    """Return the groups of two or more true tracks that have more than half of their points in one predicted track."""
    pairs = overlap(truth, prediction)
    major = (2 * pairs.shared > pairs.true_sizes[pairs.true_index]) & (pairs.true_ids[pairs.true_index] >= 0)
    major &= pairs.predicted_ids[pairs.predicted_index] >= 0
    holder, held = pairs.predicted_index[major], pairs.true_index[major]
    groups = [pairs.true_ids[held[holder == one]].astype(np.int64) for one in np.unique(holder)]
    return [np.sort(group) for group in groups if len(group) > 1]


def matched_tracks(truth: Labels, prediction: Labels) -> npt.NDArray[np.int64]:
    """Return the sorted labels of the true tracks found by double majority."""
    pairs = overlap(truth, prediction)
    return np.sort(pairs.true_ids[pairs.true_index[matched_pairs(pairs)]]).astype(np.int64)


def contrasting_pairs(
    xyz: npt.NDArray[np.floating],
    truth: Labels,
    merging: Labels,
    separating: Labels,
    *,
    min_points: int = 10,
) -> pd.DataFrame:
    """Return pairs of true tracks of one event that one prediction merges and the other separates.

    Merged: one predicted track holds the majority of both. Separated: both are matched by double majority, hence by
    different predicted tracks.

    Args:
        xyz: (N, 3) points, cm.
        truth: (N,) true tracks.
        merging, separating: (N,) the two predictions.
        min_points: both tracks must have as many.

    Returns:
        ``track_a track_b`` (labels, a < b) ``points_a points_b distance closest``: mean distance from the points of the
        smaller track to the nearest point of the other, and the least one, cm; the closest pairs by mean come first.

    Raises:
        DataError: the arrays differ in length.
    """
    xyz, truth = np.asarray(xyz, dtype=np.float64), np.asarray(truth)
    if xyz.shape != (len(truth), 3):
        raise DataError(f"track pairs: points of shape {xyz.shape} for {len(truth)} labels; expected (N, 3)")
    found = set(matched_tracks(truth, separating).tolist())
    rows = []
    for group in merged_tracks(truth, merging):
        kept = [track for track in group.tolist() if track in found and (truth == track).sum() >= min_points]
        for at, a in enumerate(kept):
            for b in kept[at + 1 :]:
                one, other = xyz[truth == a], xyz[truth == b]
                small, large = (one, other) if len(one) <= len(other) else (other, one)
                gaps = cKDTree(large).query(small)[0]
                rows.append((a, b, len(one), len(other), float(gaps.mean()), float(gaps.min())))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.sort_values(["distance", "track_a", "track_b"], ignore_index=True)
