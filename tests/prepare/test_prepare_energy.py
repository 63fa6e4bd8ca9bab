"""Guarantees of energy and coordinate scaling: the published formula, its values, and exact inverses."""

import numpy as np
import pytest

from event_tables import PILARNET
from tpcfm.detectors.model import LogScaling

scale_energy, unscale_energy = PILARNET.scale_signal, PILARNET.unscale_signal
scale_coordinates, unscale_coordinates = PILARNET.scale_coordinates, PILARNET.unscale_coordinates


@pytest.mark.parametrize(
    ("energy", "expected"),
    [(0.13, -0.72507), (0.5, -0.37404), (1, -0.14230), (2, 0.10913), (5, 0.45776), (10, 0.72763), (20, 1)],
)
def test_energy_values(energy, expected):
    assert scale_energy(energy) == pytest.approx(expected, abs=1e-5)


def test_other_offset_and_ends_of_the_scale():
    assert LogScaling(kind="log", offset=0.01, maximum=20).scale([0.13, 1, 20]) == pytest.approx(
        [-0.30564, 0.21428, 1], abs=1e-5
    )
    assert scale_energy(0.0) == pytest.approx(-1)
    assert scale_energy(100.0) > 1


def test_round_trips():
    energy = np.geomspace(1e-3, 500, 200)
    np.testing.assert_allclose(unscale_energy(scale_energy(energy)), energy, rtol=1e-12)
    voxel = np.random.default_rng(0).uniform(0, 768, (50, 3))
    np.testing.assert_allclose(unscale_coordinates(scale_coordinates(voxel)), voxel, rtol=1e-12)


def test_coordinates():
    assert (scale_coordinates([384, 384, 384]) == 0).all()
    assert np.linalg.norm(scale_coordinates([768, 768, 768])) == pytest.approx(1)
    assert scale_coordinates(389) - scale_coordinates(384) == pytest.approx(0.0075175816, abs=1e-10)
