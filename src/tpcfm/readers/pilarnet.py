"""Reader of PILArNet-M files: HDF5, one variable-length row per event (arXiv 2502.02558, App. A).

Layouts: v1 has 5 columns in ``cluster``; v2 and v3 have 6, and ``cluster_extra`` of 5, 6, 9 or 11 columns. Points are
stored in cluster order, and the first cluster holds the low-energy deposits (label 4, ids -1). A file without ``cluster`` is
unlabelled.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np

from tpcfm.detectors.model import ClassLabel, Detector, InstanceLabel, open_range
from tpcfm.errors import DataError
from tpcfm.readers.block import Deviation, EventBlock
from tpcfm.readers.checks import fit_columns, one_signal, outside_classes, range_text, repeated_voxels, unknown_classes
from tpcfm.readers.kernels import BAD_COORDINATE, BAD_ENERGY, DUPLICATE, unpack_voxels
from tpcfm.readers.ragged import Array, Mask, Ragged, offsets_of, ragged
from tpcfm.readers.vlen import VlenRows

POINT_COLUMNS = 8
CLUSTER_COLUMNS = {5: "v1", 6: "v2"}
EXTRA_COLUMNS = (5, 6, 9, 11)
LOW_ENERGY = 4
POINTS_PER_BLOCK = 1 << 20
VOXELS = 2**48
"""Most voxels of a lattice that the check for repeated ones can tell apart."""
_IDS = ("fragment", "group", "interaction")
_ID_LIMIT = 2**31


class PilarnetReader:
    """One PILArNet-M file, open for reading.

    Args:
        path: the HDF5 file.
        detector: its lattice, ranges and labels; columns that it does not have are left out.

    Attributes:
        events: events in the file.
        width: columns of ``cluster`` (5 or 6), 0 if there is none.
        extra_width: columns of ``cluster_extra``, 0 if there is none.
        revision: ``v1``, ``v2``, ``v3`` or ``unlabelled``.

    Raises:
        DataError: missing or unreadable file, or not this layout.
    """

    def __init__(self, path: str | Path, detector: Detector) -> None:
        self.path = Path(path)
        self._rules = _Rules(detector, self.path)
        self._file = open_hdf5(self.path)
        try:
            self._point = self._dataset("point", lambda kind: kind == "f4", "float32")
            self._cluster = self._extra = None
            if "cluster" in self._file:
                self._cluster = self._dataset("cluster", lambda kind: kind[0] == "i", "a signed integer")
            if "cluster_extra" in self._file:
                self._extra = self._dataset("cluster_extra", lambda kind: kind == "f4", "float32")
            self.events = len(self._point)
            for name, other in (("cluster", self._cluster), ("cluster_extra", self._extra)):
                if other is not None and len(other) != self.events:
                    raise DataError(f"{self.path}: {name} has {len(other)} events, point has {self.events}")
            if self._cluster is None and self._extra is not None:
                raise DataError(f"{self.path}: 'cluster_extra' without 'cluster'; found {sorted(self._file)}")
            if self.events == 0:
                raise DataError(f"{self.path}: holds no event")
            self.width, self.extra_width, self.revision = 0, 0, "unlabelled"
            if self._cluster is not None:
                self.width, self.extra_width = self._widths(self._cluster)
                self.revision = "v3" if self.extra_width > 5 else CLUSTER_COLUMNS[self.width]
        except BaseException:
            self._file.close()
            raise

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether a file is HDF5 with a dataset ``point`` of variable-length rows."""
        try:
            with h5py.File(path, "r") as file:
                return h5py.check_vlen_dtype(file["point"].dtype) is not None
        except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError):
            return False

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
            stop = self._point.end_of_block(start, POINTS_PER_BLOCK * POINT_COLUMNS)
            yield self._block(start, stop)
            start = stop

    def _dataset(self, name: str, fits: Callable[[str], bool], expected: str) -> VlenRows:
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
        if base is None or not isinstance(base, np.dtype) or not fits(base.str[1:]):
            found = dataset.dtype if base is None else f"variable-length {base}"
            raise DataError(f"{self.path}: {name!r} holds {found}, expected variable-length {expected}")
        return VlenRows(self.path, dataset)

    def _widths(self, clusters: VlenRows) -> tuple[int, int]:
        """Return the columns of ``cluster`` and ``cluster_extra``: those that most of the first events agree with."""
        rows = min(self.events, 32)
        votes: dict[int, int] = dict.fromkeys(CLUSTER_COLUMNS, 0)
        extra_votes: dict[int, int] = {}
        for row in range(rows):
            point, cluster = self._point.read(row, row + 1)[0], clusters.read(row, row + 1)[0]
            extra = "" if self._extra is None else self._extra.read(row, row + 1)[0]
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
        points = self._point.read(start, stop)
        absent: list[Array | str] = [""] * (stop - start)
        clusters = absent if self._cluster is None else self._cluster.read(start, stop)
        extras = absent if self._extra is None else self._extra.read(start, stop)
        deviations: list[Deviation] = []
        kept = []
        for i, (point, cluster, extra) in enumerate(zip(points, clusters, extras)):
            found = self._structure(start + i, point, cluster, extra)
            if found:
                deviations += found
            else:
                kept.append(i)

        def table(rows: list[Array | str], width: int) -> Ragged:
            return ragged([rows[i] for i in kept], width)  # type: ignore[misc]

        block = EventBlock(np.array(kept, np.int64) + start, {}, deviations, stop - start)
        cluster_table = table(clusters, self.width) if self.width else None
        extra_table = table(extras, self.extra_width) if self.extra_width else None
        self._rules.fill(block, table(points, POINT_COLUMNS), cluster_table, extra_table)
        return block

    def _structure(self, row: int, point: Array | str, cluster: Array | str, extra: Array | str) -> list[Deviation]:
        """Return what forbids reshaping an event: unreadable rows, wrong lengths, sizes that do not add up."""
        named = (("point", point), ("cluster", cluster), ("cluster_extra", extra))
        if unreadable := [Deviation(row, name, value) for name, value in named if isinstance(value, str) and value]:
            return unreadable
        assert not isinstance(point, str)
        if len(point) % POINT_COLUMNS:
            return [Deviation(row, "point", f"{len(point)} values, expected a multiple of {POINT_COLUMNS}")]
        if len(point) == 0:
            return [Deviation(row, "point", "no points")]
        if isinstance(cluster, str):  # unlabelled
            return []
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


