"""Electrons, positrons and photons in liquid argon, step by step.

Each step of an electron ends at a voxel face at the latest. Knock-ons above ``CUT`` are drawn one by one, which gives the
Landau tail; the rest is a Gaussian around the restricted loss. Bremsstrahlung follows the complete-screening spectrum
scaled to the tabulated radiative stopping power; photons convert, scatter (Klein-Nishina) or are absorbed.
"""

import math

import numpy as np

from tpcfm.simulate.lartpc import material as lar
from tpcfm.simulate.lartpc import randoms
from tpcfm.simulate.lartpc.kernels import inner_kernel, kernel
from tpcfm.simulate.lartpc.work import (
    BLIPS,
    ELECTRON,
    PE,
    PHOTON,
    PITCH,
    PT,
    PU,
    PV,
    PW,
    PX,
    PY,
    PZ,
    Work,
    add_particle,
    deposit,
    inside,
    to_boundary,
)

CUT = 0.05  # MeV; knock-ons above are drawn one by one
LOCAL = 0.15  # MeV; secondary electrons below end where they start (range under a tenth of a voxel)
SOFT = 0.5  # MeV; an electron that a photon frees counts as a low-energy deposit below
STOP = 0.1  # MeV; an electron below gives up its energy on the spot
PHOTON_CUT = 0.03  # MeV; softer bremsstrahlung is part of the continuous loss, softer photons are absorbed on the spot
_LIGHT = 29.979  # cm/ns


@kernel
def scatter(rng: np.ndarray, p: np.ndarray, mass: float, path: float) -> None:
    """Turn the particle by the multiple scattering of ``path`` cm."""
    sigma = math.sqrt(lar.scattering_angle2(p[PE], mass) * path)
    a, b = randoms.normal_pair(rng)
    theta = sigma * math.sqrt(a * a + b * b)
    if theta < 1e-9:
        return
    scale = math.sin(min(theta, math.pi)) * sigma / theta
    p[PU], p[PV], p[PW] = randoms.tilt(p[PU], p[PV], p[PW], math.cos(min(theta, math.pi)), scale * a, scale * b)


@kernel
def knock_on_energy(rng: np.ndarray, largest: float) -> float:
    """Draw an energy from 1/T^2 between ``CUT`` and ``largest``."""
    return 1.0 / (1.0 / CUT - randoms.uniform(rng) * (1.0 / CUT - 1.0 / largest))


@kernel
def knock_on_cosine(energy: float, kinetic: float, mass: float) -> float:
    """Return the cosine of the emission angle of a knock-on (two-body kinematics)."""
    electron = math.sqrt(energy * (energy + 2.0 * lar.ELECTRON_MASS))
    momentum = math.sqrt(kinetic * (kinetic + 2.0 * mass))
    return min(1.0, energy * (kinetic + mass + lar.ELECTRON_MASS) / (electron * momentum))


@kernel
def _radiated(rng: np.ndarray, kinetic: float) -> float:
    """Draw a bremsstrahlung energy: (4/3 (1 - y) + y^2) / y between ``PHOTON_CUT`` and the electron's energy."""
    ratio = kinetic / PHOTON_CUT
    while True:
        energy = PHOTON_CUT * ratio ** randoms.uniform(rng)
        y = energy / kinetic
        if randoms.uniform(rng) * 1.3333334 < 4.0 / 3.0 * (1.0 - y) + y * y:
            return energy


@inner_kernel
def transport_electron(work: Work, p: np.ndarray, charge: int, instance: int) -> None:
    """Follow one electron or positron until it stops or leaves; ``p`` is its stack row, changed in place."""
    rng = work.rng
    while p[PE] > STOP:
        kinetic = p[PE]
        if not inside(p[PX], p[PY], p[PZ]):
            return
        gamma = 1.0 + kinetic / lar.ELECTRON_MASS
        beta2 = 1.0 - 1.0 / (gamma * gamma)
        largest = 0.5 * kinetic
        stopping = lar.electron_stopping(kinetic)
        knock_rate = 0.0
        if largest > CUT:
            knock_rate = lar.XI / beta2 * (1.0 / CUT - 1.0 / largest)
        y = PHOTON_CUT / kinetic
        radiation = lar.radiation_scale(kinetic) / lar.RADIATION_LENGTH
        photon_rate = radiation * (-4.0 / 3.0 * math.log(y) - 4.0 / 3.0 * (1.0 - y) + 0.5 * (1.0 - y * y))
        faces = to_boundary(p[PX], p[PY], p[PZ], p[PU], p[PV], p[PW])
        path = min(faces * PITCH, 0.2 * kinetic / stopping)
        soft = stopping + radiation * PHOTON_CUT
        if largest > CUT:
            soft -= lar.XI / beta2 * math.log(largest / CUT)
        sigma = math.sqrt(lar.XI / beta2 * min(CUT, largest) * path)
        loss = soft * path + sigma * randoms.normal_pair(rng)[0]
        loss = min(max(loss, 0.0), kinetic)
        half = 0.5 * path / PITCH
        mx, my, mz = p[PX] + half * p[PU], p[PY] + half * p[PV], p[PZ] + half * p[PW]
        p[PX] += 2.0 * half * p[PU]
        p[PY] += 2.0 * half * p[PV]
        p[PZ] += 2.0 * half * p[PW]
        p[PT] += path / (_LIGHT * math.sqrt(beta2))
        p[PE] -= loss
        rate = knock_rate + photon_rate
        for _ in range(randoms.poisson(rng, rate * path)):
            if p[PE] < STOP:
                break
            if randoms.uniform(rng) * rate < knock_rate:
                energy = knock_on_energy(rng, largest)
                if energy >= p[PE]:
                    continue
                p[PE] -= energy
                if energy < LOCAL:
                    loss += energy
                else:
                    cosine = knock_on_cosine(energy, kinetic, lar.ELECTRON_MASS)
                    u, v, w = randoms.deflect(rng, p[PU], p[PV], p[PW], cosine)
                    add_particle(work, ELECTRON, -1, instance, mx, my, mz, u, v, w, energy, p[PT])
            else:
                energy = _radiated(rng, kinetic)
                if energy >= p[PE]:
                    continue
                p[PE] -= energy
                angle = min(1.0, randoms.exponential(rng) / gamma)
                u, v, w = randoms.deflect(rng, p[PU], p[PV], p[PW], math.cos(angle))
                add_particle(work, PHOTON, 0, instance, mx, my, mz, u, v, w, energy, p[PT])
        deposit(work, instance, mx, my, mz, loss, path, p[PT])
        if p[PE] > STOP:
            scatter(rng, p, lar.ELECTRON_MASS, path)
    deposit(work, instance, p[PX], p[PY], p[PZ], p[PE], 0.01, p[PT])
    if charge > 0:
        u, v, w = randoms.direction(rng)
        for sign in (-1.0, 1.0):
            add_particle(
                work, PHOTON, 0, instance, p[PX], p[PY], p[PZ], sign * u, sign * v, sign * w, lar.ELECTRON_MASS, p[PT]
            )


