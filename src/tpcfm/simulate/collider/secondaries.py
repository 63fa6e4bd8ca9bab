"""Particles made in matter: knock-on electrons, conversions, spallation, soft background from the calorimeter."""

import math

from tpcfm.kernels import njit
from tpcfm.simulate.collider.material import END_CM, GAS_INNER_CM, OUTER_CM
from tpcfm.simulate.collider.random import exponential, isotropic, poisson, uniform
from tpcfm.simulate.collider.species import DEUTERON, ELECTRON, PION_MINUS, PION_PLUS, POSITRON, PROTON
from tpcfm.simulate.collider.stack import push

_ELECTRON_GEV = 0.000511
_KNOCK_ON_GEV = 0.0002  # softer knock-on electrons stay inside their parent's cluster


@njit(cache=True)
def rotate_to(ux, uy, uz, cosine, azimuth):  # type: ignore[no-untyped-def]
    """Return the unit vector at polar angle acos(``cosine``) and ``azimuth`` around the unit vector u."""
    sine = math.sqrt(max(0.0, 1.0 - cosine * cosine))
    ut = math.sqrt(ux * ux + uy * uy)
    if ut < 1e-9:
        return sine * math.cos(azimuth), sine * math.sin(azimuth), cosine * (1.0 if uz > 0 else -1.0)
    ax, ay = -uy / ut, ux / ut
    bx, by, bz = -uz * ay, uz * ax, ux * ay - uy * ax
    c, s = sine * math.cos(azimuth), sine * math.sin(azimuth)
    return cosine * ux + c * ax + s * bx, cosine * uy + c * ay + s * by, cosine * uz + s * bz


@njit(cache=True)
def knock_on(stack, n, mass, grammage, x, y, z, t, px, py, pz, state):  # type: ignore[no-untyped-def]
    """Draw at most one knock-on electron along ``grammage`` g/cm²: dN/dT ~ (1 − β²T/T_max)/(β²T²)."""
    p2 = px * px + py * py + pz * pz
    energy = math.sqrt(p2 + mass * mass)
    beta2 = p2 / (energy * energy)
    if mass < 0.001:
        t_max = 0.5 * (energy - mass)
    else:
        t_max = 2.0 * _ELECTRON_GEV * p2 / (mass * mass + 2.0 * _ELECTRON_GEV * energy + _ELECTRON_GEV**2)
    if t_max <= _KNOCK_ON_GEV:
        return n
    mean = 0.5 * 0.307075e-3 * 0.48 / beta2 * grammage * (1.0 / _KNOCK_ON_GEV - 1.0 / t_max)
    if uniform(state) > mean:
        return n
    u = uniform(state)
    kinetic = 1.0 / (1.0 / _KNOCK_ON_GEV - u * (1.0 / _KNOCK_ON_GEV - 1.0 / t_max))
    if uniform(state) > 1.0 - beta2 * kinetic / t_max:
        return n
    momentum = math.sqrt(kinetic * (kinetic + 2.0 * _ELECTRON_GEV))
    p = math.sqrt(p2)
    cosine = min(1.0, kinetic * (energy + _ELECTRON_GEV) / (momentum * p))
    qx, qy, qz = rotate_to(px / p, py / p, pz / p, cosine, 2.0 * math.pi * uniform(state))
    return push(stack, n, ELECTRON, x, y, z, t, momentum * qx, momentum * qy, momentum * qz)


@njit(cache=True)
def pair_probability(energy, radiation_lengths):  # type: ignore[no-untyped-def]
    """Return the probability that a photon (GeV) converts: 7/9 per X₀ at high energy, falling towards threshold."""
    if energy < 0.0025:
        return 0.0
    return 1.0 - math.exp(-7.0 / 9.0 * radiation_lengths * max(0.05, 1.0 - 1.35 * (1e3 * energy) ** -0.4))


@njit(cache=True)
def convert(stack, n, x, y, z, t, px, py, pz, state):  # type: ignore[no-untyped-def]
    """Append the pair of a photon that converts at (x, y, z); energy split nearly flat, angles ~ m/E."""
    energy = math.sqrt(px * px + py * py + pz * pz)
    ux, uy, uz = px / energy, py / energy, pz / energy
    share = 0.02 + 0.96 * uniform(state)
    azimuth = 2.0 * math.pi * uniform(state)
    for code, fraction in ((ELECTRON, share), (POSITRON, 1.0 - share)):
        e = fraction * energy
        p = math.sqrt(max(1e-12, e * e - _ELECTRON_GEV * _ELECTRON_GEV))
        angle = _ELECTRON_GEV / max(e, _ELECTRON_GEV) * 0.625 * exponential(state)
        qx, qy, qz = rotate_to(ux, uy, uz, math.cos(min(angle, 1.5)), azimuth)
        n = push(stack, n, code, x, y, z, t, p * qx, p * qy, p * qz)
        azimuth += math.pi
    return n


@njit(cache=True)
def spallation(stack, n, x, y, z, t, inward, settings, state):  # type: ignore[no-untyped-def]
    """Append one charged product of a nuclear interaction: a proton, sometimes a deuteron or a pion.

    ``inward`` turns the direction towards the axis (products of the calorimeter that come back).
    """
    draw = uniform(state)
    if draw < 0.55:
        code, mass = PROTON, 0.93827
    elif draw < 0.75:
        code, mass = DEUTERON, 1.87561
    else:
        code, mass = (PION_PLUS if uniform(state) < 0.5 else PION_MINUS), 0.13957
    kinetic = 0.02 + settings.spallation_gev * exponential(state)
    momentum = math.sqrt(kinetic * (kinetic + 2.0 * mass))
    ux, uy, uz = isotropic(state)
    if inward and ux * x + uy * y > 0.0:
        ux, uy = -ux, -uy
    return push(stack, n, code, x, y, z, t, momentum * ux, momentum * uy, momentum * uz)


@njit(cache=True)
def calorimeter(stack, n, hadron, x, y, z, t, settings, state):  # type: ignore[no-untyped-def]
    """Append what comes back from a particle that reaches the calorimeter at (x, y, z).

    An effective model: soft photons and neutrons spread over the chamber and free electrons there (Compton effect, capture),
    with a spectrum ~ p^(−1/3); hadrons also send back charged spallation products.
    """
    for _ in range(poisson(state, settings.soft_electrons)):
        radius = math.sqrt(GAS_INNER_CM**2 + uniform(state) * (OUTER_CM**2 - GAS_INNER_CM**2))
        azimuth = math.atan2(y, x) + 1.2 * (uniform(state) - 0.5) + math.pi * (1.0 if uniform(state) < 0.3 else 0.0)
        place = z + 80.0 * (uniform(state) - 0.5)
        if abs(place) >= END_CM:
            continue
        momentum = settings.soft_low_gev + (settings.soft_high_gev - settings.soft_low_gev) * uniform(state) ** 1.5
        ux, uy, uz = isotropic(state)
        n = push(stack, n, ELECTRON, radius * math.cos(azimuth), radius * math.sin(azimuth), place, t,
                 momentum * ux, momentum * uy, momentum * uz)  # fmt: skip
    if hadron and uniform(state) < settings.backscatter:
        shrink = 0.999 * OUTER_CM / math.sqrt(x * x + y * y)
        n = spallation(stack, n, shrink * x, shrink * y, z, t, True, settings, state)
    return n
