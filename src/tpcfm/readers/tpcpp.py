"""Reader of TPCpp-10M files: ragged arrays in npz, streamed (arXiv 2509.05792).

A shard is a ``spacepoints`` file and, if labelled, ``track_ids``, ``pid_labels`` and ``noise_tags`` beside it, named
``stem.npz`` or ``stem_NNN.npz``. Each holds ``data`` (all events one after another) and ``size`` (points per event). An
optional ``particles`` file, an extension of ours, holds the true particles.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np

from tpcfm.detectors.model import ClassLabel, Detector, InstanceLabel, open_range
from tpcfm.errors import DataError
from tpcfm.readers.block import EventBlock
from tpcfm.readers.checks import (
    fit_columns,
    one_signal,
    outside_classes,
    pair_numbers,
    range_text,
    unknown_classes,
    unlike_first,
    wrong_ids,
)
from tpcfm.readers.kernels import check_spacepoints
from tpcfm.readers.kinds import LABELS, PARTICLES, is_zip
from tpcfm.readers.npy_stream import NpyStream, NpzFile
from tpcfm.readers.ragged import Index, Ragged, offsets_of

PARTICLE_COLUMNS = ("track", "pdg", "px", "py", "pz", "energy", "vx", "vy", "vz", "charge")
POINTS_PER_BLOCK = 1 << 20
_NAME = re.compile(r"spacepoints(_\d+)?\.npz")


class _Stem:
    """One of the files of a shard: its sizes, and its data as a stream."""

    def __init__(self, path: Path, columns: int | None, kinds: str, expected: str, stack: ExitStack) -> None:
        self.path = path
        npz = stack.enter_context(NpzFile(path))
        size = npz.read("size")
        if size.ndim != 1 or size.dtype.kind not in "iu":
            raise DataError(f"{path}: 'size' is {size.dtype} {size.shape}, expected whole numbers, one per event")
        if len(size) and (int(size.min()) < 0 or int(size.max()) > 2**31 - 1):
            raise DataError(f"{path}: 'size' ranges from {size.min()} to {size.max()}, expected 0 to {2**31 - 1}")
        self.sizes: Index = size.astype(np.int64)
        self.data: NpyStream = stack.enter_context(npz.open("data"))
        shape = (self.data.rows,) if columns is None else (self.data.rows, columns)
        fits = self.data.dtype.kind in kinds and (self.data.dtype.kind != "f" or self.data.dtype.itemsize in (4, 8))
        if self.data.shape != shape or not fits:
            raise DataError(f"{path}: 'data' is {self.data.dtype} {self.data.shape}, expected {expected}")
        if int(self.sizes.sum()) != self.data.rows:
            raise DataError(f"{path}: 'size' adds up to {self.sizes.sum()} points, 'data' has {self.data.rows}")

    def take(self, start: int, stop: int) -> Ragged:
        """Return the data of events ``start`` to ``stop``, the next in the stream."""
        sizes = self.sizes[start:stop]
        return Ragged(offsets_of(sizes), self.data.take(int(sizes.sum())))


class TpcppReader:
    """One shard of TPCpp-10M, open for reading.

    Args:
        path: the spacepoints file; labels and particles are found beside it.
        detector: its volume, ranges and labels; columns that it does not have are left out.

    Attributes:
        events: events in the shard.
        revision: ``labelled`` or ``unlabelled``.

    Raises:
        DataError: missing or unreadable files, some label files without the others, or not this layout.
    """

    def __init__(self, path: str | Path, detector: Detector) -> None:
        self.path = Path(path)
        self.detector = detector
        self._signal = one_signal(detector, self.path, "TPCpp-10M")
        if not detector.cylindrical:
            raise DataError(f"{self.path}: TPCpp-10M files hold spacepoints of a cylinder; {detector.name} is a box")
        self._stack = ExitStack()
        try:
            beside = siblings(self.path)
            self._points = _Stem(self.path, 4, "f", "float32 of shape (points, 4): E, x, y, z", self._stack)
            if self._points.data.dtype != np.float32:
                raise DataError(f"{self.path}: 'data' is {self._points.data.dtype}, expected float32")
            self.events = len(self._points.sizes)
            if self.events == 0:
                raise DataError(f"{self.path}: holds no event")
            kinds = {"track_ids": "iu", "pid_labels": "iu", "noise_tags": "iub"}
            self._labels = {
                stem: _Stem(beside[stem], None, kinds[stem], "whole numbers or true/false, one per point", self._stack)
                for stem in LABELS
                if stem in beside
            }
            self._particles = None
            if PARTICLES in beside:
                columns = f"floating point of shape (particles, {len(PARTICLE_COLUMNS)}): {', '.join(PARTICLE_COLUMNS)}"
                self._particles = _Stem(beside[PARTICLES], len(PARTICLE_COLUMNS), "f", columns, self._stack)
            for stem in [*self._labels.values(), *([self._particles] if self._particles else [])]:
                if len(stem.sizes) != self.events:
                    raise DataError(f"{stem.path}: {len(stem.sizes)} events, {self.path.name} has {self.events}")
            self.revision = "labelled" if self._labels else "unlabelled"
        except BaseException:
            self._stack.close()
            raise

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether a file is named and packed like spacepoints."""
        return _NAME.fullmatch(path.name) is not None and is_zip(path)

    def __enter__(self) -> "TpcppReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def blocks(self) -> Iterator[EventBlock]:
        """Yield all events in file order, checked, about a million points (or one event) at a time.

        Raises:
            DataError: the files are damaged; then nothing read before can be trusted either.
        """
        ends = np.cumsum(self._points.sizes)
        start = 0
        while start < self.events:
            before = ends[start - 1] if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, before + POINTS_PER_BLOCK, side="right")))
            yield self._block(start, min(stop, self.events))
            start = stop
        for stem in self._stems():
            stem.data.finish()

    def _stems(self) -> list[_Stem]:
        return [self._points, *self._labels.values(), *([self._particles] if self._particles else [])]

    def _block(self, start: int, stop: int) -> EventBlock:
        points = self._points.take(start, stop)
        labels = {stem: source.take(start, stop) for stem, source in self._labels.items()}
        particles = self._particles.take(start, stop) if self._particles else None
        block = EventBlock(np.arange(start, stop), {}, seen=stop - start)
        block.flag(points.lengths == 0, "spacepoints", "no points")
        matching = np.ones(stop - start, bool)
        for stem, values in labels.items():
            differs = values.lengths != points.lengths
            matching &= ~differs
            for i in np.flatnonzero(differs):
                one = np.arange(stop - start) == i
                block.flag(one, f"{stem}.size", f"{values.lengths[i]} points, spacepoints has {points.lengths[i]}")
        if not matching.all():
            block.rows = block.rows[matching]
            points = points.select(matching)
            labels = {stem: values.select(matching) for stem, values in labels.items()}
            particles = particles.select(matching) if particles else None
        self._check_points(block, points)
        offsets, kind = points.offsets, self.detector.coordinates.type
        found: dict[str, Ragged | None] = {
            axis: Ragged(offsets, points.values[:, i].astype(kind, copy=False)) for i, axis in enumerate("xyz", start=1)
        }
        found[self._signal] = Ragged(offsets, points.values[:, 0])
        found |= self._checked_labels(block, labels) | self._checked_particles(block, particles)
        block.columns = fit_columns(self.detector, found)
        return block

    def _check_points(self, block: EventBlock, points: Ragged) -> None:
        limits, offsets, table = self.detector.limits(), points.offsets, points.values
        energies = open_range(self.detector.signal[0].range) if self._signal else (-np.inf, np.inf)
        wrong, outside = check_spacepoints(
            table, *(np.array(ends, np.float64) for ends in (energies, limits["r"], limits["z"]))
        )
        if self._signal:
            expected = (
                "negative or not finite" if energies == (0, np.inf) else f"not finite or not {range_text(*energies)}"
            )
            block.flag_values(Ragged(offsets, table[:, 0]), wrong, "spacepoints.E", expected)
        (r_low, r_high), (z_low, z_high) = limits["r"], limits["z"]
        unit = self.detector.coordinates.unit
        sides = f"|z| < {z_high:g}" if z_low == -z_high else f"{z_low:g} < z < {z_high:g}"
        allowed = f"{r_low:g} < r < {r_high:g} {unit}, {sides} {unit}"
        block.flag_values(
            Ragged(offsets, table[:, 1:]), outside, "spacepoints.xyz", f"not finite or not in the detector ({allowed})"
        )

    def _checked_labels(self, block: EventBlock, labels: dict[str, Ragged]) -> dict[str, Ragged | None]:
        """Check ranges, and that classes are constant within the instances they belong to; return the columns."""
        columns: dict[str, Ragged | None] = {}
        known = {stem: self.detector.labels[name] for stem, name in LABELS.items() if name in self.detector.labels}
        for stem, label in known.items():
            if stem not in labels:
                continue
            values = labels[stem].values
            if isinstance(label, InstanceLabel):
                high = int(np.iinfo(label.type).max)
                wrong, expected = values > high, f"outside {label.minimum} to {high}"
                if values.dtype.kind == "i":
                    wrong |= wrong_ids(label, values)
            else:
                wrong, expected = unknown_classes(label, values), outside_classes(label)
            block.flag_values(labels[stem], wrong, f"{stem}.data", f"labels {expected}")
            columns[LABELS[stem]] = Ragged(labels[stem].offsets, values.astype(label.type))
        numbered = {}
        for stem, label in known.items():
            within = label.constant_in or "" if isinstance(label, ClassLabel) else ""
            ids = columns.get(within)
            if ids is None or stem not in labels:
                continue
            if within not in numbered:
                numbered[within] = pair_numbers(ids)
            wrong = unlike_first(labels[stem].values, *numbered[within])
            if background := getattr(self.detector.labels[within], "background", []):
                wrong &= ~np.isin(ids.values, background)
            block.flag_values(labels[stem], wrong, f"{stem}.data", f"unlike the first point of their {within}")
        return columns

    def _checked_particles(self, block: EventBlock, particles: Ragged | None) -> dict[str, Ragged | None]:
        """Check the true particles and return their columns, those that the detector has."""
        columns: dict[str, Ragged | None] = {}
        if particles is None:
            return columns
        table = particles.values
        block.flag_values(particles, ~np.isfinite(table).all(axis=1), PARTICLES, "not finite")
        limits = {"track": (-1, 2**31 - 1), "pdg": (-(2**31), 2**31 - 1), "charge": (-127, 127)}
        for i, name in enumerate(PARTICLE_COLUMNS):
            column = self.detector.object_columns.get(f"particle_{name}")
            if column is None:
                continue
            values = table[:, i]
            if name in limits:
                low, high = limits[name]
                wrong = ~((values >= low) & (values <= high) & (values == np.round(values)))
                one = Ragged(particles.offsets, values)
                block.flag_values(one, wrong, f"{PARTICLES}.{name}", f"not whole numbers from {low} to {high}")
                values = np.where(wrong, 0, values).astype(np.int64)
            columns[f"particle_{name}"] = Ragged(particles.offsets, values.astype(column.type))
        return columns


def siblings(path: Path) -> dict[str, Path]:
    """Return the label and particle files beside a spacepoints file, by stem.

    Raises:
        DataError: the name is not that of a spacepoints file, or only some of the label files are there.
    """
    named = _NAME.fullmatch(path.name)
    if not named:
        raise DataError(
            f"{path}: expected a file named spacepoints.npz or spacepoints_NNN.npz, with track_ids, pid_labels and noise_tags "
            "of the same number beside it if it is labelled"
        )
    number = named.group(1) or ""
    found = {stem: path.with_name(f"{stem}{number}.npz") for stem in [*LABELS, PARTICLES]}
    found = {stem: file for stem, file in found.items() if file.is_file()}
    missing = [f"{stem}{number}.npz" for stem in LABELS if stem not in found]
    if 0 < len(missing) < len(LABELS):
        raise DataError(f"{path}: of its label files, {', '.join(missing)} is missing; give all three or none")
    return found
