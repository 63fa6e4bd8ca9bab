"""Classical track finding: the helix algebra is exact, clean events are found whole, the order of the points is nothing."""

import numpy as np
import pytest

from event_tables import PILARNET, SPHENIX
from fm4npp_toys import LAYER_RADII_CM, toy_event
from tpcfm.errors import ConfigError, DataError
from tpcfm.evaluate.tracking import adjusted_rand_index
from tpcfm.tracking import finder
from tpcfm.tracking.chamber import chamber_of
from tpcfm.tracking.clusters import components, dbscan, hdbscan
from tpcfm.tracking.finder import TrackerSettings
from tpcfm.tracking.helix_state import advance, crossings, reverse, to_radius, transport

CHAMBER = chamber_of(SPHENIX)


def find_tracks(xyz: np.ndarray, settings: TrackerSettings | None = None) -> np.ndarray:
    return finder.find_tracks(xyz, CHAMBER, settings)


def helix(curvature: float, azimuth: float, slope: float, turns: bool = False) -> np.ndarray:
    """Points (M, 3) of a helix from the origin in the layers: outwards, and back inwards with ``turns``."""
    state = np.array([azimuth, 0.0, azimuth, curvature, slope])
    points, out = [], np.empty(5)
    for radius in LAYER_RADII_CM:
        half = 0.5 * abs(curvature) * radius
        if half >= 1:
            break
        path = 2 * np.arcsin(half) / abs(curvature)
        for length in [path, 2 * np.pi / abs(curvature) - path] if turns else [path]:
            r = advance(state, 0.0, length, out)
            points.append((r * np.cos(out[0]), r * np.sin(out[0]), out[1]))
    return np.array(points)


@pytest.mark.parametrize("curvature", [0.0, 1e-9, 0.003, -0.01, 0.026])
@pytest.mark.parametrize("target", [31.0, 45.0, 60.0])
def test_crossings_lie_at_the_radius(curvature: float, target: float) -> None:
    state, paths, out = np.array([0.4, 3.0, 0.7, curvature, 0.5]), np.empty(2), np.empty(5)
    assert crossings(state, 45.0, target, paths) == 2
    for path in paths:
        assert advance(state, 45.0, path, out) == pytest.approx(target, abs=1e-6)
        assert out[1] == pytest.approx(3.0 + 0.5 * path)


def test_a_circle_that_does_not_reach_says_so() -> None:
    assert crossings(np.array([0.0, 0.0, 1.5, 0.1, 0.0]), 40.0, 75.0, np.empty(2)) == 0
    assert np.isnan(to_radius(np.array([0.0, 0.0, 1.5, 0.1, 0.0]), 40.0, 75.0, 1.0, np.empty(5)))


def test_there_and_back_is_the_identity() -> None:
    state, there, back = np.array([0.4, 3.0, 0.7, 0.006, 0.5]), np.empty(5), np.empty(5)
    radius = advance(state, 45.0, 12.0, there)
    reverse(there)
    assert advance(there, radius, 12.0, back) == pytest.approx(45.0)
    reverse(back)
    np.testing.assert_allclose(back, state, atol=1e-9)


def test_covariance_is_that_of_a_cloud_of_states() -> None:
    rng = np.random.default_rng(0)
    state = np.array([0.4, 3.0, 0.6, 0.004, 0.5])
    covariance = np.diag([1e-3, 0.05, 2e-3, 1e-5, 2e-3]) ** 2
    end, predicted = np.empty(5), np.empty((5, 5))
    path = to_radius(state, 40.0, 44.0, 4.0, end)
    assert transport(state, 40.0, 44.0, path, end, covariance, predicted)
    cloud = rng.multivariate_normal(state, covariance, 20_000)
    moved = np.empty_like(cloud)
    for start, out in zip(cloud, moved):
        to_radius(start, 40.0, 44.0, path, out)
    scale = np.sqrt(np.outer(predicted.diagonal(), predicted.diagonal()))
    np.testing.assert_allclose(np.cov(moved.T) / scale, predicted / scale, atol=0.03)


