"""Greedy contraction agrees with a plain twin, is outvoted by pairs that speak against, and with clean scores gives components."""

import numpy as np
import pytest

from tpcfm.evaluate.tracking import adjusted_rand_index
from tpcfm.tracking.clusters import components
from tpcfm.tracking.partition import partition


def twin(points: int, edges: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
    """A full matrix of votes: the largest is contracted until none is above zero."""
    votes = np.zeros((points, points))
    for (a, b), p in zip(edges.T, scores, strict=True):
        votes[a, b] = votes[b, a] = np.log(p / (1 - p)) - np.log(threshold / (1 - threshold))
    labels, left = np.arange(points), list(range(points))
    while len(left) > 1:
        inside = votes[np.ix_(left, left)] - np.diag(np.full(len(left), np.inf))
        i, j = np.unravel_index(inside.argmax(), inside.shape)
        if inside[i, j] <= 0:
            break
        a, b = left[i], left[j]
        votes[a] += votes[b]
        votes[:, a] += votes[:, b]
        labels[labels == b] = a
        left.remove(b)
    alone = np.bincount(labels, minlength=points)[labels] == 1
    return np.where(alone, -1, labels)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8])
def test_as_the_twin(seed: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    pairs = np.stack(np.triu_indices(25, 1))
    edges = pairs[:, rng.random(pairs.shape[1]) < 0.3]
    scores = rng.uniform(0.05, 0.95, edges.shape[1])
    found, slow = (f(25, edges, scores, threshold) for f in (partition, twin))
    assert (found < 0).tolist() == (slow < 0).tolist()
    together = [labels[:, None] == labels[None] for labels in (found, slow)]
    kept = found >= 0
    np.testing.assert_array_equal(together[0][kept][:, kept], together[1][kept][:, kept])


def test_one_false_pair_does_not_join_two_tracks() -> None:
    a, b = np.arange(10), np.arange(10, 20)
    inside = np.concatenate([np.stack([t[:-1], t[1:]]) for t in (a, b)], axis=1)
    between = np.stack([[4, 4, 5, 5], [14, 15, 14, 15]])
    edges = np.concatenate([inside, between], axis=1)
    scores = np.concatenate([np.full(inside.shape[1], 0.98), [0.9, 0.1, 0.1, 0.1]])
    truth = np.repeat([0, 1], 10)
    assert adjusted_rand_index(truth, components(20, edges[:, scores > 0.5])) == 0
    assert adjusted_rand_index(truth, partition(20, edges, scores, 0.5)) == 1


def test_clean_scores_give_components_and_points_alone_get_none() -> None:
    edges = np.array([[0, 1, 3], [1, 2, 4]])
    found = partition(6, edges, np.array([0.99, 0.99, 0.99]), 0.5)
    assert (found[[0, 1, 2]] == found[0]).all()
    assert found[3] == found[4] != found[0]
    assert found[5] == -1
    assert partition(0, np.zeros((2, 0), np.int64), np.zeros(0), 0.5).shape == (0,)
