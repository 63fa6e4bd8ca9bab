"""Local geometry agrees with its plain twin, follows permutations, and is unchanged by rotations, on every detector."""

import numpy as np
import pytest

from tpcfm.detectors.model import Detector
from tpcfm.detectors.registry import load_detector
from tpcfm.prepare.geometry.edge_geometry import edge_geometry, edge_names, near_pairs
from tpcfm.prepare.geometry.local_geometry import LINK, SIZES, geometry_names, local_geometry

BOX, CYLINDER = load_detector("pilarnet"), load_detector("sphenix")
SILENT = BOX.model_copy(update={"signal": []})
DETECTORS = {"box": BOX, "cylinder": CYLINDER, "no signal": SILENT}


def event(detector: Detector, seed: int = 0, points: int = 400) -> tuple[np.ndarray, np.ndarray | None]:
    """Tracks and a cloud; on a lattice for a box, anywhere for a cylinder."""
    rng = np.random.default_rng(seed)
    tracks = []
    for _ in range(4):
        way = rng.normal(size=3)
        tracks.append(rng.normal(size=3) * 10 + np.arange(points // 8)[:, None] * way / np.linalg.norm(way))
    xyz = np.concatenate([*tracks, rng.normal(size=(points // 2, 3)) * 5])
    if detector.lattice:
        xyz = np.unique(np.rint(xyz) + 300, axis=0)
    xyz = (xyz * detector.pitch).astype(np.float32)
    return xyz, None if detector.main_signal is None else rng.normal(size=len(xyz))


def twin(detector: Detector, xyz: np.ndarray, signal: np.ndarray | None) -> np.ndarray:
    """All distances, neighbourhoods by comparison with that of the k-th, eigenvalues by LAPACK."""
    points = xyz.astype(np.float64) / detector.pitch
    distance = np.sqrt(((points[:, None] - points[None]) ** 2).sum(2)).astype(np.float32)
    linked = np.linalg.matrix_power((distance < LINK).astype(np.float64), 1) > 0
    for _ in range(10):
        linked = (linked.astype(np.float32) @ linked.astype(np.float32)) > 0
    rows = []
    for i, d in enumerate(distance):
        row = []
        others = np.sort(np.delete(d, i))
        for size in SIZES:
            kth = others[min(size, len(others)) - 1]
            near = points[d <= kth]
            centred = near - near.mean(0)
            values, vectors = np.linalg.eigh(centred.T @ centred / len(near))
            c, b, a = np.maximum(values, 0)
            way = vectors[:, 2]
            row += [(a - b) / a, (b - c) / a, c / a, np.log2(kth)]
            row.append(np.linalg.norm(near.mean(0) - points[i]) / np.sqrt(((near - points[i]) ** 2).sum(1).mean()))
            t = centred @ way
            lever = t**2 - (t**2).mean()
            bend = lever @ centred
            row.append(np.linalg.norm(bend - bend @ way * way) / (lever**2).sum())
            if signal is not None:
                row += [signal[d <= kth].mean(), signal[d <= kth].std()]
            if detector.cylindrical:
                r = np.hypot(*points[i, :2])
                radial = abs(points[i, :2] @ way[:2]) / r
                row += [radial, abs(way[2]), abs(points[i] @ way) / np.linalg.norm(points[i])]
        row.append(np.log2(linked[i].sum()))
        if signal is not None:
            row.append(signal[i])
        if detector.cylindrical:
            row += [np.hypot(*points[i, :2]), abs(points[i, 2])]
        rows.append(row)
    return np.array(rows)


def compared(detector: Detector, values: np.ndarray) -> np.ndarray:
    """Leave out what no rounding leaves alone: directions and curvature where two eigenvalues nearly agree."""
    values = values.astype(np.float64).copy()
    names = geometry_names(detector)
    for size in SIZES:
        vague = values[:, names.index(f"linearity_{size}")] < 1e-4
        for name in ("curvature", "along_r", "along_z", "pointing"):
            if f"{name}_{size}" in names:
                values[vague, names.index(f"{name}_{size}")] = 0
    return values


@pytest.mark.parametrize("name", DETECTORS)
def test_as_the_twin(name):
    detector = DETECTORS[name]
    xyz, signal = event(detector)
    found = local_geometry(detector, xyz, signal).features
    assert found.shape == (len(xyz), len(geometry_names(detector)))
    np.testing.assert_allclose(compared(detector, found), compared(detector, twin(detector, xyz, signal)), atol=2e-4)


@pytest.mark.parametrize("name", DETECTORS)
def test_follows_a_permutation(name):
    detector = DETECTORS[name]
    xyz, signal = event(detector, 1)
    order = np.random.default_rng(2).permutation(len(xyz))
    found = local_geometry(detector, xyz, signal).features
    turned = local_geometry(detector, xyz[order], None if signal is None else signal[order]).features
    np.testing.assert_allclose(compared(detector, turned), compared(detector, found[order]), atol=2e-4)


def rotation(detector: Detector, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if detector.cylindrical:
        angle = rng.uniform(0, 2 * np.pi)
        return np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    return np.linalg.qr(rng.normal(size=(3, 3)))[0]


@pytest.mark.parametrize("name", DETECTORS)
def test_unchanged_by_rotations(name):
    detector = DETECTORS[name]
    xyz, signal = event(
        detector.model_copy(update={"coordinates": CYLINDER.coordinates}), 3
    )  # off the lattice: no ties
    xyz = xyz.astype(np.float64)
    found = local_geometry(detector, xyz, signal)
    turned = local_geometry(detector, xyz @ rotation(detector, 4).T, signal)
    np.testing.assert_allclose(compared(detector, turned.features), compared(detector, found.features), atol=2e-4)
    edges = near_pairs(found.near, 12)
    before = edge_geometry(detector, xyz, signal, found, edges)
    after = edge_geometry(detector, xyz @ rotation(detector, 4).T, signal, turned, near_pairs(turned.near, 12))
    assert before.shape == (edges.shape[1], len(edge_names(detector)))
    np.testing.assert_allclose(after, before, atol=2e-3)


def test_a_lattice_turned_by_a_right_angle():
    xyz, signal = event(BOX, 5)
    found, turned = (local_geometry(BOX, p, signal).features for p in (xyz, xyz[:, [1, 2, 0]] * [1, -1, 1]))
    np.testing.assert_allclose(compared(BOX, turned), compared(BOX, found), atol=2e-4)


def test_pairs_do_not_know_which_point_is_first():
    xyz, signal = event(CYLINDER, 6)
    local = local_geometry(CYLINDER, xyz, signal)
    edges = near_pairs(local.near, 12)
    assert (edges[0] < edges[1]).all()
    named = set(map(tuple, edges.T))
    assert {(min(i, j), max(i, j)) for i, row in enumerate(local.near[:, :12].tolist()) for j in row} == named
    there, back = (edge_geometry(CYLINDER, xyz, signal, local, e) for e in (edges, edges[::-1]))
    np.testing.assert_allclose(there, back, atol=1e-6)


@pytest.mark.parametrize("points", [0, 1, 2, 9])
@pytest.mark.parametrize("name", DETECTORS)
def test_small_events(name, points):
    detector = DETECTORS[name]
    xyz, signal = event(detector, 7)
    xyz, signal = xyz[:points], None if signal is None else signal[:points]
    found = local_geometry(detector, xyz, signal)
    assert found.features.shape == (points, len(geometry_names(detector)))
    assert np.isfinite(found.features).all()
    edges = near_pairs(found.near, 12)
    assert edges.shape[1] == points * (points - 1) // 2
    assert np.isfinite(edge_geometry(detector, xyz, signal, found, edges)).all()


def test_coincident_points():
    xyz = np.repeat(np.float32([[300, 300, 300], [310, 300, 300]]), 250, axis=0)
    assert np.isfinite(local_geometry(SILENT, xyz, None).features).all()


def test_a_line_a_sheet_and_a_parabola():
    names = geometry_names(SILENT)
    x = np.arange(200.0)
    grid = np.stack(np.meshgrid(np.arange(21.0), np.arange(21.0)), -1).reshape(-1, 2)
    line = local_geometry(SILENT, np.stack([x, x * 0, x * 0], 1), None).features[100]
    sheet = local_geometry(SILENT, np.column_stack([grid, np.zeros(441)]), None).features[220]
    bent = local_geometry(SILENT, np.stack([x, 1e-3 * (x - 100) ** 2, x * 0], 1), None).features[100]
    assert line[names.index("linearity_24")] == pytest.approx(1)
    assert sheet[names.index("planarity_24")] == pytest.approx(1)
    assert line[names.index("curvature_24")] == pytest.approx(0, abs=1e-9)
    assert bent[names.index("curvature_24")] == pytest.approx(1e-3, rel=0.01)
