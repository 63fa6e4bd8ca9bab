"""The working memory of one event: particles still to follow, instances, and energy per (instance, voxel).

Deposits accumulate in an open-addressing hash table, so that memory grows with voxels and not with steps. Every table has
a fixed capacity; overflow sets a flag, and the event is made again from the same random state with twice the room.
"""

import math
from typing import NamedTuple

import numpy as np

from tpcfm.simulate.lartpc.apparatus import EDGE, PITCH_CM
from tpcfm.simulate.lartpc.kernels import inner_kernel, kernel

# Species; 0 to 4 are the published particle ids.
PHOTON, ELECTRON, MUON, PION, PROTON, NEUTRON = 0, 1, 2, 3, 4, 5
# What an instance is, before its voxels are looked at.
TRACK, SHOWER, DELTA, MICHEL, BLIP = 0, 1, 2, 3, 4
BLIPS = 0  # the instance that collects what photons leave on the spot: always low-energy deposits

# Rows of the float and integer tables.
PX, PY, PZ, PU, PV, PW, PE, PT = range(8)  # particle: position (voxel), direction, kinetic energy (MeV), time (ns)
IP_SPECIES, IP_CHARGE, IP_INSTANCE = range(3)
FM_MOMENTUM, FM_X, FM_Y, FM_Z, FM_PX, FM_PY, FM_PZ = range(7)  # instance: momentum (GeV/c), vertex (voxel)
IM_KIND, IM_PID, IM_CHARGE, IM_PARENT, IM_INTERACTION, IM_PRIMARY = range(6)
DE, DX, DT = range(3)  # deposit: energy (MeV), path (cm), time of the first arrival (ns)
N_PARTICLE, N_INSTANCE, N_DEPOSIT, OVERFLOW = range(4)

VOXEL_BITS = 30
VOXEL_MASK = (1 << VOXEL_BITS) - 1


class Work(NamedTuple):
    """Tables of one event; ``counts`` holds the number of rows in use and the overflow flag."""

    rng: np.ndarray  # (1,) uint64
    counts: np.ndarray  # (4,) int64
    particle: np.ndarray  # (P, 8) float64
    particle_id: np.ndarray  # (P, 3) int64
    instance: np.ndarray  # (I, 7) float64
    instance_id: np.ndarray  # (I, 6) int64
    key: np.ndarray  # (H,) int64, -1 where empty
    row: np.ndarray  # (H,) int32, deposit row of the key
    deposit: np.ndarray  # (H / 2, 3) float64
    deposit_key: np.ndarray  # (H / 2,) int64


