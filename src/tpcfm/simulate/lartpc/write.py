"""Writer of PILArNet-M HDF5 files, revisions v1, v2 and v3 (layout: arXiv 2502.02558, App. A, and the dataset card)."""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import h5py
import numpy as np

from tpcfm.errors import ConfigError, DataError
from tpcfm.files import atomic

REVISIONS = ("v1", "v2", "v3")
_IONS_PER_MEV = 1.0 / 23.6e-6
_RECOMBINATION = 0.7  # share of electrons that escape recombination at 0.5 kV/cm, minimum ionising


class PilarnetEvent(Protocol):
    """What the writer needs of an event; see :class:`tpcfm.simulate.lartpc.LartpcEvent`."""

    @property
    def voxel(self) -> np.ndarray: ...

    @property
    def energy(self) -> np.ndarray: ...

    @property
    def path(self) -> np.ndarray: ...

    @property
    def time(self) -> np.ndarray: ...

    @property
    def size(self) -> np.ndarray: ...

    @property
    def fragment(self) -> np.ndarray: ...

    @property
    def group(self) -> np.ndarray: ...

    @property
    def interaction(self) -> np.ndarray: ...

    @property
    def semantic(self) -> np.ndarray: ...

    @property
    def pid(self) -> np.ndarray: ...

    @property
    def mass(self) -> np.ndarray: ...

    @property
    def momentum(self) -> np.ndarray: ...

    @property
    def vertex(self) -> np.ndarray: ...

    @property
    def primary(self) -> np.ndarray: ...


def file_name(events: int, revision: str) -> str:
    """Return the published name of a file: ``generic_v2_<events>_<revision>.h5``."""
    _check(revision)
    return f"generic_v2_{events}_{revision}.h5"


def sidecar_path(path: str | Path) -> Path:
    """Return the path of the point-count sidecar of a file."""
    return Path(path).with_name(f"{Path(path).stem}_points.npy")


def point_rows(event: PilarnetEvent) -> np.ndarray:
    """Return the (N, 8) float32 table: x, y, z, energy, deposit (MeV), time (ns), electrons, dx (cm)."""
    rows = np.empty((event.energy.size, 8), np.float32)
    rows[:, :3] = event.voxel
    rows[:, 3] = event.energy
    rows[:, 4] = event.energy
    rows[:, 5] = event.time
    rows[:, 6] = event.energy * (_IONS_PER_MEV * _RECOMBINATION)
    rows[:, 7] = event.path
    return rows


def cluster_rows(event: PilarnetEvent, revision: str) -> np.ndarray:
    """Return the (C, 5 or 6) int32 table: size, fragment, group, interaction, semantic and, from v2 on, particle id."""
    columns = [event.size, event.fragment, event.group, event.interaction, event.semantic]
    if revision != "v1":
        columns.append(event.pid)
    return np.stack(columns, axis=1).astype(np.int32)


def extra_rows(event: PilarnetEvent, revision: str) -> np.ndarray:
    """Return the (C, 5 or 6) float32 table: mass (MeV), momentum (GeV/c), vertex x y z (voxel) and, in v3, is_primary."""
    columns = [event.mass, event.momentum, *event.vertex.T]
    if revision == "v3":
        columns.append(event.primary)
    return np.stack(columns, axis=1).astype(np.float32)


def write_pilarnet(path: str | Path, events: Iterable[PilarnetEvent], count: int, *, revision: str = "v2") -> None:
    """Write ``count`` events to one file and the point counts to its sidecar; both appear only when complete.

    Raises:
        ConfigError: unknown revision.
        DataError: the iterable holds another number of events, or an event's cluster sizes do not sum to its points.
        MachineError: the folder cannot be written.
    """
    _check(revision)
    target = Path(path)
    points = np.zeros(count, np.int64)
    with atomic(target) as temporary:
        with h5py.File(temporary, "w", libver="latest") as file:
            point = file.create_dataset("point", (count,), h5py.vlen_dtype(np.float32))
            cluster = file.create_dataset("cluster", (count,), h5py.vlen_dtype(np.int32))
            extra = None
            if revision != "v1":
                extra = file.create_dataset("cluster_extra", (count,), h5py.vlen_dtype(np.float32))
            row = -1
            for row, event in enumerate(events):
                if row >= count:
                    raise DataError(f"{target}: more than the {count} events announced")
                if int(event.size.sum()) != event.energy.size:
                    raise DataError(
                        f"{target}: event {row}: clusters hold {int(event.size.sum())} points, event {event.energy.size}"
                    )
                point[row] = point_rows(event).ravel()
                cluster[row] = cluster_rows(event, revision).ravel()
                if extra is not None:
                    extra[row] = extra_rows(event, revision).ravel()
                points[row] = event.energy.size
            if row + 1 != count:
                raise DataError(f"{target}: {row + 1} events instead of the {count} announced")
        with atomic(sidecar_path(target)) as sidecar, open(sidecar, "wb") as stream:
            np.save(stream, points)


def _check(revision: str) -> None:
    if revision not in REVISIONS:
        raise ConfigError(f"revision = {revision!r}: allowed are {', '.join(REVISIONS)}")
