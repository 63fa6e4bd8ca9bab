"""The neighbour graph equals all pairs sorted, in any dimension, with radius, ties and packed events."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tpcfm.errors import DataError
from tpcfm.prepare.geometry.neighbour_graph import neighbour_graph


def plain(points, k, max_distance=np.inf):
    """All pairs in float64, summed dimension by dimension, and a full sort."""
    points = points.astype(np.float64)
    squared = np.zeros((len(points), len(points)))
    for column in points.T:
        squared += (column[None, :] - column[:, None]) ** 2
    np.fill_diagonal(squared, np.inf)
    index = np.full((len(points), k), -1)
    distance = np.full((len(points), k), np.inf)
    for i, row in enumerate(squared):
        near = np.flatnonzero(row < max_distance**2)
        near = near[np.lexsort((near, row[near]))][:k]
        index[i, : len(near)], distance[i, : len(near)] = near, np.sqrt(row[near])
    return index, distance.astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    n=st.integers(1, 150),
    dims=st.integers(1, 24),
    k=st.integers(1, 60),
    max_distance=st.sampled_from([0.5, 1.0, 3.0, np.inf]),
    kind=st.sampled_from(["normal", "lattice", "equal", "float32"]),
)
def test_equals_all_pairs(seed, n, dims, k, max_distance, kind):
    points = np.random.default_rng(seed).normal(size=(n, dims))
    if kind == "lattice":  # many ties, also exactly at the radius
        points = np.round(points)
    elif kind == "equal":
        points = np.zeros_like(points)
    elif kind == "float32":
        points = points.astype(np.float32)
    found = neighbour_graph(points, k, max_distance=max_distance)
    index, distance = plain(points, k, max_distance)
    np.testing.assert_array_equal(found.index, index)
    np.testing.assert_array_equal(found.distance, distance)


@pytest.mark.parametrize(("dims", "k"), [(3, 30), (4, 50), (24, 10)])
def test_equals_all_pairs_on_a_large_clustered_event(dims, k):
    rng = np.random.default_rng(dims)
    points = rng.normal(0, 1, (40, dims))[rng.integers(0, 40, 1200)] + rng.normal(0, 0.1, (1200, dims))
    np.testing.assert_array_equal(neighbour_graph(points, k, max_distance=1.0).index, plain(points, k, 1.0)[0])


def test_packed_events_stay_apart():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(90, 5))
    offsets = np.array([0, 40, 40, 41, 90])
    found = neighbour_graph(points, 7, offsets=offsets)
    for start, stop in itertools.pairwise(offsets):
        alone = neighbour_graph(points[start:stop], 7)
        np.testing.assert_array_equal(found.index[start:stop], np.where(alone.index >= 0, alone.index + start, -1))
        np.testing.assert_array_equal(found.distance[start:stop], alone.distance)
    source, target = found.edges()
    assert len(source) == (found.index >= 0).sum()
    np.testing.assert_array_equal(np.searchsorted(offsets, source, "right"), np.searchsorted(offsets, target, "right"))
    assert (source != target).all()
    np.testing.assert_array_equal(target, np.sort(target))


def test_wrong_input_is_named():
    with pytest.raises(DataError, match=r"expected \(N, D\)"):
        neighbour_graph(np.zeros(3), 1)
    with pytest.raises(DataError, match="not finite"):
        neighbour_graph(np.array([[np.nan, 0.0]]), 1)
    with pytest.raises(DataError, match="do not divide"):
        neighbour_graph(np.zeros((3, 2)), 1, offsets=np.array([0, 2]))
