"""One simulated event: buffers, transport, readout, labels."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tpcfm.simulate.collider.apparatus import NOISE_MOMENTUM_GEV
from tpcfm.simulate.collider.energy_loss import landau_quantiles
from tpcfm.simulate.collider.material import layout
from tpcfm.simulate.collider.random import keyed_state
from tpcfm.simulate.collider.readout import read_out
from tpcfm.simulate.collider.settings import DEFAULT, Settings
from tpcfm.simulate.collider.species import CHARGE, LABEL, MASS, PDG
from tpcfm.simulate.collider.transport import transport

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Event:
    """Points (N, 4) float32 (E, x, y, z); track uint16, pid uint8, noise bool (N,); particles (M, 10) float64."""

    points: npt.NDArray[np.float32]
    track: npt.NDArray[np.uint16]
    pid: npt.NDArray[np.uint8]
    noise: npt.NDArray[np.bool_]
    particles: npt.NDArray[np.float64]


class Detector:
    """The TPC with its buffers. Buffers grow when an event needs it; the event is then done again from the same random state."""

    def __init__(self, settings: Settings = DEFAULT) -> None:
        plan = layout()
        self.settings = settings
        self._cylinders = (plan.edges, plan.solid, plan.layer, plan.gas)
        self._landau = landau_quantiles()
        self._stack = np.empty((4096, 8))
        self._deposits = np.empty((16384, 8))
        self._tracks = np.empty((4096, 8))

    def simulate(self, primaries: Floats, key: int) -> Event:
        """Transport ``primaries`` (P, 8), rows (species, x, y, z, t, px, py, pz) in cm, ns, GeV/c, with random key ``key``."""
        while True:
            state = keyed_state(key)
            while len(self._stack) < len(primaries):
                self._stack = np.empty((2 * len(self._stack), 8))
            self._stack[: len(primaries)] = primaries
            deposits, tracks, stack = transport(
                self._stack, len(primaries), self._deposits, self._tracks, self._cylinders, self.settings, state
            )
            if stack > len(self._stack):
                self._stack = np.empty((2 * stack, 8))
            elif deposits > len(self._deposits):
                self._deposits = np.empty((2 * deposits, 8))
            elif tracks > len(self._tracks):
                self._tracks = np.empty((2 * tracks, 8))
            else:
                break
        points = np.empty((deposits, 4), dtype=np.float32)
        owner = np.empty(deposits, dtype=np.int64)
        count = read_out(self._deposits, deposits, self._landau, self.settings, state, points, owner)
        return _label(points[:count], owner[:count], self._tracks[:tracks])


def _label(points: npt.NDArray[np.float32], owner: npt.NDArray[np.int64], tracks: Floats) -> Event:
    """Number the tracks that own points 0, 1, 2 … and label each point by its track."""
    visible, track = np.unique(owner, return_inverse=True)
    made = tracks[visible]
    species = made[:, 0].astype(np.int64)
    momentum = made[:, 5:8]
    magnitude = np.sqrt((momentum**2).sum(axis=1))
    particles = np.empty((len(visible), 10))
    particles[:, 0] = np.arange(len(visible))
    particles[:, 1] = PDG[species]
    particles[:, 2:5] = momentum
    particles[:, 5] = np.sqrt(magnitude**2 + MASS[species] ** 2)
    particles[:, 6:9] = made[:, 1:4]
    particles[:, 9] = CHARGE[species]
    return Event(
        points=points.copy(),
        track=track.astype(np.uint16),
        pid=LABEL[species][track],
        noise=(magnitude < NOISE_MOMENTUM_GEV)[track],
        particles=particles,
    )
