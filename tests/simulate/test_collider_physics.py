"""Guarantees the physics of the collider kernels: random numbers, energy loss, decays, conversions, knock-on electrons."""

import math

import numpy as np
import pytest

from tpcfm.simulate.collider import species
from tpcfm.simulate.collider.apparatus import LAYER_RADII_CM
from tpcfm.simulate.collider.decays import decay, two_body_momentum
from tpcfm.simulate.collider.energy_loss import deposit_kev, landau_quantiles, lose_energy, mean_loss
from tpcfm.simulate.collider.material import GAS_DENSITY, layout
from tpcfm.simulate.collider.random import isotropic, keyed_state, normal, poisson, uniform
from tpcfm.simulate.collider.secondaries import convert, knock_on, pair_probability

PION = species.PION_PLUS


def _mass(code: int) -> float:
    return float(species.MASS[code])


def test_random_numbers_follow_their_distributions_and_their_key() -> None:
    state = keyed_state(12345)
    flat = np.array([uniform(state) for _ in range(20_000)])
    assert flat.min() > 0.0
    assert flat.max() < 1.0
    assert flat.mean() == pytest.approx(0.5, abs=0.01)
    assert np.corrcoef(flat[1:], flat[:-1])[0, 1] == pytest.approx(0.0, abs=0.03)
    bell = np.array([normal(state) for _ in range(20_000)])
    assert bell.mean() == pytest.approx(0.0, abs=0.03)
    assert bell.std() == pytest.approx(1.0, abs=0.02)
    counts = np.array([poisson(state, 2.5) for _ in range(20_000)])
    assert counts.mean() == pytest.approx(2.5, abs=0.05)
    assert counts.var() == pytest.approx(2.5, abs=0.12)
    directions = np.array([isotropic(state) for _ in range(5_000)])
    assert np.linalg.norm(directions, axis=1) == pytest.approx(1.0)
    assert directions.mean(axis=0) == pytest.approx(0.0, abs=0.04)
    again = keyed_state(12345)
    assert [uniform(again) for _ in range(5)] == list(flat[:5])
    assert uniform(keyed_state(12346)) != flat[0]


def test_mean_loss_has_the_bethe_bloch_shape() -> None:
    beta_gamma = np.geomspace(0.2, 1000, 200)
    for solid in (False, True):
        loss = np.array([mean_loss(b, _mass(PION), solid) for b in beta_gamma])
        lowest = beta_gamma[loss.argmin()]
        assert 2.5 < lowest < 4.5
        assert 1.4 < loss.min() < 1.9  # MeV cm²/g, minimum ionising
    rise = mean_loss(300.0, _mass(PION), False) / mean_loss(3.5, _mass(PION), False)
    assert 1.4 < rise < 1.8  # relativistic rise in gas; less in solids
    assert mean_loss(300.0, _mass(PION), True) / mean_loss(3.5, _mass(PION), True) < rise


def test_energy_loss_adds_up_and_stops_slow_particles() -> None:
    mass = _mass(species.PROTON)
    whole = lose_energy(0.4, mass, 0.6, True)
    halves = lose_energy(lose_energy(0.4, mass, 0.3, True), mass, 0.3, True)
    assert 0.0 < whole < 0.4
    assert halves == pytest.approx(whole, rel=0.01)
    assert lose_energy(0.14, mass, 1.0, True) == 0.0  # 10 MeV protons have a range of 0.12 g/cm²


def test_deposits_grow_with_slowness_and_have_a_landau_tail() -> None:
    table = landau_quantiles()
    u = (np.arange(4000) + 0.5) / 4000
    fast, slow = (np.array([deposit_kev(b, 1.02, 1.0, 30.0, table, v) for v in u]) for b in (3.5, 0.4))
    assert slow.mean() > 4.0 * fast.mean()
    assert fast.mean() > 1.1 * np.median(fast)  # skewed to large losses
    mean_gas = mean_loss(3.5, _mass(PION), False) * GAS_DENSITY * 1.02 * 1e3
    assert 0.4 * mean_gas < fast.mean() < mean_gas  # restricted: hard knock-on electrons are tracks of their own
    assert fast.max() < 40.0
    # Quantiles are densest at the mode, which the usual variable has at −0.22278.
    assert table[np.diff(table).argmin()] == pytest.approx(-0.22278, abs=0.05)


def _decays(code: int, momentum: tuple[float, float, float], count: int) -> list[np.ndarray]:
    state = keyed_state(7)
    out = []
    for _ in range(count):
        stack = np.zeros((16, 8))
        n = decay(stack, 0, code, _mass(code), 1.0, 2.0, 3.0, 4.0, *momentum, state)
        assert np.all(stack[:n, 1:5] == [1.0, 2.0, 3.0, 4.0])
        out.append(stack[:n])
    return out


