"""Muons, charged pions and protons: energy loss, knock-ons, scattering and kinks, step by step.

A step ends at a voxel face at the latest and loses at most an eighth of the kinetic energy, so the Bragg peak builds up by
itself. Knock-ons above ``DELTA_MIN`` become delta instances of their own; whether they stay visible as such is
decided from their voxels (``labels``).
"""

import math

import numpy as np

from tpcfm.simulate.lartpc import material as lar
from tpcfm.simulate.lartpc import nuclear, randoms
from tpcfm.simulate.lartpc.electromagnetic import CUT, LOCAL, knock_on_cosine, knock_on_energy, scatter
from tpcfm.simulate.lartpc.kernels import inner_kernel, kernel
from tpcfm.simulate.lartpc.work import (
    DELTA,
    ELECTRON,
    IM_INTERACTION,
    MUON,
    PE,
    PION,
    PITCH,
    PT,
    PU,
    PV,
    PW,
    PX,
    PY,
    PZ,
    Work,
    add_instance,
    add_particle,
    deposit,
    inside,
    to_boundary,
)

DELTA_MIN = 3.0  # MeV; a softer knock-on cannot reach the ten voxels of a delta of its own
_STOP = 1.0  # MeV; the range left is below half a millimetre
_LIGHT = 29.979  # cm/ns


@kernel
def mass_of(species: int) -> float:
    """Return the mass (MeV) of a muon, pion or proton."""
    if species == MUON:
        return lar.MUON_MASS
    if species == PION:
        return lar.PION_MASS
    return lar.PROTON_MASS


@inner_kernel
def transport_heavy(work: Work, p: np.ndarray, species: int, charge: int, instance: int) -> None:
    """Follow one muon, pion or proton until it stops, interacts or leaves; ``p`` is its stack row, changed in place."""
    rng = work.rng
    mass = mass_of(species)
    interaction = work.instance_id[instance, IM_INTERACTION]
    while p[PE] > _STOP:
        kinetic = p[PE]
        if not inside(p[PX], p[PY], p[PZ]):
            return
        soft = lar.heavy_stopping(kinetic, mass, CUT)
        rate, largest, beta2 = lar.heavy_knock_ons(kinetic, mass, CUT)
        faces = to_boundary(p[PX], p[PY], p[PZ], p[PU], p[PV], p[PW])
        path = min(faces * PITCH, 0.125 * kinetic / soft)
        variance = lar.XI / beta2 * min(CUT, largest) * (1.0 - 0.5 * beta2) * path
        loss = soft * path + math.sqrt(variance) * randoms.normal_pair(rng)[0]
        loss = min(max(loss, 0.0), kinetic)
        half = 0.5 * path / PITCH
        mx, my, mz = p[PX] + half * p[PU], p[PY] + half * p[PV], p[PZ] + half * p[PW]
        p[PX] += 2.0 * half * p[PU]
        p[PY] += 2.0 * half * p[PV]
        p[PZ] += 2.0 * half * p[PW]
        p[PT] += path / (_LIGHT * math.sqrt(beta2))
        p[PE] -= loss
        if rate > 0.0:
            for _ in range(randoms.poisson(rng, rate * path)):
                energy = knock_on_energy(rng, largest)
                if randoms.uniform(rng) > 1.0 - beta2 * energy / largest or energy >= p[PE]:
                    continue
                p[PE] -= energy
                if energy < LOCAL:
                    loss += energy
                    continue
                u, v, w = randoms.deflect(rng, p[PU], p[PV], p[PW], knock_on_cosine(energy, kinetic, mass))
                owner = instance
                if energy > DELTA_MIN:
                    owner = add_instance(
                        work, DELTA, ELECTRON, -1, instance, interaction, 0,
                        mx, my, mz, u, v, w, energy, lar.ELECTRON_MASS,
                    )  # fmt: skip
                add_particle(work, ELECTRON, -1, owner, mx, my, mz, u, v, w, energy, p[PT])
        deposit(work, instance, mx, my, mz, loss, path, p[PT])
        if p[PE] <= _STOP:
            break
        scatter(rng, p, mass, path)
        if species != MUON and nuclear.interact(work, p, species, charge, mass, instance, path):
            return
    if not inside(p[PX], p[PY], p[PZ]):
        return
    deposit(work, instance, p[PX], p[PY], p[PZ], p[PE], 0.01, p[PT])
    nuclear.come_to_rest(work, p, species, charge, instance)
