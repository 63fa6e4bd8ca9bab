"""Helix fits recover the momentum of exact and smeared tracks; selections and bins count the right ones."""

import numpy as np
import pytest

from event_tables import SPHENIX
from tpcfm.errors import DataError
from tpcfm.evaluate.kinematics import (
    circle_fit,
    efficiency_in_bins,
    fitted_kinematics,
    helix_proxy,
    momentum_to_pt_eta,
    reference_selection,
    track_truth,
)

LAYER_RADII_CM = np.array(SPHENIX.layers.radii)
FIELD = {"pt_per_radius": SPHENIX.pt_per_radius}


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
    assert np.isnan(circle_fit(np.ones(5), np.ones(5))[2])
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
