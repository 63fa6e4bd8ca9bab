"""Primary particles: vertices with several particles ("particle bombs") and single cosmic-like particles.

The settings are tuned to the published aggregates of PILArNet-M (arXiv 2502.02558, App. A); the generator settings of
the dataset itself are not public.
"""

from typing import NamedTuple

import numpy as np

from tpcfm.simulate.lartpc import material as lar
from tpcfm.simulate.lartpc import nuclear, randoms
from tpcfm.simulate.lartpc.apparatus import EDGE
from tpcfm.simulate.lartpc.kernels import inner_kernel, kernel
from tpcfm.simulate.lartpc.tracks import mass_of
from tpcfm.simulate.lartpc.work import (
    ELECTRON,
    MUON,
    PE,
    PHOTON,
    PION,
    PROTON,
    PT,
    PU,
    PV,
    PW,
    PX,
    PY,
    PZ,
    TRACK,
    Work,
    add_instance,
    add_particle,
)


class Settings(NamedTuple):
    """What an event is made of. Energies are kinetic, in MeV, drawn flat; counts are drawn flat, both ends included."""

    vertices_min: int = 0
    vertices_max: int = 2
    particles_min: int = 1
    particles_max: int = 6
    singles_min: int = 1
    singles_max: int = 4
    electron: float = 0.30  # shares of the particles of a vertex; the remainder are protons
    photon: float = 0.14
    neutral_pion: float = 0.0
    muon: float = 0.31
    pion: float = 0.20
    energy_min: float = 50.0
    energy_max: float = 950.0
    muon_energy_max: float = 500.0
    proton_energy_max: float = 400.0
    single_muon: float = 0.65  # share of the singles; the others are electrons and photons in equal parts
    single_energy_max: float = 4000.0  # of muons
    single_through: float = 0.35  # share of singles that enter from outside
    threshold: float = 0.003  # MeV; voxels at or below it are not recorded


@inner_kernel
def _emit(work: Work, p: np.ndarray, kind: int, charge: int, kinetic: float, interaction: int) -> None:
    """Put one primary on the stack; kind: a published particle id or -1 for a neutral pion; charge 0: either sign."""
    u, v, w = p[PU], p[PV], p[PW]
    if kind == -1:
        nuclear.neutral_pion(work, p, kinetic, -1, interaction, 1)
        return
    if charge == 0:
        charge = 1 if randoms.uniform(work.rng) < 0.5 else -1
    if kind in (PHOTON, ELECTRON):
        nuclear.shower(work, p, kind, 0 if kind == PHOTON else charge, u, v, w, kinetic, -1, interaction, 1)
        return
    if kind == PROTON:
        charge = 1
    new = add_instance(
        work, TRACK, kind, charge, -1, interaction, 1, p[PX], p[PY], p[PZ], u, v, w, kinetic, mass_of(kind)
    )
    add_particle(work, kind, charge, new, p[PX], p[PY], p[PZ], u, v, w, kinetic, p[PT])


@kernel
def _enter(p: np.ndarray) -> None:
    """Move a particle back along its direction to the face where it enters the volume."""
    back = 4.0 * EDGE
    for axis in range(3):
        d = p[PU + axis]
        if d > 1e-9:
            back = min(back, p[PX + axis] / d)
        elif d < -1e-9:
            back = min(back, (p[PX + axis] - EDGE) / d)
    for axis in range(3):
        p[PX + axis] = min(max(p[PX + axis] - back * p[PU + axis], 1e-6), EDGE - 1e-6)


@inner_kernel
def generate(work: Work, settings: Settings) -> None:
    """Fill the stack with the primaries of one event; the random state is ``work.rng``."""
    rng = work.rng
    s = settings
    p = np.zeros(8)
    interaction = 0
    for _ in range(randoms.integer(rng, s.vertices_min, s.vertices_max)):
        p[PX], p[PY], p[PZ] = EDGE * randoms.uniform(rng), EDGE * randoms.uniform(rng), EDGE * randoms.uniform(rng)
        p[PT] = randoms.between(rng, 0.0, 1e5)
        for _ in range(randoms.integer(rng, s.particles_min, s.particles_max)):
            p[PU], p[PV], p[PW] = randoms.direction(rng)
            kinetic = randoms.between(rng, s.energy_min, s.energy_max)
            choice = randoms.uniform(rng)
            kind = PROTON
            if choice < s.electron:
                kind = ELECTRON
            elif choice < s.electron + s.photon:
                kind = PHOTON
            elif choice < s.electron + s.photon + s.neutral_pion:
                kind = -1
            elif choice < s.electron + s.photon + s.neutral_pion + s.muon:
                kind = MUON
                kinetic = randoms.between(rng, s.energy_min, s.muon_energy_max)
            elif choice < s.electron + s.photon + s.neutral_pion + s.muon + s.pion:
                kind = PION
            else:
                kinetic = randoms.between(rng, s.energy_min, s.proton_energy_max)
            _emit(work, p, kind, 0, kinetic, interaction)
        interaction += 1
    for _ in range(randoms.integer(rng, s.singles_min, s.singles_max)):
        p[PX], p[PY], p[PZ] = EDGE * randoms.uniform(rng), EDGE * randoms.uniform(rng), EDGE * randoms.uniform(rng)
        p[PT] = randoms.between(rng, 0.0, 1e5)
        # Downwards along y with cosine-squared zenith angle, the law of cosmic muons.
        p[PU], p[PV], p[PW] = randoms.deflect(rng, 0.0, -1.0, 0.0, randoms.uniform(rng) ** (1.0 / 3.0))
        if randoms.uniform(rng) < s.single_through:
            _enter(p)
        choice = randoms.uniform(rng)
        kind = MUON
        if choice > s.single_muon:
            kind = ELECTRON if choice < 0.5 * (1.0 + s.single_muon) else PHOTON
        high = s.single_energy_max if kind == MUON else s.energy_max
        _emit(work, p, kind, 0, randoms.between(rng, s.energy_min, high), interaction)
        interaction += 1


@inner_kernel
def fire(work: Work, gun: np.ndarray) -> None:
    """Put the one particle of a gun on the stack: species, charge, kinetic energy, position and direction."""
    p = np.zeros(8)
    p[PX:PE] = gun[3:9]
    _emit(work, p, int(gun[0]), int(gun[1]), gun[2], 0)


MASSES = {PHOTON: 0.0, ELECTRON: lar.ELECTRON_MASS, MUON: lar.MUON_MASS, PION: lar.PION_MASS, PROTON: lar.PROTON_MASS}
