"""Guarantees of C-NMS and neighbour search: equal to all-pairs twins, exact on the lattice, blind to storage order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tokenizer_twins as twins
from tpcfm.errors import DataError
from tpcfm.prepare.geometry.neighbourhood import ball_query, nearest
from tpcfm.prepare.geometry.sampling import farthest_points
from tpcfm.prepare.groups.suppression import suppress

EVENTS = [(1, 0), (2, 1), (40, 2), (300, 3), (900, 4)]
SETTINGS = [(5.0, 0.73), (5.0, 0.72), (2.5, 0.73), (5.0, 0.2), (5.0, 1.0), (3.0, 0.5)]


@pytest.mark.parametrize(("n", "seed"), EVENTS)
@pytest.mark.parametrize(("radius", "overlap"), SETTINGS)
@pytest.mark.parametrize("kind", [np.int32, np.float64])
def test_suppression_equals_its_twin(n, seed, radius, overlap, kind):
    points = twins.lattice_event(n, seed).astype(kind)
    if kind is np.float64:
        points += np.random.default_rng(seed).uniform(0, 1, points.shape)
    np.testing.assert_array_equal(suppress(points, radius, overlap), twins.cnms(points, radius, overlap))


@pytest.mark.parametrize(("n", "seed"), EVENTS)
@pytest.mark.parametrize("radius", [1.0, 2.5, 5.0, 8.0])
@pytest.mark.parametrize("kind", [np.int32, np.float64])
def test_ball_query_equals_its_twin(n, seed, radius, kind):
    points = twins.lattice_event(n, seed).astype(kind)
    centres = np.arange(0, len(points), 7)
    offset, members = ball_query(points, centres, radius)
    for found, expected in zip(np.split(members, offset[1:-1]), twins.balls(points, centres, radius), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("n", "seed"), EVENTS)
@pytest.mark.parametrize("k", [1, 4, 32])
@pytest.mark.parametrize("kind", [np.int32, np.float64])
def test_nearest_equals_its_twin(n, seed, k, kind):
    points = twins.lattice_event(n, seed).astype(kind)
    centres = np.arange(0, len(points), 5)
    rank = np.argsort(twins.lexicographic(points))
    expected = [np.lexsort((rank, row))[:k] for row in twins.squared(points)[centres]]
    np.testing.assert_array_equal(nearest(points, centres, k), expected)


@pytest.mark.parametrize(("n", "seed"), EVENTS)
@pytest.mark.parametrize("kind", [np.int32, np.float64])
def test_farthest_points_equal_their_twin(n, seed, kind):
    points = twins.lattice_event(n, seed).astype(kind)
    order = twins.lexicographic(points)
    np.testing.assert_array_equal(farthest_points(points, 50), order[twins.fps(points[order], 50, 0)])


@pytest.mark.parametrize("shift", [np.array([0, 0, 0]), np.array([100, 700, 3])])
def test_squared_distance_53_excludes_at_073_and_not_at_072(shift):
    for second, at_73, at_72 in (
        ([7, 2, 0], 1, 2),
        ([6, 4, 1], 1, 2),
        ([6, 4, 0], 1, 2),
        ([5, 5, 1], 1, 1),
        ([7, 2, 1], 2, 2),
    ):
        pair = np.array([[0, 0, 0], second]) + shift
        assert (len(suppress(pair, 5.0, 0.73)), len(suppress(pair, 5.0, 0.72))) == (at_73, at_72), second


def test_the_limit_itself_is_outside():
    assert len(suppress(np.array([[0, 0, 0], [7, 0, 0]]), 5.0, 0.7)) == 2  # 2 · 0.7 · 5 is 7 exactly
    assert len(suppress(np.array([[0, 0, 0], [6, 3, 2]]), 5.0, 0.7)) == 2
    assert len(suppress(np.array([[0, 0, 0], [6, 3, 1]]), 5.0, 0.7)) == 1
    _, members = ball_query(np.array([[0, 0, 0], [3, 4, 0], [0, 0, 4]]), [0], 5.0)
    assert sorted(members) == [0, 2]  # 3² + 4² is not below 5²


points_of_an_event = st.lists(st.tuples(*[st.integers(0, 25)] * 3), min_size=1, max_size=120, unique=True)


@settings(max_examples=60, deadline=None)
@given(points_of_an_event, st.sampled_from(SETTINGS), st.randoms(use_true_random=False))
def test_centres_are_apart_cover_all_and_ignore_storage_order(listed, setting, random):
    points = np.array(listed, np.int32)
    radius, overlap = setting
    limit = (2 * overlap * radius) ** 2
    centres = suppress(points, radius, overlap)
    apart = twins.squared(points[centres])[~np.eye(len(centres), dtype=bool)]
    assert (apart >= limit - 1e-9).all()
    assert (twins.squared(points)[:, centres].min(axis=1) < limit).all()
    order = np.array(random.sample(range(len(points)), len(points)))
    np.testing.assert_array_equal(points[order][suppress(points[order], radius, overlap)], points[centres])


def test_points_far_apart_and_large_coordinates_are_exact():
    points = np.array([[-(10**9), 5, 7], [10**9, 5, 7], [10**9 - 3, 5, 7], [0, 0, 0]])
    assert sorted(suppress(points, 5.0, 0.73)) == [0, 2, 3]
    assert len(suppress(points * 0.001, 5.0, 0.73)) == 3


def test_an_empty_event_has_no_centres():
    assert len(suppress(np.zeros((0, 3), int), 5.0, 0.73)) == 0


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.zeros((4, 2), int), r"shape \(4, 2\)"),
        (np.array([[np.nan, 0, 0]]), "not finite"),
        (np.array([[2**40, 0, 0]]), "beyond 30 bits"),
    ],
)
def test_bad_coordinates_are_refused(points, message):
    with pytest.raises(DataError, match=message):
        suppress(points, 5.0, 0.73)