def test_pions_at_rest_give_muons_of_30_mev() -> None:
    for products in _decays(PION, (0.0, 0.0, 0.0), 50):
        assert products[:, 0].tolist() == [species.MUON_PLUS]
        assert np.linalg.norm(products[0, 5:]) == pytest.approx(0.02979, abs=1e-4)


def test_muons_at_rest_give_the_michel_spectrum() -> None:
    energy = np.array([np.linalg.norm(p[0, 5:]) for p in _decays(species.MUON_MINUS, (0.0, 0.0, 0.0), 4000)])
    assert energy.max() <= 0.5 * _mass(species.MUON_MINUS) + 1e-9
    assert energy.mean() == pytest.approx(0.7 * 0.5 * _mass(species.MUON_MINUS), rel=0.02)


def test_kaon_decays_conserve_momentum_and_energy_and_follow_the_branching_fractions() -> None:
    boost = (0.3, -0.2, 0.4)
    decays = _decays(species.KAON_PLUS, boost, 4000)
    total = math.sqrt(sum(v * v for v in boost) + _mass(species.KAON_PLUS) ** 2)
    three, two = 0, 0
    for products in decays:
        codes = products[:, 0].astype(int)
        energy = np.sqrt((products[:, 5:] ** 2).sum(axis=1) + species.MASS[codes] ** 2)
        charge = species.CHARGE[codes].sum()
        assert charge == 1
        assert energy.sum() <= total + 1e-9
        charged = np.count_nonzero(species.CHARGE[codes])
        if charged == 3 or (charged == 1 and len(codes) == 3 and codes[0] == PION):
            assert products[:, 5:].sum(axis=0) == pytest.approx(boost, abs=1e-9)
            assert energy.sum() == pytest.approx(total)
            three += charged == 3
        two += codes.tolist() == [species.MUON_PLUS]
    assert two / len(decays) == pytest.approx(0.6356, abs=0.03)
    assert three / len(decays) == pytest.approx(0.0558, abs=0.015)


def test_two_body_momentum_of_the_muonic_kaon_decay() -> None:
    assert two_body_momentum(0.49368, 0.10566, 0.0) == pytest.approx(0.2355, abs=1e-4)


def test_a_conversion_shares_the_photon_energy() -> None:
    state = keyed_state(3)
    photon = np.array([0.2, 0.1, -0.3])
    stack = np.zeros((4, 8))
    assert convert(stack, 0, 0.0, 0.0, 0.0, 0.0, *photon, state) == 2
    assert {int(stack[0, 0]), int(stack[1, 0])} == {species.ELECTRON, species.POSITRON}
    energy = np.sqrt((stack[:2, 5:] ** 2).sum(axis=1) + 0.000511**2)
    assert energy.sum() == pytest.approx(np.linalg.norm(photon), rel=1e-6)
    direction = stack[:2, 5:].sum(axis=0)
    assert direction @ photon / np.linalg.norm(direction) / np.linalg.norm(photon) > 0.999


def test_conversion_probability_tends_to_seven_ninths_per_radiation_length() -> None:
    assert pair_probability(100.0, 0.01) == pytest.approx(7 / 9 * 0.01, rel=0.03)
    assert pair_probability(0.001, 0.01) == 0.0
    assert pair_probability(0.02, 0.01) < pair_probability(0.2, 0.01)


def test_knock_on_electrons_obey_kinematics_and_the_inverse_square_spectrum() -> None:
    state = keyed_state(9)
    p = np.array([0.6, 0.0, 0.8])
    kinetic = []
    for _ in range(60_000):
        stack = np.zeros((2, 8))
        if knock_on(stack, 0, _mass(PION), 0.2, 0.0, 0.0, 0.0, 0.0, *p, state):
            q = stack[0, 5:]
            size = np.linalg.norm(q)
            t = math.sqrt(size**2 + 0.000511**2) - 0.000511
            cosine = q @ p / size
            energy = math.sqrt(1.0 + _mass(PION) ** 2)
            assert cosine == pytest.approx(t * (energy + 0.000511) / size, abs=1e-6)
            kinetic.append(t)
    found = np.array(kinetic)
    assert len(found) > 500
    assert np.mean(found > 0.0004) == pytest.approx(0.5, abs=0.07)  # ~ 1/T²: half above twice the cut


def test_the_walk_has_every_pad_row_once_and_rising_edges() -> None:
    plan = layout()
    assert np.all(np.diff(plan.edges) > 0)
    assert sorted(plan.layer[plan.layer >= 0].tolist()) == list(range(48))
    assert len(plan.solid) == len(plan.edges)
    assert len(plan.gas) == len(plan.layer) == len(plan.edges) - 1
    for number, layer in enumerate(plan.layer):
        if layer >= 0:
            assert plan.edges[number] < LAYER_RADII_CM[layer] < plan.edges[number + 1]
