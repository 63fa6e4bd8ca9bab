"""Reader of PILArNet-M files: HDF5, one variable-length row per event (arXiv 2502.02558, App. A).

Layouts: v1 has 5 columns in ``cluster``; v2 and v3 have 6, and ``cluster_extra`` of 5, 6, 9 or 11 columns. Points are
stored in cluster order, and the first cluster holds the low-energy deposits (label 4, ids -1).
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from tpcfm.detectors.pilarnet import EDGE, LOW_ENERGY, PID
from tpcfm.errors import DataError
from tpcfm.readers.block import Deviation, EventBlock
from tpcfm.readers.kernels import BAD_COORDINATE, BAD_ENERGY, DUPLICATE, unpack_voxels
from tpcfm.readers.ragged import Array, Ragged, offsets_of, ragged
from tpcfm.readers.vlen import RowLengths

POINT_COLUMNS = 8
CLUSTER_COLUMNS = {5: "v1", 6: "v2"}
EXTRA_COLUMNS = (5, 6, 9, 11)
POINTS_PER_BLOCK = 1 << 20
ROWS_PER_BLOCK = 4096
ROWS_UNKNOWN = (
    128  # rows per block where their lengths are not known beforehand; published events have up to 30,000 points
)
_IDS = ("fragment", "group", "interaction")
_ID_LIMIT = 2**31


class PilarnetReader:
    """One PILArNet-M file, open for reading.

    Args:
        path: the HDF5 file.

    Attributes:
        events: events in the file.
        width: columns of ``cluster`` (5 or 6).
        extra_width: columns of ``cluster_extra``, 0 if there is none.
        revision: ``v1``, ``v2`` or ``v3``.

    Raises:
        DataError: missing or unreadable file, or not this layout.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = _open(self.path)
        try:
            self._point = self._dataset("point", lambda kind: kind == np.float32, "float32")
            self._cluster = self._dataset("cluster", lambda kind: kind.kind == "i", "a signed integer")
            self._extra = None
            if "cluster_extra" in self._file:
                self._extra = self._dataset("cluster_extra", lambda kind: kind == np.float32, "float32")
            self.events = len(self._point)
            datasets = [self._point, self._cluster, *([] if self._extra is None else [self._extra])]
            self._lengths = {dataset.name: RowLengths(self.path, dataset) for dataset in datasets}
            for name, other in (("cluster", self._cluster), ("cluster_extra", self._extra)):
                if other is not None and len(other) != self.events:
                    raise DataError(f"{self.path}: {name} has {len(other)} events, point has {self.events}")
            if self.events == 0:
                raise DataError(f"{self.path}: holds no event")
            self.width, self.extra_width = self._widths()
            self.revision = "v3" if self.extra_width > 5 else CLUSTER_COLUMNS[self.width]
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "PilarnetReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def blocks(self) -> Iterator[EventBlock]:
        """Yield all events in file order, checked, about a million points (or one event) at a time."""
        start = 0
        while start < self.events:
            stop = self._end_of_block(start)
            yield self._block(start, stop)
            start = stop

    def _end_of_block(self, start: int) -> int:
        """Return where the block from ``start`` on ends, by the lengths of its rows if they can be looked up."""
        stop = min(start + ROWS_PER_BLOCK, self.events)
        lengths = self._lengths[self._point.name]
        if not lengths.known:
            return min(start + ROWS_UNKNOWN, stop)
        ends = np.cumsum(lengths.claimed(start, stop))
        return start + max(1, int(np.searchsorted(ends, POINTS_PER_BLOCK * POINT_COLUMNS, side="right")))

    def _dataset(self, name: str, fits: Callable[[np.dtype[Any]], bool], expected: str) -> h5py.Dataset:
        try:
            dataset = self._file.get(name)
            if dataset is None:
                raise DataError(
                    f"{self.path}: no dataset {name!r}; found {sorted(self._file)}; not the PILArNet-M layout"
                )
            if not isinstance(dataset, h5py.Dataset) or dataset.ndim != 1:
                raise DataError(f"{self.path}: {name!r} is not a one-dimensional dataset")
            base = h5py.check_vlen_dtype(dataset.dtype)
        except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
            raise DataError(f"{self.path}: dataset {name!r} cannot be read: {error}") from error
        if base is None or not isinstance(base, np.dtype) or not fits(base):
            found = dataset.dtype if base is None else f"variable-length {base}"
            raise DataError(f"{self.path}: {name!r} holds {found}, expected variable-length {expected}")
        return dataset

    def _rows(self, dataset: h5py.Dataset, start: int, stop: int) -> list[Array | str]:
        """Read rows; a row that cannot be read becomes the reason as text."""
        lengths = self._lengths[dataset.name]
        damaged = lengths.damaged(start, stop) if lengths.known else {}
        if damaged:
            return [damaged[i] if i in damaged else self._read(dataset, i, i + 1)[0] for i in range(start, stop)]
        return self._read(dataset, start, stop)

    def _read(self, dataset: h5py.Dataset, start: int, stop: int) -> list[Array | str]:
        try:
            return list(dataset[start:stop])
        except (OSError, RuntimeError, ValueError, MemoryError) as error:
            if stop - start == 1:
                return [f"cannot be read ({error})"]
            return [row for i in range(start, stop) for row in self._read(dataset, i, i + 1)]

    def _widths(self) -> tuple[int, int]:
        """Return the columns of ``cluster`` and ``cluster_extra``: those that most of the first events agree with."""
        rows = min(self.events, 32)
        votes: dict[int, int] = dict.fromkeys(CLUSTER_COLUMNS, 0)
        extra_votes: dict[int, int] = {}
        for row in range(rows):
            point, cluster = self._rows(self._point, row, row + 1)[0], self._rows(self._cluster, row, row + 1)[0]
            extra = "" if self._extra is None else self._rows(self._extra, row, row + 1)[0]
            if isinstance(point, str) or isinstance(cluster, str):
                continue
            for width in CLUSTER_COLUMNS:
                if len(cluster) and len(cluster) % width == 0:
                    table = cluster.reshape(-1, width).astype(np.float64)
                    votes[width] += 2 * bool(table[:, 0].sum() * POINT_COLUMNS == len(point)) + bool(
                        table[0, 4] == LOW_ENERGY
                    )
                    if not isinstance(extra, str) and len(extra) % len(table) == 0:
                        found = len(extra) // len(table)
                        extra_votes[found] = extra_votes.get(found, 0) + 1
        width = max(votes, key=lambda key: votes[key])
        if votes[width] == 0:
            raise DataError(
                f"{self.path}: 'cluster' is neither 5 nor 6 columns wide: in none of the first {rows} events do the "
                "cluster sizes add up to the points"
            )
        if self._extra is None:
            return width, 0
        allowed = {key: count for key, count in extra_votes.items() if key in EXTRA_COLUMNS}
        if not allowed:
            widths = ", ".join(map(str, sorted(extra_votes))) or "no fitting number of"
            raise DataError(
                f"{self.path}: 'cluster_extra' has {widths} columns, allowed: {', '.join(map(str, EXTRA_COLUMNS))}"
            )
        return width, max(allowed, key=lambda key: allowed[key])

    def _block(self, start: int, stop: int) -> EventBlock:
        points, clusters = self._rows(self._point, start, stop), self._rows(self._cluster, start, stop)
        extras: list[Array | str] = (
            [""] * (stop - start) if self._extra is None else self._rows(self._extra, start, stop)
        )
        deviations: list[Deviation] = []
        kept = []
        for i, (point, cluster, extra) in enumerate(zip(points, clusters, extras)):
            found = self._structure(start + i, point, cluster, extra)
            if found:
                deviations += found
            else:
                kept.append(i)
        point_table = ragged([points[i] for i in kept], POINT_COLUMNS)  # type: ignore[misc]
        cluster_table = ragged([clusters[i] for i in kept], self.width)  # type: ignore[misc]
        extra_table = ragged([extras[i] for i in kept], self.extra_width) if self._extra is not None else None  # type: ignore[misc]
        rows = np.array(kept, np.int64) + start
        return _checked(EventBlock(rows, {}, deviations, stop - start), point_table, cluster_table, extra_table)

    def _structure(self, row: int, point: Array | str, cluster: Array | str, extra: Array | str) -> list[Deviation]:
        """Return what forbids reshaping an event: unreadable rows, wrong lengths, sizes that do not add up."""
        named = (("point", point), ("cluster", cluster), ("cluster_extra", extra))
        if unreadable := [Deviation(row, name, value) for name, value in named if isinstance(value, str) and value]:
            return unreadable
        assert not isinstance(point, str)
        assert not isinstance(cluster, str)
        if len(point) % POINT_COLUMNS:
            return [Deviation(row, "point", f"{len(point)} values, expected a multiple of {POINT_COLUMNS}")]
        if len(point) == 0:
            return [Deviation(row, "point", "no points")]
        if len(cluster) == 0 or len(cluster) % self.width:
            return [Deviation(row, "cluster", f"{len(cluster)} values, expected a positive multiple of {self.width}")]
        n_clusters = len(cluster) // self.width
        if not isinstance(extra, str) and len(extra) != n_clusters * self.extra_width:
            expected = f"{n_clusters} clusters x {self.extra_width} columns"
            return [Deviation(row, "cluster_extra", f"{len(extra)} values, expected {expected}")]
        sizes = (
            cluster[:: self.width].astype(object)
            if cluster.dtype.itemsize == 8
            else cluster[:: self.width].astype(np.int64)
        )
        if min(sizes) < 0:
            return [Deviation(row, "cluster.size", f"a cluster of {min(sizes)} points")]
        if sum(sizes) != len(point) // POINT_COLUMNS:
            return [
                Deviation(
                    row,
                    "cluster.size",
                    f"cluster sizes add up to {sum(sizes)}, point has {len(point) // POINT_COLUMNS}",
                )
            ]
        return []


