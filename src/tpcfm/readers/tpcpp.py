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
import numpy.typing as npt

from tpcfm.detectors.sphenix import NOISE, PID
from tpcfm.errors import DataError
from tpcfm.readers.block import EventBlock
from tpcfm.readers.kernels import check_spacepoints
from tpcfm.readers.kinds import LABELS, PARTICLES
from tpcfm.readers.npy_stream import NpyStream, NpzFile
from tpcfm.readers.ragged import Index, Ragged, offsets_of

PARTICLE_COLUMNS = ("track", "pdg", "px", "py", "pz", "energy", "vx", "vy", "vz", "charge")
POINTS_PER_BLOCK = 1 << 20
# Wider than the active volume (30 to 78 cm, 105 cm), so that corrected positions pass and other units do not.
R_RANGE_CM = (25.0, 85.0)
Z_LIMIT_CM = 120.0
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

    Attributes:
        events: events in the shard.
        revision: ``labelled`` or ``unlabelled``.

    Raises:
        DataError: missing or unreadable files, some label files without the others, or not this layout.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
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
        _check_points(block, points)
        offsets = points.offsets
        block.columns = {name: Ragged(offsets, points.values[:, i]) for i, name in enumerate(("energy", "x", "y", "z"))}
        block.columns |= dict.fromkeys(LABELS.values())
        if labels:
            block.columns |= _checked_labels(block, labels)
        block.columns |= _checked_particles(block, particles)
        return block


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


def _check_points(block: EventBlock, points: Ragged) -> None:
    wrong, outside = check_spacepoints(points.values, *R_RANGE_CM, Z_LIMIT_CM)
    offsets, table = points.offsets, points.values
    block.flag_values(Ragged(offsets, table[:, 0]), wrong, "spacepoints.E", "negative or not finite")
    allowed = f"{R_RANGE_CM[0]:g} < r < {R_RANGE_CM[1]:g} cm, |z| < {Z_LIMIT_CM:g} cm"
    block.flag_values(
        Ragged(offsets, table[:, 1:]), outside, "spacepoints.xyz", f"not finite or not in the detector ({allowed})"
    )


def _checked_labels(block: EventBlock, labels: dict[str, Ragged]) -> dict[str, Ragged | None]:
    """Check ranges, and that class and noise are constant within a track; return the columns."""
    limits = {"track_ids": 2**31 - 1, "pid_labels": max(PID), "noise_tags": max(NOISE)}
    columns: dict[str, Ragged | None] = {}
    for stem, limit in limits.items():
        values = labels[stem].values
        if values.dtype.kind != "b":
            wrong = (values > limit) | (values < 0) if values.dtype.kind == "i" else values > limit
            block.flag_values(labels[stem], wrong, f"{stem}.data", f"labels outside 0 to {limit}")
        kind = np.int32 if stem == "track_ids" else np.int8
        columns[LABELS[stem]] = Ragged(labels[stem].offsets, values.astype(kind))
    tracks = columns["track"]
    assert tracks is not None
    instance, count = instances(tracks)
    for stem in ("pid_labels", "noise_tags"):
        values = labels[stem].values
        per_instance = np.zeros(count, values.dtype)
        per_instance[instance[::-1]] = values[::-1]
        block.flag_values(
            labels[stem], per_instance[instance] != values, f"{stem}.data", "unlike the first point of their track"
        )
    return columns


def instances(ids: Ragged) -> tuple[npt.NDArray[np.int64], int]:
    """Number the (event, id) pairs of a block of events.

    Args:
        ids: (N,) whole numbers, negative ones included.

    Returns:
        (N,) number of the pair of each point, and one more than the largest number (numbers may be left out).
    """
    values = ids.values.astype(np.int64)
    if len(values) == 0:
        return values, 0
    values = values - values.min()
    span = int(values.max()) + 1
    events = len(ids.offsets) - 1
    if span * events > 1 << 24:  # wild ids: number them by sorting instead of by a large table
        values = np.unique(values, return_inverse=True)[1].astype(np.int64)
        span = int(values.max()) + 1
    if span * events > 1 << 24:
        pairs = ids.owners() * span + values
        number = np.unique(pairs, return_inverse=True)[1].astype(np.int64)
        return number, int(number.max()) + 1
    return ids.owners() * span + values, span * events


def _checked_particles(block: EventBlock, particles: Ragged | None) -> dict[str, Ragged | None]:
    """Check the true particles and return their columns (all null without them)."""
    names = [name for name in PARTICLE_COLUMNS if name != "energy"]
    if particles is None:
        return {f"particle_{name}": None for name in names}
    table = particles.values
    block.flag_values(particles, ~np.isfinite(table).all(axis=1), PARTICLES, "not finite")
    columns: dict[str, Ragged | None] = {}
    limits = {"track": (-1, 2**31 - 1), "pdg": (-(2**31), 2**31 - 1), "charge": (-127, 127)}
    for i, name in enumerate(PARTICLE_COLUMNS):
        if name == "energy":
            continue
        values = table[:, i]
        if name in limits:
            low, high = limits[name]
            wrong = ~((values >= low) & (values <= high) & (values == np.round(values)))
            one = Ragged(particles.offsets, values)
            block.flag_values(one, wrong, f"{PARTICLES}.{name}", f"not whole numbers from {low} to {high}")
            whole = np.where(wrong, 0, values).astype(np.int64)
            columns[f"particle_{name}"] = Ragged(
                particles.offsets, whole.astype(np.int8 if name == "charge" else np.int32)
            )
        else:
            columns[f"particle_{name}"] = Ragged(particles.offsets, values.astype(np.float32))
    return columns