def test_a_clean_event_is_found_whole() -> None:
    rng = np.random.default_rng(1)
    parts = [
        helix(k, a, s) for k, a, s in [(0.002, 0.0, 0.3), (-0.006, 1.0, -0.5), (0.01, 2.5, 0.1), (-1e-4, -2.0, 1.0)]
    ]
    truth = np.repeat(np.arange(len(parts)), [len(p) for p in parts])
    xyz = np.concatenate(parts) + rng.normal(0, 0.01, (len(truth), 3)) * [1, 1, 4]
    assert adjusted_rand_index(truth, find_tracks(xyz)) == 1.0


def test_a_track_that_turns_is_one_track() -> None:
    xyz = helix(0.035, 0.3, 0.4, turns=True)
    assert len(np.unique(find_tracks(xyz))) == 1


def test_toy_events_and_the_order_of_their_points() -> None:
    rng = np.random.default_rng(3)
    event = toy_event(rng, 6)
    xyz = np.stack([event[axis] for axis in "xyz"], axis=1)
    found = find_tracks(xyz)
    assert adjusted_rand_index(event["track"], found) > 0.9
    order = rng.permutation(len(xyz))
    assert adjusted_rand_index(found[order], find_tracks(xyz[order])) == 1.0


def test_the_unit_of_the_detector_does_not_matter() -> None:
    coordinates = SPHENIX.coordinates.model_copy(update={"unit": "mm"})
    volume = SPHENIX.volume.model_copy(update={"z": (-1050.0, 1050.0)})
    layers = SPHENIX.layers.model_copy(update={"radii": [10 * r for r in SPHENIX.layers.radii]})
    millimetres = SPHENIX.model_copy(update={"coordinates": coordinates, "volume": volume, "layers": layers})
    event = toy_event(np.random.default_rng(5), 6)
    xyz = np.stack([event[axis] for axis in "xyz"], axis=1)
    found = finder.find_tracks(10 * xyz, chamber_of(millimetres))
    assert adjusted_rand_index(find_tracks(xyz), found) == 1.0


def test_a_detector_without_helices_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"pilarnet lacks a cylindrical volume, layers, a magnetic field"):
        chamber_of(PILARNET)
    with pytest.raises(ConfigError, match=r"sphenix lacks layers$"):
        chamber_of(SPHENIX.model_copy(update={"layers": None}))


def test_cuts_cut() -> None:
    xyz = helix(0.002, 0.0, 0.3)[:6]
    assert (find_tracks(xyz) >= 0).all()
    assert (find_tracks(xyz, TrackerSettings(min_points=10)) == -1).all()


def test_few_points_and_bad_input() -> None:
    assert find_tracks(np.empty((0, 3))).shape == (0,)
    assert find_tracks(np.array([[40.0, 0, 0]])).tolist() == [-1]
    with pytest.raises(DataError, match="finite"):
        find_tracks(np.array([[np.nan, 0, 0]]))
    with pytest.raises(DataError, match="shape"):
        find_tracks(np.zeros((3, 2)))


def test_clusters() -> None:
    points = np.array([[0.0], [0.5], [5.0], [5.4], [20.0]])
    assert dbscan(points, 1.0, 2).tolist() == [0, 0, 1, 1, -1]
    assert components(5, np.array([[0, 2], [1, 3]])).tolist() == [0, 0, 1, 1, -1]
    assert components(0, np.empty((2, 0), dtype=int)).shape == (0,)
    blobs = np.concatenate([np.random.default_rng(0).normal(c, 0.05, (20, 2)) for c in (0, 3)])
    assert adjusted_rand_index(np.repeat([0, 1], 20), hdbscan(blobs, 5, 3)) > 0.9
    assert hdbscan(points, 12, 15).tolist() == [-1] * 5