def _open(path: Path) -> h5py.File:
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        return h5py.File(path, "r")
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(f"{path}: not a readable HDF5 file (damaged or cut short?): {error}") from error


def _checked(block: EventBlock, point: Ragged, cluster: Ragged, extra: Ragged | None) -> EventBlock:
    """Check the values of a block of well-formed events and fill its columns."""
    flags, x, y, z, energy = unpack_voxels(point.values, point.offsets)
    if flags.any():
        _name_bad_points(block, point, flags)
    labels = cluster.values.astype(np.int64)
    _check_labels(block, Ragged(cluster.offsets, labels))
    sizes = labels[:, 0]

    def per_point(column: int, kind: type) -> Ragged:
        return Ragged(point.offsets, np.repeat(labels[:, column].astype(kind), sizes))

    block.columns = {
        **{name: Ragged(point.offsets, values) for name, values in zip("xyz", (x, y, z))},
        "energy": Ragged(point.offsets, energy),
        **{name: per_point(1 + i, np.int32) for i, name in enumerate(_IDS)},
        "semantic": per_point(4, np.int8),
        "pid": per_point(5, np.int8) if labels.shape[1] > 5 else None,
        "cluster_size": Ragged(cluster.offsets, sizes.astype(np.int32)),
        "cluster_momentum": None,
        "cluster_vertex": None,
    }
    if extra is not None:
        momentum, vertex = extra.values[:, 1], extra.values[:, 2:5]
        for name, values, wrong in (
            ("momentum", momentum, ~np.isfinite(momentum)),
            ("vertex", vertex, ~np.isfinite(vertex).all(axis=1)),
        ):
            block.flag_values(Ragged(extra.offsets, values), wrong, f"cluster_extra.{name}", "not finite")
        block.columns["cluster_momentum"] = Ragged(extra.offsets, momentum)
        block.columns["cluster_vertex"] = Ragged(offsets_of(extra.lengths * 3), vertex.reshape(-1))
    return block


