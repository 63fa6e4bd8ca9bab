"""A file as columns, whatever its format: their names and kinds, and their values chunk by chunk."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from tpcfm.errors import DataError
from tpcfm.readers.ragged import Array, Ragged, offsets_of

ROWS = 1 << 18
"""Rows of a chunk of flat columns."""

Values = Array | Ragged


@dataclass(frozen=True)
class Column:
    """What is known of a column without reading it: the kind of its values (`numpy.dtype.kind`, ``U`` for text), and whether it holds lists."""

    kind: str
    lists: bool = False


@dataclass
class Chunk:
    """Consecutive rows: per column flat values, or lists; and rows (counted from the first of the chunk) that cannot be read."""

    values: dict[str, Values]
    damaged: dict[int, tuple[str, str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return rows_of(next(iter(self.values.values()))) if self.values else 0


class Source(Protocol):
    """An open file. ``form`` names its format, ``columns`` what it holds, ``unreadable`` why some of it cannot be had."""

    form: str
    columns: dict[str, Column]
    unreadable: dict[str, str]

    def chunks(self, names: Sequence[str]) -> Iterator[Chunk]:
        """Yield all rows of some columns in file order, in chunks of bounded size."""
        ...


def rows_of(values: Values) -> int:
    """Number of rows."""
    return len(values.lengths) if isinstance(values, Ragged) else len(values)


def cut(values: Values, start: int, stop: int) -> Values:
    """Return some rows."""
    if isinstance(values, Ragged):
        ends = values.offsets[start : stop + 1]
        return Ragged(ends - ends[0], values.values[ends[0] : ends[-1]])
    return values[start:stop]


def join(pieces: Sequence[Values]) -> Values:
    """Join rows."""
    lists = [piece for piece in pieces if isinstance(piece, Ragged)]
    if not lists:
        return join_flat([piece for piece in pieces if not isinstance(piece, Ragged)])
    offsets = offsets_of(np.concatenate([piece.lengths for piece in lists]))
    return Ragged(offsets, join_flat([piece.values for piece in lists]))


def join_flat(pieces: Sequence[Array]) -> Array:
    """Join values; whole numbers of any two types keep their value (NumPy alone would turn int64 and uint64 into floats)."""
    if len(pieces) == 1:
        return pieces[0]
    kinds = {piece.dtype.kind for piece in pieces}
    if kinds == {"i", "u"}:
        if all(piece.dtype.kind == "u" or not len(piece) or piece.min() >= 0 for piece in pieces):
            return np.concatenate([piece.astype(np.uint64) for piece in pieces])
        if all(not len(piece) or piece.max() < 2**63 for piece in pieces):
            return np.concatenate([piece.astype(np.int64) for piece in pieces])
        kinds = {"O"}  # no type holds all of them
    return np.concatenate([text(piece) for piece in pieces] if kinds & set("OUST") else list(pieces))


def text(values: Array) -> Array:
    """Return values as Python strings."""
    return np.array([v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in values.tolist()], object)


def native(values: Array) -> Array:
    """Return values in the byte order of this machine."""
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def repeated(path: Path, names: Sequence[str]) -> dict[str, str]:
    """Return the names that several columns have, with why these cannot be had (`Source.unreadable`)."""
    return {n: f"{path}: several columns are named {n!r}" for n, times in Counter(names).items() if times > 1}


def missing(path: Path, source: Source, column: str, what: str) -> DataError:
    """Return the error of a column that is not there, with what there is, or why it cannot be read."""
    if column in source.unreadable:
        return DataError(source.unreadable[column])
    return DataError(f"{path}: no column {column!r}{what}; there are {', '.join(source.columns) or 'no columns'}")
