"""Decays of pions, kaons and muons: species and momenta of the visible products.

Branching fractions: Particle Data Group 2022. Two-body decays are exact; three-body decays are drawn from phase space, the muon's
from the Michel spectrum.
"""

import math

from tpcfm.kernels import njit
from tpcfm.simulate.collider.random import isotropic, uniform
from tpcfm.simulate.collider.species import (
    ELECTRON,
    KAON_PLUS,
    MUON_MINUS,
    MUON_PLUS,
    PHOTON,
    PION_MINUS,
    PION_PLUS,
    PION_ZERO_MASS,
    POSITRON,
)
from tpcfm.simulate.collider.stack import push

_MUON, _PION, _KAON, _ELECTRON = 0.10566, 0.13957, 0.49368, 0.000511


@njit(cache=True)
def two_body_momentum(mass, first, second):  # type: ignore[no-untyped-def]
    """Return the momentum (GeV/c) of the products in the rest frame of a two-body decay."""
    total = (mass * mass - (first + second) ** 2) * (mass * mass - (first - second) ** 2)
    return math.sqrt(max(0.0, total)) / (2.0 * mass)


@njit(cache=True)
def boost(px, py, pz, energy, qx, qy, qz, mass):  # type: ignore[no-untyped-def]
    """Return the momentum p, given in the rest frame of a particle of momentum q and ``mass``, in the laboratory."""
    q_energy = math.sqrt(qx * qx + qy * qy + qz * qz + mass * mass)
    dot = px * qx + py * qy + pz * qz
    factor = (dot / (q_energy + mass) + energy) / mass
    return px + factor * qx, py + factor * qy, pz + factor * qz


@njit(cache=True)
def _two_photons(stack, n, x, y, z, t, px, py, pz, state):  # type: ignore[no-untyped-def]
    """Put the photons of a neutral pion of the given momentum on the stack."""
    half = 0.5 * PION_ZERO_MASS
    ux, uy, uz = isotropic(state)
    for sign in (1.0, -1.0):
        gx, gy, gz = boost(sign * half * ux, sign * half * uy, sign * half * uz, half, px, py, pz, PION_ZERO_MASS)
        n = push(stack, n, PHOTON, x, y, z, t, gx, gy, gz)
    return n


@njit(cache=True)
def _three_body(mass, first, second, third, state):  # type: ignore[no-untyped-def]
    """Draw rest-frame momenta of ``first`` and of ``second``, uniform in phase space (acceptance-rejection)."""
    lowest, highest = second + third, mass - first
    top = two_body_momentum(mass, first, lowest) * two_body_momentum(highest, second, third)
    for _ in range(1000):
        pair = lowest + (highest - lowest) * uniform(state)
        p_first = two_body_momentum(mass, first, pair)
        p_pair = two_body_momentum(pair, second, third)
        if uniform(state) * top <= p_first * p_pair:
            break
    ux, uy, uz = isotropic(state)
    vx, vy, vz = isotropic(state)
    energy = math.sqrt(p_pair * p_pair + second * second)
    bx, by, bz = boost(p_pair * vx, p_pair * vy, p_pair * vz, energy, -p_first * ux, -p_first * uy, -p_first * uz, pair)
    return p_first * ux, p_first * uy, p_first * uz, bx, by, bz


