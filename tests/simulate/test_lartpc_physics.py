"""Guarantees that the liquid-argon kernels follow published physics: ranges, stopping powers, spectra, attenuation.

Reference values: muon ranges from Groom, Mokhov and Striganov (At. Data Nucl. Data Tables 78, 183; liquid argon), proton ranges
from NIST PSTAR (argon), electron stopping powers from NIST ESTAR, photon attenuation from NIST XCOM.
"""

import math

import numpy as np
import pytest

from tpcfm.simulate.lartpc import LartpcEvent, Settings, Simulator
from tpcfm.simulate.lartpc import material as lar
from tpcfm.simulate.lartpc.apparatus import PITCH_CM
from tpcfm.simulate.lartpc.nuclear import michel_energy
from tpcfm.simulate.lartpc.randoms import deflect, direction, event_state, normal_pair, poisson, uniform
from tpcfm.simulate.lartpc.work import ELECTRON, MUON, PHOTON, PROTON

START = (384.5, 384.5, 100.5)
GUN = Simulator()


def csda_range(kinetic: float, mass: float) -> float:
    """Integrate the stopping power of the kernels: range in g/cm^2."""
    energy = np.geomspace(0.3, kinetic, 3000)
    stopping = np.array([lar.heavy_stopping(e, mass, 1e9) for e in energy])
    return float(np.trapezoid(1.0 / stopping, energy)) * lar.DENSITY


@pytest.mark.parametrize(
    ("kinetic", "published"), [(10, 0.9833), (40, 10.58), (100, 42.50), (300, 172.5), (1000, 616.3)]
)
def test_muon_range_equals_the_published_table(kinetic: float, published: float) -> None:
    assert csda_range(kinetic, lar.MUON_MASS) == pytest.approx(published, rel=0.01)


@pytest.mark.parametrize(
    ("kinetic", "published"), [(20, 0.6335), (100, 10.92), (200, 36.27), (400, 113.8), (1000, 445.4)]
)
def test_proton_range_equals_the_published_table(kinetic: float, published: float) -> None:
    assert csda_range(kinetic, lar.PROTON_MASS) == pytest.approx(published, rel=0.025)


@pytest.mark.parametrize(("kinetic", "published"), [(1.0, 1.37), (10.0, 1.56), (50.0, 1.72)])
def test_electron_stopping_power(kinetic: float, published: float) -> None:
    assert lar.electron_stopping(kinetic) / lar.DENSITY == pytest.approx(published, rel=0.02)


def test_minimum_ionisation_is_2_1_mev_per_cm() -> None:
    losses = [lar.heavy_stopping(e, lar.MUON_MASS, 1e9) for e in np.geomspace(50, 2000, 200)]
    assert min(losses) == pytest.approx(1.508 * lar.DENSITY, rel=0.005)


def test_restricted_loss_and_knock_ons_add_up_to_the_full_loss() -> None:
    for kinetic in (200.0, 1000.0, 5000.0):
        rate, largest, beta2 = lar.heavy_knock_ons(kinetic, lar.MUON_MASS, 0.05)
        t = np.geomspace(0.05, largest, 20_000)
        hard = np.trapezoid(lar.XI / beta2 / t * (1.0 - beta2 * t / largest), t)
        total = lar.heavy_stopping(kinetic, lar.MUON_MASS, 0.05) + hard
        assert total == pytest.approx(lar.heavy_stopping(kinetic, lar.MUON_MASS, 1e9), rel=2e-3)
        assert rate == pytest.approx(np.trapezoid(lar.XI / beta2 / t**2, t), rel=1e-3)


def test_photon_attenuation_splits_into_processes() -> None:
    for energy in (0.02, 0.1, 0.5, 1.0, 3.0, 10.0, 100.0, 1000.0):
        total, compton, pair = lar.photon_coefficients(energy)
        assert 0.0 <= compton + pair <= total * (1.0 + 1e-9)
        assert (pair > 0.0) == (energy > 1.1)
    total, compton, pair = lar.photon_coefficients(1.0)
    assert total / lar.DENSITY == pytest.approx(0.0576, rel=0.01)
    assert compton == pytest.approx(total, rel=0.02)
    _, _, pair = lar.photon_coefficients(5000.0)
    assert pair * lar.RADIATION_LENGTH == pytest.approx(7.0 / 9.0, rel=0.06)


def track_voxels(event: LartpcEvent) -> np.ndarray:
    """Voxels of the first track, (n, 3)."""
    row = int(np.flatnonzero(event.semantic == 1)[0])
    start = int(event.size[:row].sum())
    return event.voxel[start : start + int(event.size[row])]


