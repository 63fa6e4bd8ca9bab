"""Prepared caches, opened by memory map: random access to events without opening a file per event."""

import threading
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tpcfm.detectors.model import Detector
from tpcfm.errors import DataError
from tpcfm.files import read_json, sha256

SPLITS = ("train", "validation", "test")


def index_folder(folder: Path, fingerprint: str) -> Path:
    """Folder of the memory-mapped index of a cache; it carries the fingerprint, so that a stale index is never read."""
    return folder / f"index-{fingerprint[:12]}"


class _Part:
    """One Arrow IPC file: NumPy views of its columns, one set per record batch."""

    def __init__(self, path: Path, events: int) -> None:
        try:
            self._source = pa.memory_map(str(path))
            reader = pa.ipc.open_file(self._source)
            batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
        except (OSError, pa.ArrowInvalid) as error:
            raise DataError(f"{path}: not a readable Arrow file of a prepared cache: {error}") from error
        self.columns = reader.schema.names
        self.starts = np.cumsum([0, *(batch.num_rows for batch in batches)])
        if self.starts[-1] != events:
            raise DataError(
                f"{path}: holds {self.starts[-1]} events, its manifest says {events}; prepare the part again"
            )
        self._batches = batches
        self._views: list[dict[str, Any] | None] = [None] * len(batches)

    def _view(self, number: int) -> dict[str, Any]:
        views = self._views[number]
        if views is None:
            batch = self._batches[number]
            views = {name: _column(batch.column(i)) for i, name in enumerate(self.columns)}
            self._views[number] = views
        return views

    def _locate(self, row: int) -> tuple[dict[str, Any], int]:
        number = int(np.searchsorted(self.starts, row, side="right")) - 1
        return self._view(number), row - int(self.starts[number])

    def event(self, row: int) -> dict[str, Any]:
        views, at = self._locate(row)
        return {name: _value(column, at) for name, column in views.items()}

    def value(self, row: int, name: str) -> Any:
        views, at = self._locate(row)
        return _value(views[name], at)

    def whole(self, name: str) -> list[Any]:
        """Return one column as Arrow arrays, one per record batch."""
        return [batch.column(self.columns.index(name)) for batch in self._batches]


def _column(array: pa.Array) -> Any:
    """Return (offsets, values, missing) of a list column, (values,) of a number column, the array itself otherwise."""
    if pa.types.is_list(array.type):
        missing = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else None
        return array.offsets.to_numpy(), array.values.to_numpy(zero_copy_only=True), missing
    if pa.types.is_integer(array.type) or pa.types.is_floating(array.type):
        return (array.to_numpy(zero_copy_only=True),)
    return array


def _value(column: Any, row: int) -> Any:
    if not isinstance(column, tuple):
        return column[row].as_py()
    if len(column) == 1:
        return column[0][row].item()
    offsets, values, missing = column
    if missing is not None and missing[row]:
        return None
    return values[offsets[row] : offsets[row + 1]]


