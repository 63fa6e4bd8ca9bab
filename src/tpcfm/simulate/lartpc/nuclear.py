"""Decays, captures and nuclear interactions: what makes new particles of tracks.

The electromagnetic physics is done from cross-sections; this part is a compact cascade model with the measured mean free
paths and plausible multiplicities, enough for kinks, stars, charge exchange and the blips that neutrons leave.
"""

import math

import numpy as np

from tpcfm.simulate.lartpc import material as lar
from tpcfm.simulate.lartpc import randoms
from tpcfm.simulate.lartpc.kernels import inner_kernel, kernel
from tpcfm.simulate.lartpc.work import (
    ELECTRON,
    IM_INTERACTION,
    MICHEL,
    MUON,
    NEUTRON,
    PE,
    PHOTON,
    PION,
    PITCH,
    PROTON,
    PT,
    PU,
    PV,
    PW,
    PX,
    PY,
    PZ,
    SHOWER,
    TRACK,
    Work,
    add_instance,
    add_particle,
    deposit,
    inside,
)

PION_LENGTH = 85.0  # cm, mean free path of inelastic interactions; 60 cm at the Delta resonance
PROTON_LENGTH = 85.0  # cm
ELASTIC_LENGTH = 150.0  # cm
NEUTRON_LENGTH = 25.0  # cm
EVAPORATED = 2.0  # mean number of neutrons evaporated after a nuclear reaction
CAPTURE_DRIFT = 60.0  # cm, standard deviation per axis of the way from 0.5 MeV to capture
_PION_LIFE, _MUON_LIFE, _MUON_ARGON_LIFE = 26.03, 2197.0, 537.0  # ns; the last: a negative muon in argon
_MUON_CAPTURE = 1.0 - _MUON_ARGON_LIFE / _MUON_LIFE  # probability of capture of a negative muon
_CAPTURE_LIFE = 3.0e5  # ns, thermal neutrons in argon
_LIGHT = 29.979  # cm/ns
_BINDING = 8.0  # MeV per nucleon knocked out
_ELASTIC_SLOPE = 108.0e-6  # 1/MeV^2, from the radius of the argon nucleus
_MICHEL_MAX = 52.83  # MeV, total energy


@kernel
def michel_energy(rng: np.ndarray) -> float:
    """Draw the total energy (MeV) of an electron from muon decay: x^2 (3 - 2 x)."""
    while True:
        x = randoms.uniform(rng)
        if randoms.uniform(rng) < x * x * (3.0 - 2.0 * x):
            return max(x * _MICHEL_MAX, lar.ELECTRON_MASS + 0.2)


@inner_kernel
def _nucleon(work: Work, p: np.ndarray, proton: bool, kinetic: float, parent: int, debris: int) -> None:
    """Emit a proton (its own track) or a neutron (part of the debris) isotropically."""
    if kinetic < 1.0:
        return
    u, v, w = randoms.direction(work.rng)
    if not proton:
        add_particle(work, NEUTRON, 0, debris, p[PX], p[PY], p[PZ], u, v, w, kinetic, p[PT])
        return
    _track(work, p, PROTON, 1, lar.PROTON_MASS, u, v, w, kinetic, parent)


@inner_kernel
def _track(
    work: Work, p: np.ndarray, species: int, charge: int, mass: float, u: float, v: float, w: float, kinetic: float,
    parent: int,
) -> None:  # fmt: skip
    """Start a secondary track of its own."""
    interaction = work.instance_id[parent, IM_INTERACTION]
    new = add_instance(
        work, TRACK, species, charge, parent, interaction, 0, p[PX], p[PY], p[PZ], u, v, w, kinetic, mass
    )
    add_particle(work, species, charge, new, p[PX], p[PY], p[PZ], u, v, w, kinetic, p[PT])


@inner_kernel
def shower(
    work: Work, p: np.ndarray, species: int, charge: int, u: float, v: float, w: float, kinetic: float, parent: int,
    interaction: int, primary: int,
) -> int:  # fmt: skip
    """Start an electromagnetic instance with one photon or electron and return its number."""
    mass = lar.ELECTRON_MASS if species == ELECTRON else 0.0
    new = add_instance(
        work, SHOWER, species, charge, parent, interaction, primary, p[PX], p[PY], p[PZ], u, v, w, kinetic, mass
    )
    add_particle(work, species, charge, new, p[PX], p[PY], p[PZ], u, v, w, kinetic, p[PT])
    return new