@njit(cache=True)
def decay(stack, n, code, mass, x, y, z, t, qx, qy, qz, state):  # type: ignore[no-untyped-def]
    """Append the visible products of a decay at (x, y, z) cm, time t ns, momentum q GeV/c; return the new stack length.

    Rows of ``stack`` are (species, x, y, z, t, px, py, pz). Neutrinos are left out.
    """
    positive = code in (MUON_PLUS, PION_PLUS, KAON_PLUS)
    electron = POSITRON if positive else ELECTRON
    muon = MUON_PLUS if positive else MUON_MINUS
    pion = PION_PLUS if positive else PION_MINUS
    if code in (MUON_MINUS, MUON_PLUS):
        while True:  # Michel spectrum, f(s) ~ s²(3 − 2s) with s = E / E_max
            share = uniform(state)
            if uniform(state) <= share * share * (3.0 - 2.0 * share):
                break
        p = 0.5 * _MUON * share
        ux, uy, uz = isotropic(state)
        bx, by, bz = boost(p * ux, p * uy, p * uz, math.sqrt(p * p + _ELECTRON * _ELECTRON), qx, qy, qz, mass)
        return push(stack, n, electron, x, y, z, t, bx, by, bz)
    draw = uniform(state)
    ux, uy, uz = isotropic(state)
    if code in (PION_MINUS, PION_PLUS) or draw < 0.6356:  # muon and neutrino
        p = two_body_momentum(mass, _MUON, 0.0)
        energy = math.sqrt(p * p + _MUON * _MUON)
        bx, by, bz = boost(p * ux, p * uy, p * uz, energy, qx, qy, qz, mass)
        return push(stack, n, muon, x, y, z, t, bx, by, bz)
    if draw < 0.6356 + 0.2067:  # charged and neutral pion
        p = two_body_momentum(mass, _PION, PION_ZERO_MASS)
        bx, by, bz = boost(p * ux, p * uy, p * uz, math.sqrt(p * p + _PION * _PION), qx, qy, qz, mass)
        n = push(stack, n, pion, x, y, z, t, bx, by, bz)
        energy = math.sqrt(p * p + PION_ZERO_MASS * PION_ZERO_MASS)
        bx, by, bz = boost(-p * ux, -p * uy, -p * uz, energy, qx, qy, qz, mass)
        return _two_photons(stack, n, x, y, z, t, bx, by, bz, state)
    if draw < 0.6356 + 0.2067 + 0.0558:  # three charged pions
        other = PION_MINUS if positive else PION_PLUS
        ax, ay, az, cx, cy, cz = _three_body(mass, _PION, _PION, _PION, state)
        for code_out, kx, ky, kz in (
            (other, ax, ay, az),
            (pion, cx, cy, cz),
            (pion, -ax - cx, -ay - cy, -az - cz),
        ):
            energy = math.sqrt(kx * kx + ky * ky + kz * kz + _PION * _PION)
            bx, by, bz = boost(kx, ky, kz, energy, qx, qy, qz, mass)
            n = push(stack, n, code_out, x, y, z, t, bx, by, bz)
        return n
    # neutral pion, lepton and neutrino; or (1.76 per cent) a neutral, a charged and another neutral pion
    lepton, lepton_mass = electron, _ELECTRON
    if draw > 0.6356 + 0.2067 + 0.0558 + 0.0507:
        lepton, lepton_mass = muon, _MUON
    third = 0.0
    if draw > 0.6356 + 0.2067 + 0.0558 + 0.0507 + 0.0335:
        lepton, lepton_mass, third = pion, _PION, PION_ZERO_MASS
    ax, ay, az, cx, cy, cz = _three_body(mass, PION_ZERO_MASS, lepton_mass, third, state)
    energy = math.sqrt(cx * cx + cy * cy + cz * cz + lepton_mass * lepton_mass)
    bx, by, bz = boost(cx, cy, cz, energy, qx, qy, qz, mass)
    n = push(stack, n, lepton, x, y, z, t, bx, by, bz)
    energy = math.sqrt(ax * ax + ay * ay + az * az + PION_ZERO_MASS * PION_ZERO_MASS)
    bx, by, bz = boost(ax, ay, az, energy, qx, qy, qz, mass)
    n = _two_photons(stack, n, x, y, z, t, bx, by, bz, state)
    if third > 0.0:
        kx, ky, kz = -ax - cx, -ay - cy, -az - cz
        energy = math.sqrt(kx * kx + ky * ky + kz * kz + third * third)
        bx, by, bz = boost(kx, ky, kz, energy, qx, qy, qz, mass)
        n = _two_photons(stack, n, x, y, z, t, bx, by, bz, state)
    return n
