"""Helix fits recover the momentum of exact and smeared tracks; selections and bins count the right ones."""

import numpy as np
import pytest

from event_tables import SPHENIX
from tpcfm.errors import DataError
from tpcfm.evaluate.kinematics import (
    efficiency_in_bins,
    fitted_kinematics,
    momentum_to_pt_eta,
    reference_selection,
    track_truth,
)
from tpcfm.tracking.helix_fit import fit_helices

LAYER_RADII_CM = np.array(SPHENIX.layers.radii)
FIELD = {"pt_per_radius": SPHENIX.pt_per_radius}


def helix_proxy(x, y, z, pt_per_radius):
    """pT and eta of one track."""
    found = fit_helices(np.zeros(len(x), int), np.stack([x, y, z], axis=1), pt_per_radius)
    return float(found.pt[0]), float(found.eta[0])


def slow_radius(x, y):
    """The circle of Pratt's fit by its definition: the smallest positive eigenvalue of |design a| with a1^2 + a2^2 - 4 a0 a3 = 1."""
    u, v = x - x.mean(), y - y.mean()
    design = np.stack([u * u + v * v, u, v, np.ones_like(u)], axis=1)
    inverse = np.array([[0, 0, 0, -0.5], [0, 1, 0, 0], [0, 0, 1, 0], [-0.5, 0, 0, 0]])
    values, vectors = np.linalg.eig(inverse @ design.T @ design)
    a = vectors[:, np.where(values.real > 0, values.real, np.inf).argmin()].real
    return np.sqrt(a[1] ** 2 + a[2] ** 2 - 4 * a[0] * a[3]) / abs(2 * a[0])


def helix(pt, eta, phi, charge=1, smear=0.0, rng=None):
    """Crossings of a helix from the origin with the layers."""
    radius = pt / 0.0042
    r = LAYER_RADII_CM[2 * radius > LAYER_RADII_CM]
    turn = 2 * np.arcsin(r / (2 * radius))
    angle = phi - charge * turn / 2
    if smear:
        angle = angle + rng.normal(0, smear, len(r)) / r
    return r * np.cos(angle), r * np.sin(angle), radius * turn * np.sinh(eta)


@pytest.mark.parametrize("pt", [0.2, 0.5, 1.0, 5.0])
@pytest.mark.parametrize("eta", [-1.0, 0.0, 0.7])
@pytest.mark.parametrize("charge", [-1, 1])
def test_exact_helices_give_their_momentum(pt, eta, charge):
    for phi in (0.0, 2.0, 3.1, -3.0):
        found = helix_proxy(*helix(pt, eta, phi, charge), **FIELD)
        assert found == pytest.approx((pt, eta), rel=1e-6, abs=1e-6)


def test_direction_and_charge_of_exact_helices():
    for pt, phi, charge in ((0.3, 2.0, 1), (0.3, -3.0, -1), (5.0, 0.4, -1), (20.0, 3.1, 1)):
        points = np.stack(helix(pt, 0.5, phi, charge), axis=1)
        for field in (1.0, -1.0):
            found = fit_helices(np.zeros(len(points), int), points, field * FIELD["pt_per_radius"])
            assert found.charge.tolist() == [int(field * charge)]
            assert found.pt[0] == pytest.approx(pt, rel=1e-6)
            assert np.cos(found.phi[0] - phi) == pytest.approx(1.0, abs=1e-9)
    assert fit_helices(np.zeros(len(points), int), points, None).charge.tolist() == [0]
    line = np.linspace(30, 75, 20)[:, None] * [-1.0, 1.0, 0.0]
    found = fit_helices(np.zeros(20, int), line, 0.0042)
    assert (found.charge.tolist(), found.pt.tolist()) == ([0], [np.inf])
    assert found.phi[0] == pytest.approx(0.75 * np.pi)


def test_the_fit_of_many_tracks_is_that_of_each_by_its_definition():
    rng = np.random.default_rng(3)
    tracks = [
        helix(np.exp(rng.uniform(-1, 2)), 0.2, rng.uniform(-3, 3), rng.choice([-1, 1]), 0.05, rng) for _ in range(40)
    ]
    labels = np.concatenate([np.full(len(track[0]), i) for i, track in enumerate(tracks)])
    found = fit_helices(labels, np.concatenate([np.stack(track, axis=1) for track in tracks]), FIELD["pt_per_radius"])
    slow = [FIELD["pt_per_radius"] * slow_radius(x, y) for x, y, _ in tracks]
    np.testing.assert_allclose(found.pt, slow, rtol=1e-5)


