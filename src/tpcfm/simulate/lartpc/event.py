"""One liquid-argon event: primaries, transport, labels."""

from dataclasses import dataclass

import numpy as np

from tpcfm.errors import DataError
from tpcfm.simulate.lartpc import generator, labels
from tpcfm.simulate.lartpc.electromagnetic import transport_electron, transport_photon
from tpcfm.simulate.lartpc.generator import MASSES, Settings, fire, generate
from tpcfm.simulate.lartpc.kernels import inner_kernel, outer_kernel
from tpcfm.simulate.lartpc.nuclear import transport_neutron
from tpcfm.simulate.lartpc.randoms import event_state
from tpcfm.simulate.lartpc.tracks import transport_heavy
from tpcfm.simulate.lartpc.work import (
    ELECTRON,
    FM_MOMENTUM,
    FM_PX,
    FM_X,
    IM_PRIMARY,
    IP_CHARGE,
    IP_INSTANCE,
    IP_SPECIES,
    N_PARTICLE,
    NEUTRON,
    OVERFLOW,
    PHOTON,
    Work,
    make_work,
    reset,
)

_LARGEST_TABLE = 24  # log2 of the hash table; eight million voxels


@dataclass(frozen=True)
class LartpcEvent:
    """One simulated event in cluster order (low-energy deposits first).

    ``voxel`` (N, 3) int16; ``energy`` MeV, ``path`` cm and ``time`` ns, (N,) float32; per cluster (C,) int32 ``size``,
    ``fragment``, ``group``, ``interaction``, ``semantic``, ``pid``; per cluster float32 ``mass`` (C,) MeV, ``momentum``
    (C,) GeV/c, ``vertex`` (C, 3) voxel, ``primary`` (C,), ``momentum_vector`` (C, 3) GeV/c. The low-energy cluster has −1.
    """

    voxel: np.ndarray
    energy: np.ndarray
    path: np.ndarray
    time: np.ndarray
    size: np.ndarray
    fragment: np.ndarray
    group: np.ndarray
    interaction: np.ndarray
    semantic: np.ndarray
    pid: np.ndarray
    mass: np.ndarray
    momentum: np.ndarray
    vertex: np.ndarray
    primary: np.ndarray
    momentum_vector: np.ndarray

    @property
    def point_semantic(self) -> np.ndarray:
        """Semantic class of each point, (N,) int32."""
        return np.repeat(self.semantic, self.size)


@inner_kernel
def _drain(work: Work) -> None:
    """Follow every particle on the stack, last in first out, until none is left."""
    while work.counts[N_PARTICLE] > 0 and work.counts[OVERFLOW] == 0:
        row = work.counts[N_PARTICLE] - 1
        work.counts[N_PARTICLE] = row
        p = work.particle[row].copy()
        species = work.particle_id[row, IP_SPECIES]
        charge = work.particle_id[row, IP_CHARGE]
        instance = work.particle_id[row, IP_INSTANCE]
        if species == ELECTRON:
            transport_electron(work, p, charge, instance)
        elif species == PHOTON:
            transport_photon(work, p, instance)
        elif species == NEUTRON:
            transport_neutron(work, p, instance)
        else:
            transport_heavy(work, p, species, charge, instance)


@outer_kernel
def _simulate(work, settings, gun):  # type: ignore[no-untyped-def]
    if gun.size > 0:
        fire(work, gun)
    else:
        generate(work, settings)
    _drain(work)


class Simulator:
    """Makes events one after another, reusing its tables; two simulators give the same event for the same key."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or generator.Settings()
        self._log2 = 17
        self._work = make_work(self._log2)

    def event(self, seed: int, index: int, event: int) -> LartpcEvent:
        """Simulate the event keyed by (seed, file index, event number)."""
        return self._make(seed, index, event, np.empty(0))

    def shoot(
        self,
        species: int,
        charge: int,
        kinetic: float,
        start: tuple[float, float, float],
        direction: tuple[float, float, float],
        *,
        seed: int,
        event: int,
    ) -> LartpcEvent:
        """Simulate one particle: published particle id, charge (0: either sign), MeV, voxel position, unit vector."""
        return self._make(seed, 0, event, np.array([species, charge, kinetic, *start, *direction], float))

    def _make(self, seed: int, index: int, event: int, gun: np.ndarray) -> LartpcEvent:
        while True:
            work = self._work
            reset(work)
            work.rng[:] = event_state(seed, index, event)
            _simulate(work, self.settings, gun)
            if work.counts[OVERFLOW] == 0:
                return _finish(work, labels.label(work, self.settings.threshold))
            if self._log2 >= _LARGEST_TABLE:
                raise DataError(
                    f"simulated event (seed {seed}, index {index}, event {event}) needs more than "
                    f"{2 ** (_LARGEST_TABLE - 1)} voxels; lower the multiplicities or energies of the settings"
                )
            self._log2 += 1
            self._work = make_work(self._log2)


def _finish(work: Work, found: labels.Labelled) -> LartpcEvent:
    """Add mass, momentum and vertex of each cluster's particle."""
    real = found.instance[1:]
    extra = np.full((found.size.size, 9), -1.0, np.float32)
    extra[1:, 0] = [MASSES[int(pid)] for pid in found.pid[1:]]
    extra[1:, 1] = work.instance[real, FM_MOMENTUM]
    extra[1:, 2:5] = work.instance[real, FM_X : FM_X + 3]
    extra[1:, 5] = work.instance_id[real, IM_PRIMARY]
    extra[1:, 6:9] = work.instance[real, FM_PX : FM_PX + 3]
    return LartpcEvent(
        *found[:10],
        mass=extra[:, 0],
        momentum=extra[:, 1],
        vertex=extra[:, 2:5],
        primary=extra[:, 5],
        momentum_vector=extra[:, 6:9],
    )