@inner_kernel
def neutral_pion(work: Work, p: np.ndarray, kinetic: float, parent: int, interaction: int, primary: int) -> None:
    """Let a neutral pion flying along ``p`` decay into two photons on the spot."""
    gamma = 1.0 + kinetic / lar.NEUTRAL_PION_MASS
    beta = math.sqrt(1.0 - 1.0 / (gamma * gamma))
    cosine = 2.0 * randoms.uniform(work.rng) - 1.0
    azimuth = 2.0 * math.pi * randoms.uniform(work.rng)
    for sign in (-1.0, 1.0):
        c = sign * cosine
        energy = 0.5 * lar.NEUTRAL_PION_MASS * gamma * (1.0 + beta * c)
        lab = (c + beta) / (1.0 + beta * c)
        sine = sign * math.sqrt(max(0.0, 1.0 - lab * lab))
        u, v, w = randoms.tilt(p[PU], p[PV], p[PW], lab, sine * math.cos(azimuth), sine * math.sin(azimuth))
        shower(work, p, PHOTON, 0, u, v, w, energy, parent, interaction, primary)


@inner_kernel
def _debris(work: Work, p: np.ndarray, parent: int) -> int:
    """Start the instance of all neutral debris of one nuclear reaction, with evaporated neutrons and de-excitation photons."""
    rng = work.rng
    interaction = work.instance_id[parent, IM_INTERACTION]
    debris = add_instance(work, SHOWER, PHOTON, 0, parent, interaction, 0, p[PX], p[PY], p[PZ], 0.0, 0.0, 1.0, 1.0, 0.0)
    for _ in range(randoms.poisson(rng, 1.5)):
        u, v, w = randoms.direction(rng)
        energy = 0.4 + 1.5 * randoms.exponential(rng)
        add_particle(work, PHOTON, 0, debris, p[PX], p[PY], p[PZ], u, v, w, energy, p[PT])
    for _ in range(randoms.poisson(rng, EVAPORATED)):
        u, v, w = randoms.direction(rng)
        energy = 0.5 + 1.5 * (randoms.exponential(rng) + randoms.exponential(rng))
        add_particle(work, NEUTRON, 0, debris, p[PX], p[PY], p[PZ], u, v, w, energy, p[PT])
    return debris


@inner_kernel
def _knock_out(work: Work, p: np.ndarray, available: float, count: int, parent: int, debris: int) -> None:
    """Share energy (MeV) among nucleons knocked out, less the binding energy; 45 % are protons (Z / A of argon)."""
    rng = work.rng
    rest = available
    for i in range(count):
        share = rest if i == count - 1 else rest * (1.0 - randoms.uniform(rng) ** (1.0 / (count - 1 - i)))
        rest -= share
        _nucleon(work, p, randoms.uniform(rng) < 0.45, share - _BINDING, parent, debris)


@inner_kernel
def interact(work: Work, p: np.ndarray, species: int, charge: int, mass: float, instance: int, path: float) -> bool:
    """Let a pion or proton decay or meet a nucleus within ``path`` cm; True if the particle is gone."""
    rng = work.rng
    kinetic = p[PE]
    momentum = math.sqrt(kinetic * (kinetic + 2.0 * mass))
    if species == PION and randoms.uniform(rng) < path * mass / (momentum * _PION_LIFE * _LIGHT):
        # The muon keeps about the direction; its energy in flight is flat between the kinematic limits.
        energy = kinetic + mass
        low, high = 0.5 * (1.573 * energy - 0.427 * momentum), 0.5 * (1.573 * energy + 0.427 * momentum)
        muon = randoms.between(rng, low, high) - lar.MUON_MASS
        if muon > 0.0:
            _track(work, p, MUON, charge, lar.MUON_MASS, p[PU], p[PV], p[PW], muon, instance)
        return True
    if kinetic < 20.0:
        return False
    if randoms.uniform(rng) < path / ELASTIC_LENGTH:
        t = randoms.exponential(rng) / _ELASTIC_SLOPE
        cosine = max(-1.0, 1.0 - 0.5 * t / (momentum * momentum))
        p[PU], p[PV], p[PW] = randoms.deflect(rng, p[PU], p[PV], p[PW], cosine)
    length = PROTON_LENGTH
    if species == PION:
        length = PION_LENGTH - 25.0 * math.exp(-(((kinetic - 200.0) / 120.0) ** 2))
    if randoms.uniform(rng) >= path / length:
        return False
    debris = _debris(work, p, instance)
    choice = randoms.uniform(rng)
    if species == PION and choice < 0.35:  # absorption on two or more nucleons
        _knock_out(work, p, kinetic + mass, randoms.integer(rng, 2, 6), instance, debris)
        return True
    keep = kinetic * randoms.between(rng, 0.2, 0.9)
    cosine = 1.0 - 2.0 * randoms.uniform(rng) ** 2
    u, v, w = randoms.deflect(rng, p[PU], p[PV], p[PW], cosine)
    if species == PION and choice < 0.5:  # charge exchange
        p[PU], p[PV], p[PW] = u, v, w
        neutral_pion(work, p, keep, instance, work.instance_id[instance, IM_INTERACTION], 0)
    else:
        _track(work, p, species, charge, mass, u, v, w, keep, instance)
    _knock_out(work, p, kinetic - keep, randoms.integer(rng, 1, 3), instance, debris)
    return True


