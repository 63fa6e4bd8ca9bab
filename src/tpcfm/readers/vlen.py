"""Variable-length rows of HDF5 datasets, and what they claim to hold, looked up before HDF5 reads them.

HDF5 allocates what the length of a row claims before it looks at the row: one damaged byte makes it ask for gigabytes. So the
references to the global heap (HDF5 file format specification 3.0, sections III.E and VIII.B) are read here first. It also walks the
objects of a heap by their sizes, and never returns where one of free space is said to be empty: so they are walked here first.
"""

import os
from bisect import bisect_right
from functools import cache
from pathlib import Path

import h5py
import numpy as np

from tpcfm.errors import DataError
from tpcfm.readers.ragged import Array, Index

_REFERENCE = np.dtype([("length", "<u4"), ("address", "<u8"), ("index", "<u4")])
_HEAP_OBJECT = np.dtype([("index", "<u2"), ("references", "<u2"), ("reserved", "V4"), ("size", "<u8")])
_HEAP_HEADER = np.dtype([("signature", "S4"), ("version", "u1"), ("reserved", "V3"), ("size", "<u8")])


ROWS_PER_BLOCK = 4096
ROWS_UNKNOWN = 128  # where lengths are not known beforehand; published events have up to 30,000 points


@cache
def _order_is_lost() -> bool:
    """Whether this h5py hands over variable-length rows of the other byte order as they lie in the file (h5py#1729)."""
    with h5py.File("probe", "w", driver="core", backing_store=False) as file:
        kind = np.dtype(np.int16).newbyteorder("S")
        probe = file.create_dataset("probe", (1,), dtype=h5py.vlen_dtype(kind))
        probe[0] = np.array([1], kind)
        return int(probe[0][0]) != 1


class VlenRows:
    """Rows of a one-dimensional dataset of variable-length numbers, in native byte order.

    Args:
        path: the HDF5 file.
        dataset: an open dataset of it.

    Raises:
        DataError: more rows than the file can hold.
    """

    def __init__(self, path: Path, dataset: h5py.Dataset) -> None:
        self._dataset = dataset
        self._lengths = RowLengths(path, dataset)
        base = h5py.check_vlen_dtype(dataset.dtype)
        self._swapped = isinstance(base, np.dtype) and not base.isnative and _order_is_lost()

    def __len__(self) -> int:
        return len(self._dataset)

    def end_of_block(self, start: int, values: int) -> int:
        """Return where a block of about ``values`` numbers from row ``start`` on ends, by what the rows claim to hold."""
        stop = min(start + ROWS_PER_BLOCK, len(self))
        if not self._lengths.known:
            return min(start + ROWS_UNKNOWN, stop)
        ends = np.cumsum(self._lengths.claimed(start, stop))
        return start + max(1, int(np.searchsorted(ends, values, side="right")))

    def read(self, start: int, stop: int) -> list[Array | str]:
        """Read rows; a row that cannot be read becomes the reason as text."""
        damaged = self._lengths.damaged(start, stop) if self._lengths.known else {}
        if damaged:
            return [damaged[i] if i in damaged else self._read(i, i + 1)[0] for i in range(start, stop)]
        return self._read(start, stop)

    def _read(self, start: int, stop: int) -> list[Array | str]:
        try:
            rows = list(self._dataset[start:stop])
        except (OSError, RuntimeError, ValueError, MemoryError) as error:
            if stop - start == 1:
                return [f"cannot be read ({error})"]
            return [row for i in range(start, stop) for row in self._read(i, i + 1)]
        return [row.byteswap() for row in rows] if self._swapped else rows


