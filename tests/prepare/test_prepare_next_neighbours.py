"""Next-neighbour targets equal the plain definition, for both candidate sets, with and without the azimuth seam."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_tables import SPHENIX
from tpcfm.prepare.sequences import next_neighbours as module
from tpcfm.prepare.sequences.features import level_index, ranges
from tpcfm.prepare.sequences.next_neighbours import next_neighbours
from tpcfm.prepare.sequences.serialization import radial_rank

LAYER_RADII_CM = np.array(SPHENIX.layers.radii)


def plain(features, k, preset, candidates, wrap):
    """The definition, with a full distance matrix in float64 and a full sort."""
    points = features[:, 1:4].astype(np.float64)
    difference = np.abs(points[None, :, :] - points[:, None, :])
    if wrap:
        difference[..., 1] = np.minimum(difference[..., 1], np.abs(1 - difference[..., 1]))
    squared = difference**2
    distance = (squared[..., 0] + squared[..., 1]) + squared[..., 2]
    key = level_index(features[:, 3], SPHENIX, preset) if candidates == "outer_radius" else radial_rank(features)
    allowed = key[None, :] > key[:, None]
    found = np.full((len(points), k), -1)
    for i in range(len(points)):
        rows = np.flatnonzero(allowed[i])
        nearest = rows[np.lexsort((rows, distance[i, rows]))][:k]
        found[i, : len(nearest)] = nearest
    return found


def event(rng, n, preset="", lattice=False, spread=0.2):
    """Points on layers; on a coarse lattice, distances tie often."""
    layers = rng.integers(0, 48, n)
    offset, width = ranges(SPHENIX, preset)[2]
    eta, phi = rng.normal(0.5, spread, n), rng.random(n)
    if lattice:
        eta, phi = np.round(eta * 8) / 8, rng.integers(0, 9, n) / 8
        radius = LAYER_RADII_CM[layers]
    else:
        radius = LAYER_RADII_CM[layers] + rng.normal(0, 0.005, n)
    return np.stack([rng.normal(size=n), eta, phi, (radius - offset) / width], axis=1).astype(np.float32)


@pytest.mark.parametrize("candidates", ["outer_radius", "later_index"])
@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("preset", ["", "released"])
@pytest.mark.parametrize(("n", "k"), [(1, 3), (2, 1), (7, 30), (60, 5), (700, 30)])
def test_equals_the_definition(candidates, wrap, preset, n, k):
    rng = np.random.default_rng(n)
    for lattice in (False, True):
        features = event(rng, n, preset, lattice)
        found = next_neighbours(features, k, SPHENIX, preset=preset, candidates=candidates, wrap=wrap)
        np.testing.assert_array_equal(found, plain(features, k, preset, candidates, wrap))


@settings(max_examples=150, deadline=None)
@given(
    per_column=st.sampled_from([0.5, 2, 9, 80]),  # small events must meet grids of many columns too, odd and even
    seed=st.integers(0, 2**31),
    n=st.integers(1, 120),
    k=st.integers(1, 40),
    spread=st.sampled_from([0.0, 1e-7, 0.05, 0.3, 3.0]),
    lattice=st.booleans(),
    wrap=st.booleans(),
    candidates=st.sampled_from(["outer_radius", "later_index"]),
)
def test_any_event_equals_the_definition(per_column, seed, n, k, spread, lattice, wrap, candidates):
    features = event(np.random.default_rng(seed), n, "", lattice, spread)
    with mock.patch.object(module, "_PER_COLUMN", per_column):
        found = next_neighbours(features, k, SPHENIX, candidates=candidates, wrap=wrap)
    np.testing.assert_array_equal(found, plain(features, k, "", candidates, wrap))


def test_permuting_points_permutes_the_neighbours():
    rng = np.random.default_rng(3)
    features = event(rng, 300)
    order = rng.permutation(300)
    place = np.argsort(order)
    found = next_neighbours(features, 6, SPHENIX)
    expected = np.where(found >= 0, place[found], -1)[order]
    np.testing.assert_array_equal(next_neighbours(features[order], 6, SPHENIX), expected)


def test_strict_radius_never_takes_a_point_of_the_same_layer():
    rng = np.random.default_rng(4)
    features = event(rng, 400)
    layers = level_index(features[:, 3], SPHENIX)
    found = next_neighbours(features, 30, SPHENIX)
    i, m = np.nonzero(found >= 0)
    assert (layers[found[i, m]] > layers[i]).all()
    assert (found[layers == layers.max()] == -1).all()
    later = next_neighbours(features, 30, SPHENIX, candidates="later_index")
    i, m = np.nonzero(later >= 0)
    assert (layers[later[i, m]] == layers[i]).any()


def test_seam_matters_only_with_wrap():
    features = np.array([[0, 0.5, 0.01, 0.1], [0, 0.5, 0.99, 0.3], [0, 0.5, 0.30, 0.3]], dtype=np.float32)
    assert next_neighbours(features, 1, SPHENIX)[0, 0] == 2
    assert next_neighbours(features, 1, SPHENIX, wrap=True)[0, 0] == 1


@pytest.mark.parametrize("wrap", [False, True])
def test_very_long_event_is_exact(wrap):
    rng = np.random.default_rng(6)
    features = event(rng, 20_000)
    found = next_neighbours(features, 30, SPHENIX, wrap=wrap)
    layers = level_index(features[:, 3], SPHENIX)
    points = features[:, 1:4].astype(np.float64)
    for i in rng.integers(0, 20_000, 200):
        difference = np.abs(points - points[i])
        if wrap:
            difference[:, 1] = np.minimum(difference[:, 1], np.abs(1 - difference[:, 1]))
        distance = (difference**2).sum(1)
        rows = np.flatnonzero(layers > layers[i])
        expected = np.sort(distance[rows])[:30]
        assert len(expected) == (found[i] >= 0).sum()
        np.testing.assert_allclose(distance[found[i][found[i] >= 0]], expected, rtol=1e-12)