def open_hdf5(path: Path) -> h5py.File:
    """Open an HDF5 file.

    Raises:
        DataError: missing or damaged.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        return h5py.File(path, "r")
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(f"{path}: not a readable HDF5 file (damaged or cut short?): {error}") from error


class _Rules:
    """What a detector allows in a file of this layout; fills the columns of a block of well-formed events.

    Raises:
        DataError: the detector is none that such files can hold.
    """

    def __init__(self, detector: Detector, path: Path) -> None:
        self.detector = detector
        self.signal = one_signal(detector, path, "PILArNet-M")
        self.energies = open_range(detector.signal[0].range) if detector.signal else (-np.inf, np.inf)
        limits = detector.limits()
        if set(limits) != set("xyz"):
            raise DataError(f"{path}: PILArNet-M files hold voxels of a box; {detector.name} is a cylinder")
        self.limits = np.clip([limits[axis] for axis in "xyz"], -(2**31), 2**31 - 1).astype(np.int64)
        self.sides = self.limits[:, 1] - self.limits[:, 0] + 1
        if float(np.prod(self.sides.astype(float))) > VOXELS:
            raise DataError(
                f"{path}: the lattice of {detector.name} has more than 2**48 voxels; close its `accepted` ranges"
            )
        self.kind = np.dtype(detector.coordinates.type)

    def fill(self, block: EventBlock, point: Ragged, cluster: Ragged | None, extra: Ragged | None) -> None:
        """Check the values of a block and fill its columns."""
        xyz = tuple(np.empty(len(point.values), self.kind) for _ in "xyz")
        first, (low, high) = self.limits[:, 0].copy(), self.energies
        flags, energy = unpack_voxels(point.values, point.offsets, first, self.sides, float(low), float(high), xyz)
        if not self.signal:
            flags &= ~np.uint8(BAD_ENERGY)
        if flags.any():
            self._name_bad_points(block, point, flags)
        found: dict[str, Ragged | None] = {name: Ragged(point.offsets, values) for name, values in zip("xyz", xyz)}
        found[self.signal] = Ragged(point.offsets, energy)
        if cluster is not None:
            labels = Ragged(cluster.offsets, cluster.values.astype(np.int64))
            self._check_labels(block, labels)
            sizes = labels.values[:, 0]
            for column, name in enumerate((*_IDS, "semantic", "pid"), start=1):
                if name in self.detector.labels and column < labels.values.shape[1]:
                    kind = self.detector.labels[name].type
                    found[name] = Ragged(point.offsets, np.repeat(labels.values[:, column].astype(kind), sizes))
            found["cluster_size"] = Ragged(cluster.offsets, sizes.astype(np.int32))
        if extra is not None:
            momentum, vertex = extra.values[:, 1], extra.values[:, 2:5]
            for name, values, wrong in (
                ("momentum", momentum, ~np.isfinite(momentum)),
                ("vertex", vertex, ~np.isfinite(vertex).all(axis=1)),
            ):
                block.flag_values(Ragged(extra.offsets, values), wrong, f"cluster_extra.{name}", "not finite")
            found["cluster_momentum"] = Ragged(extra.offsets, momentum)
            found["cluster_vertex"] = Ragged(offsets_of(extra.lengths * 3), vertex.reshape(-1))
        block.columns = fit_columns(self.detector, found)

    def _name_bad_points(self, block: EventBlock, point: Ragged, flags: Array) -> None:
        """Record what is wrong with the points of the flagged events (slow, for the few that are)."""
        xyz, energy = point.values[:, :3], point.values[:, 3]
        own = np.repeat(flags, point.lengths)
        low, high = self.limits.T
        with np.errstate(invalid="ignore"):
            outside = ~((xyz >= low) & (xyz <= high) & (xyz == np.trunc(xyz))).all(axis=1)
        sides = {range_text(*side) for side in self.limits.tolist()}
        allowed = ", ".join(range_text(*side) for side in self.limits.tolist()) if len(sides) > 1 else sides.pop()
        positions = Ragged(point.offsets, xyz)
        block.flag_values(positions, (own & BAD_COORDINATE > 0) & outside, "point.xyz", f"not whole numbers {allowed}")
        wrong = ~((energy >= self.energies[0]) & (energy <= self.energies[1]) & np.isfinite(energy))
        expected = (
            "negative or not finite"
            if self.energies == (0, np.inf)
            else f"not finite or not {range_text(*self.energies)}"
        )
        block.flag_values(Ragged(point.offsets, energy), (own & BAD_ENERGY > 0) & wrong, "point.energy", expected)
        doubled = np.where(own & DUPLICATE > 0)[0]
        repeated = np.zeros(len(xyz), bool)
        if len(doubled):
            events = np.where(flags & DUPLICATE > 0, point.lengths, 0)
            # What lies beyond the lattice is flagged already; whole numbers of 64 bits could not hold it.
            safe = [np.clip(np.nan_to_num(xyz[doubled, axis]), -(2**53), 2**53).astype(np.int64) for axis in range(3)]
            repeated[doubled] = repeated_voxels([Ragged(offsets_of(events), values) for values in safe])
        block.flag_values(positions, repeated, "point.xyz", "voxels that occur before in the event")

    def _check_labels(self, block: EventBlock, cluster: Ragged) -> None:
        """Check id and class ranges and, both ways, that the first cluster and only it is the low-energy one."""
        table, offsets = cluster.values, cluster.offsets

        def flag(column: int, wrong: Mask, name: str, expected: str) -> None:
            block.flag_values(Ragged(offsets, table[:, column]), wrong, f"cluster.{name}", expected)

        def classes(column: int, name: str, what: str) -> None:
            label = self.detector.labels.get(name)
            if isinstance(label, ClassLabel):
                flag(column, unknown_classes(label, table[:, column]), name, f"{what} {outside_classes(label)}")

        for i, name in enumerate(_IDS, start=1):
            label = self.detector.labels.get(name)
            if isinstance(label, InstanceLabel):
                low, high = min([label.minimum, *label.background]), int(np.iinfo(label.type).max)
                flag(i, (table[:, i] < low) | (table[:, i] > high), name, f"ids outside {low} to {high}")
        semantic = table[:, 4]
        classes(4, "semantic", "classes")
        low_energy = semantic == LOW_ENERGY
        first = np.zeros(len(table), bool)
        first[offsets[:-1]] = True
        flag(4, first & ~low_energy, "semantic", f"first clusters of another class than low energy ({LOW_ENERGY})")
        flag(4, low_energy & ~first, "semantic", f"low-energy clusters ({LOW_ENERGY}) that are not the first")
        for i, name in enumerate(_IDS, start=1):
            flag(i, low_energy & (table[:, i] != -1), name, "ids of a low-energy cluster other than -1")
        if table.shape[1] > 5:
            classes(5, "pid", "particle types")
            flag(5, low_energy & (table[:, 5] != -1), "pid", "particle types of a low-energy cluster other than -1")