@kernel
def _compton(rng: np.ndarray, energy: float) -> tuple[float, float]:
    """Draw the scattered energy and cosine (Klein-Nishina, by composition and rejection)."""
    k = energy / lar.ELECTRON_MASS
    low = 1.0 / (1.0 + 2.0 * k)
    alpha1 = -math.log(low)
    alpha2 = 0.5 * (1.0 - low * low)
    while True:
        if randoms.uniform(rng) * (alpha1 + alpha2) < alpha1:
            epsilon = math.exp(-alpha1 * randoms.uniform(rng))
        else:
            epsilon = math.sqrt(low * low + (1.0 - low * low) * randoms.uniform(rng))
        t = (1.0 - epsilon) / (k * epsilon)
        sine2 = t * (2.0 - t)
        if randoms.uniform(rng) < 1.0 - epsilon * sine2 / (1.0 + epsilon * epsilon):
            return epsilon * energy, 1.0 - t


@inner_kernel
def transport_photon(work: Work, p: np.ndarray, instance: int) -> None:
    """Follow one photon until it converts, is absorbed or leaves; ``p`` is its stack row, changed in place."""
    rng = work.rng
    while p[PE] > PHOTON_CUT:
        energy = p[PE]
        total, compton, pair = lar.photon_coefficients(energy)
        step = randoms.exponential(rng) / total
        p[PX] += step / PITCH * p[PU]
        p[PY] += step / PITCH * p[PV]
        p[PZ] += step / PITCH * p[PW]
        p[PT] += step / _LIGHT
        if not inside(p[PX], p[PY], p[PZ]):
            return
        choice = randoms.uniform(rng) * total
        if choice < pair:
            kinetic = energy - 2.0 * lar.ELECTRON_MASS
            share = randoms.uniform(rng) * kinetic
            for charge in (-1, 1):
                e = share if charge < 0 else kinetic - share
                angle = min(1.0, randoms.exponential(rng) * lar.ELECTRON_MASS / (e + lar.ELECTRON_MASS))
                u, v, w = randoms.deflect(rng, p[PU], p[PV], p[PW], math.cos(angle))
                add_particle(work, ELECTRON, charge, instance, p[PX], p[PY], p[PZ], u, v, w, e, p[PT])
            return
        if choice < pair + compton:
            scattered, cosine = _compton(rng, energy)
            electron = energy - scattered
            if electron < LOCAL:
                deposit(work, BLIPS, p[PX], p[PY], p[PZ], electron, 0.05, p[PT])
                p[PU], p[PV], p[PW] = randoms.deflect(rng, p[PU], p[PV], p[PW], cosine)
            else:
                u, v, w = p[PU], p[PV], p[PW]
                a, b, c = randoms.deflect(rng, u, v, w, cosine)
                x, y, z = energy * u - scattered * a, energy * v - scattered * b, energy * w - scattered * c
                norm = math.sqrt(x * x + y * y + z * z)
                owner = instance if electron > SOFT else BLIPS
                add_particle(
                    work, ELECTRON, -1, owner, p[PX], p[PY], p[PZ], x / norm, y / norm, z / norm, electron, p[PT]
                )
                p[PU], p[PV], p[PW] = a, b, c
            p[PE] = scattered
            continue
        if energy < LOCAL:
            break
        u, v, w = randoms.deflect(rng, p[PU], p[PV], p[PW], randoms.uniform(rng))
        owner = instance if energy > SOFT else BLIPS
        add_particle(work, ELECTRON, -1, owner, p[PX], p[PY], p[PZ], u, v, w, energy, p[PT])
        return
    deposit(work, BLIPS, p[PX], p[PY], p[PZ], p[PE], 0.05, p[PT])
