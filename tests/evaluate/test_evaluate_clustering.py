"""Grouping numbers: near one for separate groups, at chance for noise, equal to the plain definition."""

import numpy as np
import pytest

from tpcfm.errors import DataError
from tpcfm.evaluate.clustering import chance_purity, feature_grouping, knn_purity


def groups(distance, n=300, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, n)
    return rng.normal(0, 1, (n, 6)) + distance * np.eye(6)[labels], labels


def test_purity_equals_the_definition():
    features, labels = groups(2.0)
    squared = ((features[:, None] - features[None]) ** 2).sum(-1)
    np.fill_diagonal(squared, np.inf)
    nearest = np.argsort(squared, axis=1)[:, :7]
    same = (labels[nearest] == labels[:, None]).mean(1)
    assert knn_purity(features, labels, 7) == pytest.approx(same.mean())
    macro = np.mean([same[labels == label].mean() for label in range(4)])
    assert knn_purity(features, labels, 7, macro=True) == pytest.approx(macro)


def test_separate_groups_are_near_one_and_noise_is_at_chance():
    apart, labels = groups(30.0)
    found = feature_grouping(apart, labels)
    assert found.silhouette > 0.8
    assert found.purity > 0.99
    noise, labels = groups(0.0, n=2000)
    found = feature_grouping(noise, labels)
    assert abs(found.silhouette) < 0.05
    assert found.purity == pytest.approx(found.chance, abs=0.03)
    assert found.chance == pytest.approx(0.25, abs=0.02)


def test_subsample_is_seeded_and_reported():
    features, labels = groups(3.0, n=1000)
    a = feature_grouping(features, labels, max_points=200, seed=1)
    assert a == feature_grouping(features, labels, max_points=200, seed=1)
    assert a != feature_grouping(features, labels, max_points=200, seed=2)
    assert a.n == 200


def test_edge_cases():
    features, _ = groups(1.0, n=10)
    assert np.isnan(feature_grouping(features, np.zeros(10, int)).silhouette)
    assert chance_purity(np.zeros(10, int)) == 1.0
    assert knn_purity(features, np.zeros(10, int), k=50) == 1.0
    with pytest.raises(DataError, match="expected"):
        feature_grouping(features, np.zeros(9, int))
    with pytest.raises(DataError, match="finite"):
        feature_grouping(np.full((3, 2), np.nan), np.zeros(3, int))