class RowLengths:
    """Lengths of the rows of a one-dimensional dataset of variable-length numbers.

    Args:
        path: the HDF5 file.
        dataset: an open dataset of it.

    Attributes:
        known: whether the lengths could be looked up; they cannot where the references are compressed.

    Raises:
        DataError: more rows than the file can hold.
    """

    def __init__(self, path: Path, dataset: h5py.Dataset) -> None:
        self._path = path
        self._bytes = path.stat().st_size
        self._walked: dict[int, bool] = {}
        base = h5py.check_vlen_dtype(dataset.dtype)
        self._width = base.itemsize if isinstance(base, np.dtype) else 1
        if len(dataset) > self._bytes:
            name = str(dataset.name).lstrip("/")
            raise DataError(f"{path}: {name!r} announces {len(dataset)} events, the file has {self._bytes} bytes")
        self._pieces = self._places(dataset)
        self.known = self._pieces is not None

    def claimed(self, start: int, stop: int) -> Index:
        """Return (stop - start,) how many numbers each row claims to hold; only if ``known``.

        Raises:
            DataError: the references themselves cannot be read.
        """
        return self._references(start, stop)["length"].astype(np.int64)

    def damaged(self, start: int, stop: int) -> dict[int, str]:
        """Return the rows whose claim cannot be true, with the reason; only if ``known``.

        Raises:
            DataError: the references themselves cannot be read.
        """
        references = self._references(start, stop)
        found: dict[int, str] = {}
        with open(self._path, "rb", buffering=0) as stream:
            for i in np.flatnonzero(references["length"]):
                place, length = int(references["address"][i]), int(references["length"][i])
                if reason := self._damage(stream.fileno(), place, length):
                    found[start + int(i)] = reason
        return found

    def _damage(self, file: int, address: int, length: int) -> str:
        needed = length * self._width
        if address + needed > self._bytes:
            return f"cannot be read (announces {length} values at byte {address} of {self._bytes})"
        raw = os.pread(file, _HEAP_HEADER.itemsize, address)
        if len(raw) < _HEAP_HEADER.itemsize:
            return f"cannot be read (its heap at byte {address} is cut off)"
        header = np.frombuffer(raw, _HEAP_HEADER)[0]
        if header["signature"] != b"GCOL" or int(header["size"]) > self._bytes - address:
            return f"cannot be read (no heap at byte {address})"
        if int(header["size"]) < needed:
            return f"cannot be read (announces {length} values, its heap has {int(header['size'])} bytes)"
        if address not in self._walked:
            self._walked[address] = _can_be_walked(file, address, int(header["size"]))
        return "" if self._walked[address] else f"cannot be read (its heap at byte {address} is damaged)"

    def _places(self, dataset: h5py.Dataset) -> list[tuple[int, int, int]] | None:
        """Return (first row, rows, byte in the file) of the references, or None where they are not plainly there."""
        try:
            file = dataset.file
            if file.userblock_size or file.id.get_create_plist().get_sizes() != (8, 8):
                return None
            if dataset.chunks is None:
                offset = dataset.id.get_offset()
                return None if offset is None else [(0, len(dataset), int(offset))]
            if dataset.id.get_create_plist().get_nfilters():
                return None
            pieces: list[tuple[int, int, int]] = []
            rows = dataset.chunks[0]
            dataset.id.chunk_iter(
                lambda chunk: pieces.append((int(chunk.chunk_offset[0]), rows, int(chunk.byte_offset)))
            )
            return sorted(pieces)
        except (OSError, RuntimeError, ValueError) as error:
            raise DataError(f"{self._path}: {dataset.name}: its place in the file cannot be read: {error}") from error

    def _references(self, start: int, stop: int) -> np.ndarray[tuple[int], np.dtype[np.void]]:
        """Return the references of some rows; zero (empty) where none were ever written."""
        found = np.zeros(stop - start, _REFERENCE)
        with open(self._path, "rb") as stream:
            pieces = self._pieces or []
            for first, rows, byte in pieces[max(0, bisect_right(pieces, (start,)) - 1) :]:
                low, high = max(start, first), min(stop, first + rows)
                if first >= stop:
                    break
                if low < high:
                    stream.seek(byte + (low - first) * _REFERENCE.itemsize)
                    raw = stream.read((high - low) * _REFERENCE.itemsize)
                    if len(raw) < (high - low) * _REFERENCE.itemsize:
                        raise DataError(
                            f"{self._path}: the table of events {low} to {high - 1} lies beyond the end of the file"
                        )
                    found[low - start : high - start] = np.frombuffer(raw, _REFERENCE)
        return found


def _can_be_walked(file: int, address: int, size: int) -> bool:
    """Return whether the objects of a heap, one after another, fill it: else HDF5 may look at them for ever."""
    place, end, step = address + _HEAP_HEADER.itemsize, address + size, _HEAP_OBJECT.itemsize
    while place + step <= end:
        raw = os.pread(file, step, place)
        if len(raw) < step:
            return False
        found = np.frombuffer(raw, _HEAP_OBJECT)[0]
        held = int(found["size"])
        length = held if found["index"] == 0 else step + (held + 7) // 8 * 8  # free space counts its own header
        if length < step or place + length > end:
            return False
        place += length
    return True