def _name_bad_points(block: EventBlock, point: Ragged, flags: Array) -> None:
    """Record what is wrong with the points of the flagged events (slow, for the few that are)."""
    xyz, energy = point.values[:, :3], point.values[:, 3]
    own = np.repeat(flags, point.lengths)
    with np.errstate(invalid="ignore"):
        outside = ~((xyz >= 0) & (xyz < EDGE) & (xyz == np.trunc(xyz))).all(axis=1)
    block.flag_values(
        Ragged(point.offsets, xyz),
        (own & BAD_COORDINATE > 0) & outside,
        "point.xyz",
        f"not whole numbers from 0 to {EDGE - 1}",
    )
    block.flag_values(
        Ragged(point.offsets, energy),
        (own & BAD_ENERGY > 0) & ~((energy >= 0) & np.isfinite(energy)),
        "point.energy",
        "negative or not finite",
    )
    repeated = np.zeros(len(xyz), bool)
    for event in np.flatnonzero(flags & DUPLICATE):
        start, stop = point.offsets[event], point.offsets[event + 1]
        first = np.unique(xyz[start:stop], axis=0, return_index=True)[1]
        repeated[start:stop] = True
        repeated[start + first] = False
    block.flag_values(Ragged(point.offsets, xyz), repeated, "point.xyz", "voxels that occur before in the event")


def _check_labels(block: EventBlock, cluster: Ragged) -> None:
    """Check id and class ranges and, both ways, that the first cluster and only it is the low-energy one."""
    table, offsets = cluster.values, cluster.offsets

    def flag(column: int, wrong: Array, name: str, expected: str) -> None:
        block.flag_values(Ragged(offsets, table[:, column]), wrong, f"cluster.{name}", expected)

    for i, name in enumerate(_IDS, start=1):
        wrong = (table[:, i] < -1) | (table[:, i] >= _ID_LIMIT)
        flag(i, wrong, name, f"ids outside -1 to {_ID_LIMIT - 1}")
    semantic = table[:, 4]
    flag(4, (semantic < 0) | (semantic > LOW_ENERGY), "semantic", f"classes outside 0 to {LOW_ENERGY}")
    low = semantic == LOW_ENERGY
    first = np.zeros(len(table), bool)
    first[offsets[:-1]] = True
    flag(4, first & ~low, "semantic", f"first clusters of another class than low energy ({LOW_ENERGY})")
    flag(4, low & ~first, "semantic", f"low-energy clusters ({LOW_ENERGY}) that are not the first")
    for i, name in enumerate(_IDS, start=1):
        flag(i, low & (table[:, i] != -1), name, "ids of a low-energy cluster other than -1")
    if table.shape[1] > 5:
        pid = table[:, 5]
        flag(5, (pid < min(PID)) | (pid > max(PID)), "pid", f"particle types outside {min(PID)} to {max(PID)}")
        flag(5, low & (pid != -1), "pid", "particle types of a low-energy cluster other than -1")