def test_simulated_muons_stop_at_the_range_and_leave_their_energy() -> None:
    depth, energy = [], []
    for k in range(150):
        event = GUN.shoot(MUON, 1, 200.0, START, (0.0, 0.0, 1.0), seed=3, event=k)
        depth.append(int(track_voxels(event)[:, 2].max()) - 100)
        michel_and_rest = event.energy[event.point_semantic != 1].sum()
        energy.append(event.energy.sum() - michel_and_rest)
    # Scattering makes the depth fall short of the path length by a few per cent, never longer.
    published = 106.3 / lar.DENSITY / PITCH_CM
    assert 0.95 * published < np.mean(depth) < 1.01 * published
    assert np.mean(energy) == pytest.approx(200.0, rel=0.02)


def test_bragg_peak() -> None:
    profile = np.zeros(60)
    for k in range(40):
        event = GUN.shoot(PROTON, 1, 120.0, START, (0.0, 0.0, 1.0), seed=4, event=k)
        if (event.semantic == 1).sum() != 1:  # a nuclear interaction
            continue
        z = event.voxel[:, 2]
        last = z[event.point_semantic == 1].max()
        back = last - z
        near = (back >= 0) & (back < 60) & (event.point_semantic == 1)
        np.add.at(profile, back[near], event.energy[near])
    profile /= 40
    assert profile[:3].max() > 2.0 * profile[20:30].mean()


def test_showers_are_contained_and_start_after_a_pair_production_gap() -> None:
    gaps, contained = [], []
    for k in range(200):
        event = GUN.shoot(PHOTON, 0, 500.0, START, (0.0, 0.0, 1.0), seed=5, event=k)
        contained.append(event.energy.sum() / 500.0)
        z = event.voxel[event.point_semantic == 0, 2]
        gaps.append((z.min() - 100) * PITCH_CM)
    assert np.mean(contained) == pytest.approx(0.99, abs=0.02)
    expected = 1.0 / lar.photon_coefficients(500.0)[0]
    # Photons that radiate backwards shorten some gaps, voxel edges blur all of them.
    assert np.mean(gaps) == pytest.approx(expected, rel=0.2)


def test_electron_shower_starts_at_the_vertex() -> None:
    for k in range(20):
        event = GUN.shoot(ELECTRON, -1, 300.0, START, (0.0, 0.0, 1.0), seed=6, event=k)
        shower = event.voxel[event.point_semantic == 0].astype(int)
        assert np.abs(shower - 384 * np.array([1, 1, 0]) - 100 * np.array([0, 0, 1])).max(axis=1).min() <= 1


def test_michel_spectrum() -> None:
    state = event_state(1, 0, 0)
    x = np.array([michel_energy(state) for _ in range(20_000)]) / 52.83
    assert x.max() <= 1.0
    assert x.mean() == pytest.approx(0.7, abs=0.01)  # mean of x^2 (3 - 2 x), normalised
    share = np.mean(x < 0.5)
    assert share == pytest.approx(2 * (0.125 - 0.5 * 0.0625), abs=0.01)


def test_random_numbers() -> None:
    state = event_state(2, 0, 0)
    flat = np.array([uniform(state) for _ in range(50_000)])
    assert flat.min() > 0.0
    assert flat.max() < 1.0
    assert flat.mean() == pytest.approx(0.5, abs=0.005)
    assert np.corrcoef(flat[:-1], flat[1:])[0, 1] == pytest.approx(0.0, abs=0.02)
    normal = np.array([normal_pair(state) for _ in range(20_000)])
    assert normal.std() == pytest.approx(1.0, abs=0.02)
    assert np.mean([poisson(state, 0.7) for _ in range(20_000)]) == pytest.approx(0.7, abs=0.02)
    for _ in range(50):
        u = direction(state)
        v = deflect(state, *u, math.cos(0.3))
        assert np.dot(v, v) == pytest.approx(1.0)
        assert np.dot(u, v) == pytest.approx(math.cos(0.3))


def test_a_threshold_removes_exactly_the_weak_voxels() -> None:
    low, high = (
        Simulator(Settings(threshold=cut)).shoot(MUON, 1, 300.0, START, (0.6, 0.0, 0.8), seed=7, event=0)
        for cut in (0.0, 0.13)
    )
    assert low.energy.size > high.energy.size
    assert np.array_equal(np.sort(low.energy[low.energy > 0.13]), np.sort(high.energy))