@inner_kernel
def come_to_rest(work: Work, p: np.ndarray, species: int, charge: int, instance: int) -> None:
    """Let a stopped muon decay or be captured, a stopped pion decay (positive) or be captured (negative)."""
    rng = work.rng
    if species == PION:
        if charge > 0:
            p[PT] += _PION_LIFE * randoms.exponential(rng)
            # 4.12 MeV muon, a tenth of a centimetre: it belongs to the pion's track, and decays at its end.
            deposit(work, instance, p[PX], p[PY], p[PZ], 4.12, 0.1, p[PT])
            _muon_decay(work, p, 1, instance)
        else:
            debris = _debris(work, p, instance)
            _knock_out(work, p, 100.0, randoms.integer(rng, 2, 5), instance, debris)
    elif species == MUON:
        if charge < 0 and randoms.uniform(rng) < _MUON_CAPTURE:
            p[PT] += _MUON_ARGON_LIFE * randoms.exponential(rng)
            debris = _debris(work, p, instance)
            _nucleon(work, p, False, 1.0 + 5.0 * randoms.exponential(rng), instance, debris)
            if randoms.uniform(rng) < 0.15:
                _nucleon(work, p, True, 2.0 + 8.0 * randoms.exponential(rng), instance, debris)
        else:
            p[PT] += (_MUON_LIFE if charge > 0 else _MUON_ARGON_LIFE) * randoms.exponential(rng)
            _muon_decay(work, p, charge, instance)


@inner_kernel
def _muon_decay(work: Work, p: np.ndarray, charge: int, instance: int) -> None:
    """Emit the Michel electron."""
    kinetic = michel_energy(work.rng) - lar.ELECTRON_MASS
    u, v, w = randoms.direction(work.rng)
    michel = add_instance(
        work, MICHEL, ELECTRON, charge, instance, work.instance_id[instance, IM_INTERACTION], 0,
        p[PX], p[PY], p[PZ], u, v, w, kinetic, lar.ELECTRON_MASS,
    )  # fmt: skip
    add_particle(work, ELECTRON, charge, michel, p[PX], p[PY], p[PZ], u, v, w, kinetic, p[PT])


@inner_kernel
def _neutron_capture(work: Work, p: np.ndarray, instance: int) -> None:
    """Let a slowed neutron drift and be captured: 6.1 MeV in photons, mostly 4.74 + 1.19 + 0.17 MeV (argon-40)."""
    rng = work.rng
    for axis in range(3):
        p[PX + axis] += CAPTURE_DRIFT / PITCH * randoms.normal_pair(rng)[0]
    if not inside(p[PX], p[PY], p[PZ]):
        return
    p[PT] += _CAPTURE_LIFE * randoms.exponential(rng)
    strong = randoms.uniform(rng) < 0.55
    rest = 6.1
    while rest > 0.15:
        energy = rest * randoms.uniform(rng)
        if strong and rest > 1.3:
            energy = 4.745 if rest > 5.0 else 1.187
        elif rest < 1.0:
            energy = rest
        rest -= energy
        u, v, w = randoms.direction(rng)
        add_particle(work, PHOTON, 0, instance, p[PX], p[PY], p[PZ], u, v, w, energy, p[PT])


@inner_kernel
def transport_neutron(work: Work, p: np.ndarray, instance: int) -> None:
    """Follow one neutron: recoils, photons from inelastic scattering, protons from charge exchange."""
    rng = work.rng
    for _ in range(40):
        if p[PE] < 0.5:
            _neutron_capture(work, p, instance)
            return
        step = randoms.exponential(rng) * NEUTRON_LENGTH
        p[PX] += step / PITCH * p[PU]
        p[PY] += step / PITCH * p[PV]
        p[PZ] += step / PITCH * p[PW]
        gamma = 1.0 + p[PE] / lar.NEUTRON_MASS
        p[PT] += step / (_LIGHT * math.sqrt(1.0 - 1.0 / (gamma * gamma)))
        if not inside(p[PX], p[PY], p[PZ]):
            return
        choice = randoms.uniform(rng)
        if p[PE] > 15.0 and choice < 0.3:
            _nucleon(work, p, True, p[PE] * randoms.between(rng, 0.2, 0.9) - _BINDING, instance, instance)
            return
        if p[PE] > 2.0 and choice < 0.5:
            energy = min(p[PE] - 0.4, 0.5 + 1.2 * randoms.exponential(rng))
            u, v, w = randoms.direction(rng)
            add_particle(work, PHOTON, 0, instance, p[PX], p[PY], p[PZ], u, v, w, energy, p[PT])
            p[PE] -= energy
        else:
            recoil = p[PE] * 0.095 * randoms.uniform(rng)
            deposit(work, instance, p[PX], p[PY], p[PZ], 0.25 * recoil, 0.01, p[PT])  # nuclear recoils are quenched
            p[PE] -= recoil
        p[PU], p[PV], p[PW] = randoms.direction(rng)