class PreparedStore:
    """A prepared cache: ``manifest.json`` and the Arrow parts it lists, seen as one sequence of events.

    Parts are opened when first touched and stay mapped; their pages are shared between processes by the operating
    system. ``lengths`` and ``rows`` come from a memory-mapped index beside the manifest, so a shuffled epoch over any
    number of events keeps no index of its own. Safe to use from several threads, and to send to another process
    (what is sent is the path).

    Args:
        folder: the folder that holds ``manifest.json``.
        manifest: what is to stand there, while it is being made.

    Raises:
        DataError: no manifest, a part is missing or does not fit the manifest.
    """

    def __init__(self, folder: str | Path, manifest: dict[str, Any] | None = None) -> None:
        self.folder = Path(folder)
        path = self.folder / "manifest.json"
        if manifest is None and not path.is_file():
            raise DataError(f"{path}: no such file: not a prepared cache; `tpcfm prepare manifest` writes it")
        self.manifest: dict[str, Any] = read_json(path) if manifest is None else manifest
        try:
            self._names = [part["file"] for part in self.manifest["parts"]]
            self._events = [int(part["events"]) for part in self.manifest["parts"]]
            self.fingerprint: str = self.manifest["fingerprint"]
            self.settings: dict[str, Any] = self.manifest["settings"]
        except (KeyError, TypeError) as error:
            raise DataError(f"{path}: not a manifest of a prepared cache: lacks {error}") from error
        missing = [name for name in self._names if not (self.folder / name).is_file()]
        if missing:
            raise DataError(f"{self.folder}: the manifest lists parts that are not there: {', '.join(missing)}")
        self._starts = np.cumsum([0, *self._events])
        self._parts: list[_Part | None] = [None] * len(self._names)
        self._index: dict[str, npt.NDArray[Any]] = {}
        self._lock = threading.Lock()

    @cached_property
    def detector(self) -> Detector:
        """The detector of the events, with a fixed scaling of its signal.

        Raises:
            DataError: the manifest does not say it, or not in a way that this version understands.
        """
        try:
            return Detector.model_validate(self.manifest["detector"])
        except (KeyError, ValueError) as error:
            raise DataError(f"{self.folder}: no detector in its manifest; prepare the cache again: {error}") from error

    def __reduce__(self) -> tuple[type["PreparedStore"], tuple[Path]]:
        return PreparedStore, (self.folder,)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def _part(self, number: int) -> _Part:
        part = self._parts[number]
        if part is None:
            with self._lock:
                part = self._parts[number]
                if part is None:
                    part = _Part(self.folder / self._names[number], self._events[number])
                    self._parts[number] = part
        return part

    def _locate(self, row: int) -> tuple[_Part, int]:
        if not -len(self) <= row < len(self):
            raise IndexError(f"row {row} of a cache of {len(self)} events")
        row = int(row) % len(self)
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        return self._part(number), row - int(self._starts[number])

    def __getitem__(self, row: int) -> dict[str, Any]:
        """Return one event: strings and integers as such, list columns as read-only NumPy views, None for a null."""
        part, at = self._locate(row)
        return part.event(at)

    def value(self, row: int, column: str) -> Any:
        """Return one column of one event, without touching the others."""
        part, at = self._locate(row)
        if column not in part.columns:
            raise DataError(f"{self.folder}: no column {column!r}; there are: {', '.join(part.columns)}")
        return part.value(at, column)

    def record_batches(self, columns: Iterable[str]) -> Iterator[dict[str, pa.Array]]:
        """Yield some columns of every record batch in order, as Arrow arrays: for statistics over the whole cache."""
        names = list(columns)
        for number in range(len(self._names)):
            whole = [self._part(number).whole(name) for name in names]
            for arrays in zip(*whole):
                yield dict(zip(names, arrays))

    def event_ids(self, rows: Iterable[int]) -> list[str]:
        """Return the event ids of some rows."""
        return [str(self.value(row, "event_id")) for row in rows]

    @property
    def columns(self) -> list[str]:
        """Names of the columns (empty for a cache without parts)."""
        return list(self._part(0).columns) if self._names else []

    @property
    def lengths(self) -> npt.NDArray[np.int32]:
        """Points per event, int32, (events,); read without touching the points."""
        return self._indexed("n_points")

    def rows(self, split: str) -> npt.NDArray[np.int64]:
        """Return the sorted rows of one split ("train", "validation", "test"), int64.

        Raises:
            DataError: unknown split.
        """
        if split not in SPLITS:
            raise DataError(f"unknown split {split!r}; allowed: {', '.join(SPLITS)}")
        return self._indexed(split)

    def _indexed(self, name: str) -> npt.NDArray[Any]:
        found = self._index.get(name)
        if found is None:
            found = self._stored_index(name)
            if found is None:  # the index is derived data: without it, the same numbers are read from the parts
                found = self.scan(name)
            self._index[name] = found
        return found

    def _stored_index(self, name: str) -> npt.NDArray[Any] | None:
        """Return the index as it was written; None without it, or where it is not one of these events."""
        path = index_folder(self.folder, self.fingerprint) / f"{name}.npy"
        if not path.is_file() or path.stat().st_size == 0:
            return None
        try:
            found = np.load(path, mmap_mode="r")
        except Exception:  # a damaged header can fail in any way, down to the tokenizer of Python
            return None
        wanted = len(self) if name == "n_points" else self.manifest["splits"][name]
        return found if found.shape == (wanted,) and found.dtype.kind in "iu" else None

    def scan(self, name: str) -> npt.NDArray[Any]:
        """Compute ``n_points`` or the rows of a split from the parts themselves (what the index holds)."""
        parts = [self._part(number) for number in range(len(self._names))]
        if name == "n_points":
            lengths = [array.to_numpy() for part in parts for array in part.whole("n_points")]
            return np.concatenate([np.zeros(0, np.int32), *lengths])
        chunks = [
            pc.equal(array, name).to_numpy(zero_copy_only=False) for part in parts for array in part.whole("split")
        ]
        return np.flatnonzero(np.concatenate([np.zeros(0, bool), *chunks]))

    def verify(self) -> None:
        """Read every part and compare its SHA-256 with the manifest.

        Raises:
            DataError: names the parts whose content has changed since the manifest was written.
        """
        changed = [
            part["file"] for part in self.manifest["parts"] if sha256(self.folder / part["file"]) != part["sha256"]
        ]
        if changed:
            raise DataError(f"{self.folder}: content differs from the manifest's checksum: {', '.join(changed)}")
