"""Ragged arrays of a block of events: flat values and offsets, the form in which everything is checked and written."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Array = npt.NDArray[Any]
Index = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Ragged:
    """Values of ``n`` events one after another; event ``i`` owns ``values[offsets[i]:offsets[i + 1]]``.

    Attributes:
        offsets: (n + 1,) int64, from 0 to ``len(values)``.
        values: (total,) or (total, columns).
    """

    offsets: Index
    values: Array

    @property
    def lengths(self) -> Index:
        """(n,) values per event."""
        return np.diff(self.offsets)

    def owners(self) -> Index:
        """(total,) event number of each value."""
        return np.repeat(np.arange(len(self.offsets) - 1, dtype=np.int64), self.lengths)

    def events_with(self, flags: npt.ArrayLike) -> Mask:
        """(n,) whether any flagged value (flags: (total,) bool) lies in the event."""
        found = np.zeros(len(self.offsets) - 1, bool)
        where = np.flatnonzero(flags)
        if len(where):
            found[np.searchsorted(self.offsets, where, side="right") - 1] = True
        return found

    def select(self, keep: Mask) -> "Ragged":
        """Return the events where ``keep`` (n,) is true."""
        if keep.all():
            return self
        return Ragged(offsets_of(self.lengths[keep]), self.values[np.repeat(keep, self.lengths)])

    def to_arrow(self, kind: pa.DataType) -> pa.ListArray:
        """Return a list array of the given list type (one column of values)."""
        values = pa.array(np.ascontiguousarray(self.values), type=kind.value_type)
        return pa.ListArray.from_arrays(pa.array(self.offsets.astype(np.int32)), values, type=kind)


def offsets_of(lengths: npt.ArrayLike) -> Index:
    """Return (n + 1,) offsets of (n,) lengths."""
    sizes = np.asarray(lengths, dtype=np.int64)
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])


def ragged(pieces: Sequence[Array], width: int = 1) -> Ragged:
    """Join one flat array per event; with ``width`` > 1 each is a row-major table of that many columns."""
    values = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
    lengths = np.array([len(piece) for piece in pieces], np.int64) // width
    return Ragged(offsets_of(lengths), values.reshape(-1, width) if width > 1 else values)
