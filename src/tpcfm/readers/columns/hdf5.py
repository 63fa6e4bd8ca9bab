"""HDF5 as columns: flat datasets, datasets with a variable-length row per event, or a group per event."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from tpcfm.errors import DataError
from tpcfm.readers.columns.arrays import Part, parts_of
from tpcfm.readers.columns.source import ROWS, Chunk, Column, Source, Values
from tpcfm.readers.pilarnet import open_hdf5
from tpcfm.readers.ragged import Array, Ragged, offsets_of
from tpcfm.readers.vlen import VlenRows

DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError)
POINTS = 1 << 18
"""Points of a chunk of groups or variable-length rows, about."""


class Hdf5Source:
    """Columns of the datasets of a group, or of one dataset of records, or of all groups of a group (one per event)."""

    form = "HDF5"

    def __init__(self, path: Path, file: h5py.File, table: str | None) -> None:
        self.path = path
        self.columns: dict[str, Column] = {}
        self.unreadable: dict[str, str] = {}
        self.parts: dict[str, Part] = {}
        self._vlen: dict[str, VlenRows] = {}
        self.groups: list[h5py.Group] = []
        held = self._held(file, table)
        if isinstance(held, h5py.Dataset):
            self.home = held.parent
            self._add(str(held.name).rsplit("/", 1)[-1], held, alone=True)
            return
        self.home = held
        members = {name: held[name] for name in held}
        datasets = {name: one for name, one in members.items() if isinstance(one, h5py.Dataset)}
        if not datasets and members:
            self.groups = sorted(members.values(), key=lambda group: _natural(str(group.name)))
            datasets = {n: one for n, one in self.groups[0].items() if isinstance(one, h5py.Dataset)}
        for name, dataset in datasets.items():
            self._add(name, dataset, alone=len(datasets) == 1)

    def _held(self, file: h5py.File, table: str | None) -> h5py.Group | h5py.Dataset:
        """Return the group or dataset to read: as named, else the root or, if it holds nothing but one group, that."""
        if table is not None:
            if table not in file:
                raise DataError(f"{self.path}: read.table: no {table!r}; there are {', '.join(file) or 'nothing'}")
            return file[table]
        members = [file[name] for name in file]
        if len(members) == 1 and isinstance(members[0], h5py.Group):
            return members[0]
        if any(isinstance(member, h5py.Dataset) for member in members):
            return file
        keys = {tuple(sorted(member)) for member in members[:100]}
        if len(keys) > 1:
            raise DataError(f"{self.path}: holds several groups ({', '.join(file)}); say which: read.table")
        return file

    def _add(self, name: str, dataset: h5py.Dataset, alone: bool) -> None:
        base = h5py.check_vlen_dtype(dataset.dtype)
        if isinstance(base, np.dtype) and dataset.ndim == 1:
            self.columns[name] = Column(base.kind, True)
            if not self.groups:
                self._vlen[name] = VlenRows(self.path, dataset)
            return
        found = parts_of(name, dataset.dtype, dataset.shape or (), alone)
        self.parts |= {column: part for column, (part, _) in found.items()}
        self.columns |= {column: Column(about.kind, bool(self.groups)) for column, (_, about) in found.items()}

    def chunks(self, names: Sequence[str]) -> Iterator[Chunk]:
        """Yield all rows (of groups: a row of lists per group)."""
        try:
            if self.groups:
                yield from self._of_groups(names)
            elif any(name in self._vlen for name in names):
                yield from self._of_lists(names)
            else:
                yield from self._of_rows(names)
        except DAMAGE as error:
            raise DataError(f"{self.path}: cannot be read: {error}") from error

    def rows(self, names: Sequence[str]) -> int:
        """Return the rows of all datasets that some columns come from."""
        rows = {n: len(self._vlen[n]) if n in self._vlen else len(self.home[self.parts[n].array]) for n in names}
        for name, count in rows.items():
            if count != rows[names[0]]:
                raise DataError(f"{self.path}: {name!r} has {count} rows, {names[0]!r} has {rows[names[0]]}")
        return rows[names[0]]

    def _flat(self, names: Sequence[str], start: int, stop: int) -> dict[str, Values]:
        arrays = {self.parts[name].array for name in names}
        taken = {array: self.home[array][start:stop] for array in arrays}
        return {name: self.parts[name].take(taken[self.parts[name].array]) for name in names}

    def _of_rows(self, names: Sequence[str]) -> Iterator[Chunk]:
        rows = self.rows(names)
        for start in range(0, rows, ROWS):
            yield Chunk(self._flat(names, start, min(start + ROWS, rows)))

    def _of_lists(self, names: Sequence[str]) -> Iterator[Chunk]:
        rows, start = self.rows(names), 0
        lists = [name for name in names if name in self._vlen]
        while start < rows:
            stop = min(self._vlen[lists[0]].end_of_block(start, POINTS), rows)
            chunk = Chunk(self._flat([name for name in names if name not in lists], start, stop))
            for name in lists:
                read = self._vlen[name].read(start, stop)
                chunk.damaged |= {i: (name, row) for i, row in enumerate(read) if isinstance(row, str)}
                chunk.values[name] = _lists([np.zeros(0) if isinstance(row, str) else row for row in read])
            yield chunk
            start = stop

    def _of_groups(self, names: Sequence[str]) -> Iterator[Chunk]:
        held: dict[str, list[Array]] = {name: [] for name in names}
        points = 0
        for i, group in enumerate(self.groups):
            taken: dict[str, Array] = {}
            for name in names:
                part = self.parts[name]
                if part.array in group and part.array not in taken:
                    taken[part.array] = group[part.array][()]
                held[name].append(part.take(taken[part.array]) if part.array in taken else np.zeros(0))
            points += len(held[names[0]][-1])
            if points >= POINTS or i == len(self.groups) - 1:
                yield Chunk({name: _lists(pieces) for name, pieces in held.items()})
                held, points = {name: [] for name in names}, 0


def _lists(rows: list[Array]) -> Ragged:
    filled = [row for row in rows if len(row)] or rows[:1]
    return Ragged(offsets_of([len(row) for row in rows]), np.concatenate(filled))


def _natural(name: str) -> list[tuple[int, str]]:
    """Key that sorts ``event_10`` behind ``event_9``."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


@contextmanager
def open_file(path: Path, table: str | None) -> Iterator[Source]:
    """Open an HDF5 file.

    Raises:
        DataError: damaged, no such table, or several and none named.
    """
    with open_hdf5(path) as file:
        try:
            source = Hdf5Source(path, file, table)
        except DAMAGE as error:
            raise DataError(f"{path}: not a readable HDF5 file: {error}") from error
        yield source
