"""Pieces of tracks: fits find the circle and the helix, no order of points changes a feature, and two made one are as if they had been one."""

import numpy as np
import pytest

from event_tables import PILARNET, SPHENIX
from tpcfm.detectors.model import Detector
from tpcfm.prepare.geometry import pieces as module
from tpcfm.prepare.geometry.circle_fit import circle_sums, fit_circle, fit_helix, off_circle
from tpcfm.prepare.geometry.piece_features import piece_names
from tpcfm.prepare.geometry.pieces import Pieces


def helix(turns: float, n: int = 60, slope: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Points and unit tangents of a helix of radius 20 about (5, -30)."""
    phase = np.linspace(0, 2 * np.pi * turns, n)
    xyz = np.stack([5 + 20 * np.cos(phase), -30 + 20 * np.sin(phase), 3 + 20 * slope * phase], axis=1)
    tangent = np.stack([-np.sin(phase), np.cos(phase), np.full(n, slope)], axis=1)
    return xyz, tangent / np.linalg.norm(tangent, axis=1, keepdims=True)


@pytest.mark.parametrize("turns", [0.1, 0.6, 3.2])
def test_circle_and_helix_are_found(turns: float) -> None:
    xyz, tangent = helix(turns)
    rng = np.random.default_rng(0)
    points = rng.permutation(len(xyz))
    tangent *= rng.choice([-1, 1], len(xyz))[:, None]  # tangents have either sign
    sums = circle_sums(xyz, points[:20]) + circle_sums(xyz, points[20:])
    circle = fit_circle(sums)
    np.testing.assert_allclose(circle, (5, -30, 20), atol=1e-4)
    assert off_circle(xyz, points, *circle) < 1e-4
    off, slope = fit_helix(xyz, points, tangent, *circle)
    assert slope == pytest.approx(0.2, rel=1e-3)
    assert off < 1e-3
    xyz[:, 2] += rng.uniform(-9, 9, len(xyz))
    assert fit_helix(xyz, points, tangent, *circle)[0] > 0.2


def an_event(detector: Detector) -> tuple[np.ndarray, ...]:
    """Points (no two equally far apart), signal, near pairs with chances, and pieces: one of a single point."""
    rng = np.random.default_rng(1)
    tracks = [helix(0.5)[0] + shift for shift in ((0, 0, 0), (20, 3, 9), (-3, 50, -40))]
    xyz = np.concatenate(tracks) * detector.pitch + rng.normal(0, 0.01, (180, 3))
    labels = np.arange(180) // 20
    labels[-1] = -1
    edges = np.stack([np.arange(179), np.arange(1, 180)])
    return xyz, rng.uniform(0, 1, 180), edges, rng.uniform(0, 1, 179), labels


@pytest.mark.parametrize("detector", [SPHENIX, PILARNET], ids=["cylinder", "box"])
def test_the_order_of_points_and_pieces_changes_nothing(detector: Detector) -> None:
    xyz, signal, edges, scores, labels = an_event(detector)
    order = np.random.default_rng(2).permutation(180)
    place = order.argsort()
    first = Pieces(detector, xyz, signal, edges, scores, labels)
    turned = Pieces(detector, xyz[order], signal[order], place[edges][::-1], scores, 9 - labels[order])
    np.testing.assert_array_equal(turned.numbers, first.numbers[order])
    pairs = first.candidates()
    np.testing.assert_array_equal(turned.candidates(), pairs)
    features = first.features(pairs)
    assert features.shape == (45, len(piece_names(detector)))
    np.testing.assert_allclose(turned.features(pairs), features, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(first.features(pairs[:, ::-1]), features, rtol=1e-4, atol=1e-4)
    assert Pieces(detector, xyz, None, edges, scores, labels).features(pairs).shape[1] == features.shape[1] - 2
    bare = Pieces(detector, xyz[:1], signal[:1], edges[:, :0], scores[:0], labels[:1])
    assert bare.candidates().shape == (0, 2)


@pytest.mark.parametrize("detector", [SPHENIX, PILARNET], ids=["cylinder", "box"])
def test_two_made_one_are_as_if_they_had_been_one(detector: Detector) -> None:
    xyz, signal, edges, scores, labels = an_event(detector)
    merged = Pieces(detector, xyz, signal, edges, scores, labels)
    merged.merge(0, 1)
    merged.merge(0, 3)
    together = np.where(np.isin(merged.numbers, (0, 1, 3)), 0, merged.numbers)
    whole = Pieces(detector, xyz, signal, edges, scores, together)
    whole.tangent, whole.offset = merged.tangent, merged.offset  # tangents stay those of the first pieces
    whole.summary = np.array([whole._summary(m) for m in whole.members])
    new = {0: 0} | {
        int(merged.numbers[i]): int(whole.numbers[i]) for i in range(180) if merged.numbers[i] not in (0, 1, 3)
    }
    pairs = merged.candidates()
    assert not np.isin(pairs, (1, 3)).any()
    renamed = np.array([[new[p], new[q]] for p, q in pairs.tolist()])
    found, twin = merged.features(pairs), whole.features(renamed)
    np.testing.assert_allclose(found, twin, rtol=1e-4, atol=1e-4)


def test_beyond_the_largest_pieces_nothing_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 4)
    xyz, signal, edges, scores, labels = an_event(SPHENIX)
    found = Pieces(SPHENIX, xyz, signal, edges, scores, labels)
    assert len(found.members) == 4
    assert len(np.unique(found.numbers)) == 10
    assert np.bincount(found.piece[found.piece >= 0]).tolist() == [20, 20, 20, 20]
