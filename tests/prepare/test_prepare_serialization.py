"""The order of points: boxes, ties, space-filling curves, no dependence on the order given, edges never guessed."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_tables import PILARNET, SPHENIX
from tpcfm.detectors.model import Detector
from tpcfm.errors import DataError
from tpcfm.prepare.geometry.space_filling import hilbert_code, lattice, morton_code
from tpcfm.prepare.sequences.features import cylindrical, level_index, point_features, ranges
from tpcfm.prepare.sequences.serialization import BoxEdges, box_rank, fit_box_edges, radial_rank, serial_order
from tpcfm.prepare.sequences.settings import SerializationConfig

LAYER_RADII_CM, REGION_EDGES_CM = np.array(SPHENIX.layers.radii), np.array(SPHENIX.layers.regions)
BOX_ORDERS = ["r_phi_eta", "r_eta_phi", "phi_r_eta", "phi_eta_r", "eta_r_phi", "eta_phi_r"]


def sample(n=20_000, seed=0, preset=""):
    rng = np.random.default_rng(seed)
    radius = LAYER_RADII_CM[rng.integers(0, 48, n)]
    phi, eta = rng.uniform(-np.pi, np.pi, n), rng.normal(0, 0.7, n)
    x, y, z = radius * np.cos(phi), radius * np.sin(phi), radius * np.sinh(eta)
    return point_features(SPHENIX, rng.exponential(250, n), np.stack([x, y, z], 1), preset)


def test_features_follow_their_definitions():
    x, y, z = np.array([30.0, 0.0, -54.0]), np.array([0.0, 54.0, 0.0]), np.array([0.0, 54.0, -105.0])
    eta, phi, radius = cylindrical(x, y, z)
    theta = np.arctan2(radius, z)
    np.testing.assert_allclose(eta, -np.log(np.tan(theta / 2)), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(phi, [0, np.pi / 2, np.pi])
    features = point_features(SPHENIX, np.array([253.0982, 0.0, 521.8075]), np.stack([x, y, z], 1))
    np.testing.assert_allclose(features[:, 0], [0, -253.0982 / 268.7093, 1], atol=1e-6)
    np.testing.assert_allclose(features[:, 1], (eta + 2) / 4, atol=1e-6)
    np.testing.assert_allclose(features[:, 2], [0.5, 0.75, 1.0], atol=1e-6)
    np.testing.assert_allclose(features[:, 3], [0, 0.5, 0.5], atol=1e-6)
    xyz = np.array([[31.371997833, 0, 1], [75.384933472, 0, 1]])
    released = point_features(SPHENIX, np.ones(2), xyz, "released")
    np.testing.assert_allclose(released[:, 3], [0, 1], atol=1e-6)


def normalised_radius(radius, preset):
    offset, width = ranges(SPHENIX, preset)[2]
    return (radius - offset) / width


@pytest.mark.parametrize("preset", ["", "released"])
def test_layers_are_those_with_the_nearest_radius(preset):
    rng = np.random.default_rng(1)
    radius = rng.uniform(28, 79, 5000)
    nearest = np.abs(radius[:, None] - LAYER_RADII_CM).argmin(1)
    np.testing.assert_array_equal(level_index(normalised_radius(radius, preset), SPHENIX, preset), nearest)


def test_edges_divide_the_population_equally_and_respect_the_regions():
    features = sample()
    edges = fit_box_edges(features[:, 1:], SPHENIX, SerializationConfig(), n_events=20)
    assert edges.bins == (8, 8, 6)
    assert edges.axes["eta"][0] == edges.axes["phi"][0] == 0.0
    assert edges.axes["eta"][-1] == edges.axes["phi"][-1] == 1.0
    for column, axis in ((1, edges.axes["eta"]), (2, edges.axes["phi"])):
        np.testing.assert_allclose(np.histogram(features[:, column], axis)[0], len(features) / 8, rtol=0.03)
    assert (edges.axes["r"][0], edges.axes["r"][-1]) == (float(features[:, 3].min()), float(features[:, 3].max()))
    borders = normalised_radius(REGION_EDGES_CM, "")
    np.testing.assert_allclose([edges.axes["r"][2], edges.axes["r"][4]], borders)
    # Uniform layers: two boxes of eight layers in each region, borders midway between layers.
    boxes = box_rank(features, edges, "r_phi_eta") // 64
    np.testing.assert_array_equal(boxes, level_index(features[:, 3], SPHENIX) // 8)


def made(eta, phi, r):
    return BoxEdges("sphenix", "", {"eta": eta, "phi": phi, "r": r}, SPHENIX.signal_scaling(), 1, 1)


def test_bins_are_closed_on_the_right_and_outliers_go_to_the_nearest_box():
    edges = made((0.0, 0.5, 1.0), (0.0, 0.25, 1.0), (0.1, 0.4, 0.9))
    points = np.array([[0, 0.5, 0.25, 0.4], [0, 0.51, 0.26, 0.41], [0, -3, -1, 0], [0, 5, 2, 7]], dtype=np.float32)
    exact = np.array(points, dtype=np.float32)
    exact[0, 3] = np.nextafter(np.float32(0.4), np.float32(0))
    np.testing.assert_array_equal(box_rank(exact, edges), [0, 7, 0, 7])
    np.testing.assert_array_equal(box_rank(points[:1], made((0, 0.5, 1), (0, 0.25, 1), (0, 0.5, 1))), [0])


@pytest.mark.parametrize("box_order", BOX_ORDERS)
def test_raster_order_equals_the_two_step_definition(box_order):
    features = sample(3000)
    config = SerializationConfig(box_order=box_order)
    edges = fit_box_edges(features[:, 1:], SPHENIX, config, n_events=3)
    order = serial_order(features, config, edges)

    columns = {"eta": 1, "phi": 2, "r": 3}

    def box(point, axis):
        inner = edges.axes[axis][1:-1]
        return sum(edge < float(point[columns[axis]]) for edge in inner)

    by_radius = sorted(range(len(features)), key=lambda i: (*features[i, [3, 2, 1, 0]].tolist(), i))
    expected = sorted(by_radius, key=lambda i: tuple(box(features[i], axis) for axis in box_order.split("_")))
    np.testing.assert_array_equal(order, expected)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    n=st.integers(1, 200),
    order=st.sampled_from(["raster", "hilbert", "morton", "radial"]),
    coarse=st.booleans(),
)
def test_the_sequence_does_not_depend_on_the_order_given(seed, n, order, coarse):
    rng = np.random.default_rng(seed)
    features = sample(n, seed)
    if coarse:  # many ties
        features = np.round(features * 4) / 4
    config = SerializationConfig(order=order)
    edges = fit_box_edges(sample(5000, 1)[:, 1:], SPHENIX, config, n_events=5)
    shuffled = features[rng.permutation(n)]
    a = features[serial_order(features, config, edges)]
    b = shuffled[serial_order(shuffled, config, edges)]
    np.testing.assert_array_equal(a, b)


def test_radial_rank_is_the_place_in_the_radial_order():
    features = sample(500)
    order = serial_order(features, SerializationConfig(order="radial"))
    np.testing.assert_array_equal(radial_rank(features)[order], np.arange(500))
    assert (np.diff(features[order, 3]) >= 0).all()


def test_hilbert_curve_visits_each_cell_once_in_unit_steps():
    bits = 4
    side = 1 << bits
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.uint32)
    codes = hilbert_code(grid, bits)
    np.testing.assert_array_equal(np.sort(codes), np.arange(side**3))
    path = grid[np.argsort(codes)].astype(int)
    assert (np.abs(np.diff(path, axis=0)).sum(1) == 1).all()
    np.testing.assert_array_equal(path[0], [0, 0, 0])


def test_morton_code_interleaves_bits():
    rng = np.random.default_rng(2)
    cells = rng.integers(0, 2**16, (200, 3)).astype(np.uint32)
    expected = []
    for cell in cells.tolist():
        bits = [f"{value:016b}" for value in cell]
        expected.append(int("".join(a + b + c for a, b, c in zip(*bits)), 2))
    np.testing.assert_array_equal(morton_code(cells, 16), expected)


def test_space_filling_orders_take_eta_r_phi_on_a_truncated_lattice():
    features = sample(2000)
    cells = np.clip((features[:, [1, 3, 2]].astype(np.float64) * 1e4).astype(int), 0, 65535)
    np.testing.assert_array_equal(lattice(features[:, [1, 3, 2]]), cells)
    for name, code in (("hilbert", hilbert_code), ("morton", morton_code)):
        order = serial_order(features, SerializationConfig(order=name))
        assert (np.diff(code(cells.astype(np.uint32), 16)[order].astype(np.int64)) >= 0).all()


def test_edges_survive_a_file_bit_by_bit(tmp_path):
    edges = fit_box_edges(
        sample(preset="released")[:, 1:], SPHENIX, SerializationConfig(preset="released"), n_events=20
    )
    edges.save(tmp_path / "edges.json")
    assert BoxEdges.load(tmp_path / "edges.json") == edges
    assert BoxEdges.load(tmp_path / "edges.json").fingerprint == edges.fingerprint


def test_missing_damaged_or_foreign_edges_are_an_error(tmp_path):
    with pytest.raises(DataError, match="not derived again"):
        BoxEdges.load(tmp_path / "edges.json")
    edges = fit_box_edges(sample()[:, 1:], SPHENIX, SerializationConfig(), n_events=20)
    edges.save(tmp_path / "edges.json")
    value = json.loads((tmp_path / "edges.json").read_text())
    for change in ({"phi": [0, 0.5, 0.5, 1]}, {"eta": [0.0]}, {"r": "x"}):
        with pytest.raises(DataError):
            BoxEdges.from_dict({**value, "axes": {**value["axes"], **change}})
    for change in ({"format": 7}, {"axes": {"r": [0, 1]}}, {"axes": [1, 2, 3]}, {"signal": {"kind": "log"}}):
        with pytest.raises(DataError):
            BoxEdges.from_dict({**value, **change})
    with pytest.raises(DataError, match="preset '', but the settings ask for 'released'"):
        edges.check(SerializationConfig(preset="released"))
    with pytest.raises(DataError, match="fitted on events of sphenix"):
        edges.check(SerializationConfig(), PILARNET)
    with pytest.raises(DataError, match=r"\(4, 8, 6\)"):
        serial_order(sample(10), SerializationConfig(bins=(4, 8, 6)), edges)
    with pytest.raises(DataError, match="edges are missing"):
        serial_order(sample(10), SerializationConfig())
    with pytest.raises(DataError, match="strictly increase"):
        fit_box_edges(np.ones((50, 4), np.float32)[:, 1:], SPHENIX, SerializationConfig(), n_events=1)


@pytest.mark.parametrize("planes", [1, 2, 4, 40])
def test_where_points_share_cells_there_are_fewer_boxes(planes):
    """Pads in a few planes, most points in the pads of a beam: every box but the outer ones of an axis holds points."""
    rng = np.random.default_rng(planes)
    volume = {"shape": "box", "x": (0, 24), "y": (0, 24), "z": (0, planes)}
    pads = Detector.model_validate({"name": "pads", "coordinates": {"type": "int16"}, "volume": volume, "pitch": 1.0})
    cells = np.stack([rng.integers(0, 24, 500), np.full(500, 12), rng.integers(0, planes, 500)], 1)
    cells[:350, 0] = 11
    places = cells / np.array([24, 24, planes])
    edges = fit_box_edges(places, pads, SerializationConfig(), n_events=5)
    assert edges.bins[2] == min(planes, 6)
    assert all(1 <= held <= asked for held, asked in zip(edges.bins, (8, 8, 6)))
    for held, value in zip(edges.axes.values(), places.T):
        assert (np.diff(held) > 0).all()
        assert (np.histogram(value, [-np.inf, *held[1:-1], np.inf])[0][1:-1] > 0).all()
    features = np.column_stack([np.zeros(500), places]).astype(np.float32)
    assert sorted(serial_order(features, SerializationConfig(), edges)) == list(range(500))
    assert BoxEdges.from_dict(json.loads(json.dumps({"format": 2, **edges.plain()}))) == edges
    with pytest.raises(DataError, match=r"holds \(8, 8, 6\) boxes"):
        edges.check(SerializationConfig(bins=edges.bins))