def test_order_of_points_is_irrelevant_and_smeared_tracks_are_unbiased():
    rng = np.random.default_rng(0)
    x, y, z = helix(0.8, 0.4, 1.0)
    order = rng.permutation(len(x))
    assert helix_proxy(x[order], y[order], z[order], **FIELD) == pytest.approx(helix_proxy(x, y, z, **FIELD))
    ratios = [helix_proxy(*helix(1.0, 0.3, rng.uniform(-3, 3), smear=0.02, rng=rng), **FIELD)[0] for _ in range(200)]
    assert np.median(ratios) == pytest.approx(1.0, abs=0.01)
    assert 0 < np.std(ratios) < 0.05


def test_degenerate_tracks():
    assert np.isnan(helix_proxy(np.ones(2), np.zeros(2), np.zeros(2), **FIELD)).all()
    assert np.isnan(helix_proxy(np.ones(5), np.ones(5), np.ones(5), **FIELD)).all()
    line = np.linspace(30, 75, 20)
    pt, eta = helix_proxy(line, line, line * np.sqrt(2), **FIELD)
    assert pt > 1000
    assert eta == pytest.approx(np.arcsinh(1.0), rel=1e-3)
    pt, eta = helix_proxy(*helix(0.5, 0.3, 0.0), pt_per_radius=None)  # no field: a direction, but no momentum
    assert np.isnan(pt)
    assert eta == pytest.approx(0.3)
    ids, pt, eta = fitted_kinematics(np.zeros(0, int), line[:0], line[:0], line[:0], **FIELD)
    assert len(ids) == len(pt) == len(eta) == 0


def test_tracks_of_an_event_are_fitted_each_for_itself():
    tracks = {7: helix(0.5, 0.2, 0.0), 2: helix(2.0, -0.9, 2.0)}
    labels = np.concatenate([np.full(len(points[0]), label) for label, points in tracks.items()])
    x, y, z = (np.concatenate([points[axis] for points in tracks.values()]) for axis in range(3))
    order = np.random.default_rng(1).permutation(len(labels))
    ids, pt, eta = fitted_kinematics(labels[order], x[order], y[order], z[order], **FIELD)
    np.testing.assert_array_equal(ids, [2, 7])
    np.testing.assert_allclose(pt, [2.0, 0.5], rtol=1e-6)
    np.testing.assert_allclose(eta, [-0.9, 0.2], atol=1e-6)


def test_truth_is_joined_by_label_and_selected():
    truth = np.repeat([4, 9, 11], [25, 30, 10])
    prediction = np.repeat([0, 1, 2, 3], [25, 10, 20, 10])
    pt, eta = momentum_to_pt_eta(np.array([3.0, 0.0, 0.6]), np.array([4.0, 2.0, 0.0]), np.array([0.0, 8.0, 0.1]))
    np.testing.assert_allclose(pt, [5, 2, 0.6])
    np.testing.assert_allclose(eta[1], np.arcsinh(4.0))
    found = track_truth(truth, prediction, np.array([9, 4, 100]), pt, eta)
    np.testing.assert_array_equal(found.track, [4, 9, 11])
    np.testing.assert_array_equal(found.points, [25, 30, 10])
    np.testing.assert_allclose(found.pt, [2, 5, np.nan])
    np.testing.assert_array_equal(found.matched, [True, True, True])
    np.testing.assert_array_equal(reference_selection(found.pt, found.eta, found.points), [False, True, False])
    with pytest.raises(DataError, match="twice"):
        track_truth(truth, prediction, np.array([4, 4]), pt[:2], eta[:2])
    assert np.isnan(track_truth(truth, prediction, np.zeros(0, int), pt[:0], eta[:0]).pt).all()


def test_efficiency_in_bins_counts_left_closed_bins():
    table = efficiency_in_bins(np.array([0.5, 1.0, 1.5, 3.0, np.nan]), np.array([1, 0, 1, 1, 1]), [0, 1, 2, 3])
    assert table["true"].tolist() == [1, 2, 0]
    assert table["matched"].tolist() == [1, 1, 0]
    assert table["efficiency"].tolist()[:2] == [1.0, 0.5]
    assert np.isnan(table["efficiency"][2])
    assert table["low"][1] < 0.5 < table["high"][1]
