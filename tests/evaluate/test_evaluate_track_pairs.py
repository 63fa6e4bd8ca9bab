"""Merged and separated pairs are found by the majority rules, closest first, and nothing else is."""

import numpy as np
import pytest

from tpcfm.errors import DataError
from tpcfm.evaluate.track_pairs import contrasting_pairs, matched_tracks, merged_tracks

TRUTH = np.repeat([3, 7, 8, 9], [20, 12, 15, 6])
MERGING = np.concatenate([np.full(20, 0), np.full(12, 0), np.full(15, 0), np.full(6, 0)])


def lines():
    """Parallel lines: track 7 lies 1 cm from 3, track 8 lies 5 cm away, track 9 on top of 3."""
    x = np.concatenate([np.arange(n) for n in (20, 12, 15, 6)])
    return np.stack([x, np.repeat([0.0, 1.0, 5.0, 0.0], [20, 12, 15, 6]), np.zeros(len(x))], axis=1)


def test_pairs_come_closest_first_with_their_distances():
    table = contrasting_pairs(lines(), TRUTH, MERGING, TRUTH)
    assert table[["track_a", "track_b"]].to_numpy().tolist() == [[3, 7], [7, 8], [3, 8]]
    np.testing.assert_allclose(table["distance"], [1, 4, 5])
    np.testing.assert_allclose(table["closest"], [1, 4, 5])
    assert table.loc[0, ["points_a", "points_b"]].tolist() == [20, 12]
    assert len(contrasting_pairs(lines(), TRUTH, MERGING, TRUTH, min_points=5)) == 6


def test_only_what_one_merges_and_the_other_separates_counts():
    assert contrasting_pairs(lines(), TRUTH, TRUTH, MERGING).empty
    assert contrasting_pairs(lines(), TRUTH, MERGING, MERGING).empty
    unassigned = np.where(TRUTH == 7, -1, TRUTH)
    assert 7 not in contrasting_pairs(lines(), TRUTH, MERGING, unassigned)[["track_a", "track_b"]].to_numpy()
    assert contrasting_pairs(lines(), TRUTH, np.full(len(TRUTH), -1), TRUTH).empty
    with pytest.raises(DataError, match=r"expected \(N, 3\)"):
        contrasting_pairs(lines()[:4], TRUTH, MERGING, TRUTH)


def test_merging_needs_the_majority_of_both():
    half = np.repeat([0, 1, 0, 2], [10, 10, 12, 21])  # track 3 is cut in halves: 0 holds no majority of it
    assert [group.tolist() for group in merged_tracks(TRUTH, half)] == [[8, 9]]
    np.testing.assert_array_equal(matched_tracks(TRUTH, TRUTH), [3, 7, 8, 9])
    assert matched_tracks(TRUTH, MERGING).size == 0