def make_work(log2: int = 16) -> Work:
    """Return empty tables with room for ``2 ** (log2 - 1)`` pairs of instance and voxel."""
    size = 1 << log2
    rows = max(size // 16, 4096)
    return Work(
        np.zeros(1, np.uint64),
        np.zeros(4, np.int64),
        np.zeros((rows, 8)),
        np.zeros((rows, 3), np.int64),
        np.zeros((rows, 7)),
        np.zeros((rows, 6), np.int64),
        np.full(size, -1, np.int64),
        np.zeros(size, np.int32),
        np.zeros((size // 2, 3)),
        np.zeros(size // 2, np.int64),
    )


@kernel
def slot_of(key: int, size: int) -> np.int64:
    """Return the first table slot to try for a key (Fibonacci hashing); ``size`` is a power of two."""
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    return np.int64((mixed ^ (mixed >> np.uint64(29))) >> np.uint64(20)) & (size - 1)


@kernel
def reset(work: Work) -> None:
    """Empty the tables, but for the instance of the blips."""
    work.key[:] = -1
    work.counts[:] = 0
    work.counts[N_INSTANCE] = 1
    work.instance[BLIPS] = 0.0
    work.instance_id[BLIPS] = -1
    work.instance_id[BLIPS, IM_KIND] = BLIP


@inner_kernel
def deposit(work: Work, instance: int, x: float, y: float, z: float, energy: float, path: float, time: float) -> None:
    """Add energy (MeV) at a position in voxel units; outside the volume nothing is recorded."""
    if not (x >= 0.0 and y >= 0.0 and z >= 0.0 and x < EDGE and y < EDGE and z < EDGE) or energy <= 0.0:
        return
    key = (instance << VOXEL_BITS) | (int(x) << 20) | (int(y) << 10) | int(z)
    size = work.key.size
    slot = slot_of(key, size)
    while work.key[slot] != -1:
        if work.key[slot] == key:
            row = work.row[slot]
            work.deposit[row, DE] += energy
            work.deposit[row, DX] += path
            work.deposit[row, DT] = min(work.deposit[row, DT], time)
            return
        slot = (slot + 1) & (size - 1)
    row = work.counts[N_DEPOSIT]
    if row >= work.deposit_key.size:
        work.counts[OVERFLOW] = 1
        return
    work.counts[N_DEPOSIT] = row + 1
    work.key[slot] = key
    work.row[slot] = row
    work.deposit_key[row] = key
    work.deposit[row, DE] = energy
    work.deposit[row, DX] = path
    work.deposit[row, DT] = time


@inner_kernel
def add_particle(
    work: Work, species: int, charge: int, instance: int,
    x: float, y: float, z: float, u: float, v: float, w: float, kinetic: float, time: float,
) -> None:  # fmt: skip
    """Put a particle on the stack."""
    row = work.counts[N_PARTICLE]
    if row >= work.particle.shape[0]:
        work.counts[OVERFLOW] = 1
        return
    work.counts[N_PARTICLE] = row + 1
    p = work.particle[row]
    p[PX], p[PY], p[PZ], p[PU], p[PV], p[PW], p[PE], p[PT] = x, y, z, u, v, w, kinetic, time
    work.particle_id[row, IP_SPECIES] = species
    work.particle_id[row, IP_CHARGE] = charge
    work.particle_id[row, IP_INSTANCE] = instance


@inner_kernel
def add_instance(
    work: Work, kind: int, species: int, charge: int, parent: int, interaction: int, primary: int,
    x: float, y: float, z: float, u: float, v: float, w: float, kinetic: float, mass: float,
) -> int:  # fmt: skip
    """Register a labelled particle and return its number."""
    row = work.counts[N_INSTANCE]
    if row >= work.instance.shape[0]:
        work.counts[OVERFLOW] = 1
        return 0
    work.counts[N_INSTANCE] = row + 1
    momentum = math.sqrt(kinetic * (kinetic + 2.0 * mass)) * 1e-3
    f = work.instance[row]
    f[FM_MOMENTUM], f[FM_X], f[FM_Y], f[FM_Z] = momentum, x, y, z
    f[FM_PX], f[FM_PY], f[FM_PZ] = momentum * u, momentum * v, momentum * w
    i = work.instance_id[row]
    i[IM_KIND], i[IM_PID], i[IM_CHARGE], i[IM_PARENT] = kind, species, charge, parent
    i[IM_INTERACTION], i[IM_PRIMARY] = interaction, primary
    return row


@kernel
def to_boundary(x: float, y: float, z: float, u: float, v: float, w: float) -> float:
    """Return the path (voxel units) to the next voxel face along a direction."""
    s = 4.0
    if u > 1e-12:
        s = min(s, (math.floor(x) + 1.0 - x) / u)
    elif u < -1e-12:
        s = min(s, (math.floor(x) - x) / u)
    if v > 1e-12:
        s = min(s, (math.floor(y) + 1.0 - y) / v)
    elif v < -1e-12:
        s = min(s, (math.floor(y) - y) / v)
    if w > 1e-12:
        s = min(s, (math.floor(z) + 1.0 - z) / w)
    elif w < -1e-12:
        s = min(s, (math.floor(z) - z) / w)
    return s + 1e-6  # a nudge over the face


@kernel
def inside(x: float, y: float, z: float) -> bool:
    """Tell whether a position lies in the volume."""
    return x >= 0.0 and y >= 0.0 and z >= 0.0 and x < EDGE and y < EDGE and z < EDGE


PITCH = PITCH_CM
