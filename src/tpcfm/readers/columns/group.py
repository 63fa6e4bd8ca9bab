"""Rows of points as events: neighbours with the same key, or so many rows after one another."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from tpcfm.errors import DataError
from tpcfm.readers.columns.convert import as_lists
from tpcfm.readers.columns.source import ROWS, Chunk, Values, cut, join
from tpcfm.readers.ragged import Array, Index, Ragged

EVENT = "\0event"
"""Name of a key that is made up here."""

Group = tuple[dict[str, Ragged], list[str]]
"""Columns of complete events, and the key of each."""


def key_texts(path: Path, values: dict[str, Values], keys: Sequence[str], rows: Index) -> list[str]:
    """Return the keys of some rows as text.

    Raises:
        DataError: a row without a key.
    """
    found = []
    for row in rows.tolist():
        parts = [values[key][row] for key in keys]  # type: ignore[index]
        if any(part != part or part == "" for part in parts):
            raise DataError(f"{path}: a row without a value of the event column {', '.join(keys)}")
        found.append("/".join(str(int(p)) if isinstance(p, np.floating) and p == int(p) else str(p) for p in parts))
    return found


def run_starts(values: dict[str, Values], keys: Sequence[str], rows: int) -> Index:
    """Return where another key begins than in the row before, the first row included."""
    change = np.zeros(rows, bool)
    change[:1] = True
    for key in keys:
        column = values[key]
        assert not isinstance(column, Ragged)
        change[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(change)


def runs(path: Path, chunks: Iterable[Chunk], keys: Sequence[str]) -> Iterator[Group]:
    """Yield the events of rows that lie together: a new one where the key changes."""
    held: dict[str, Values] = {}
    for chunk in chunks:
        if not len(chunk):
            continue
        values = {name: join([held[name], one]) if held else one for name, one in chunk.values.items()}
        rows = len(Chunk(values))
        starts = run_starts(values, keys, rows)
        if len(starts) > 1:
            yield _lists(path, {name: cut(one, 0, int(starts[-1])) for name, one in values.items()}, starts[:-1], keys)
        held = {name: cut(one, int(starts[-1]), rows) for name, one in values.items()}
    if held:
        yield _lists(path, held, np.zeros(1, np.int64), keys)


def _lists(path: Path, values: dict[str, Values], starts: Index, keys: Sequence[str]) -> Group:
    texts = key_texts(path, values, keys, starts)
    return {name: as_lists(one, starts) for name, one in values.items() if not isinstance(one, Ragged)}, texts


def together(path: Path, chunks: Iterable[Chunk], keys: Sequence[str]) -> bool:
    """Whether the rows of every event are neighbours; remembers one key per event."""
    seen: set[str] = set()
    last = None
    for chunk in chunks:
        starts = run_starts(chunk.values, keys, len(chunk))
        for text in key_texts(path, chunk.values, keys, starts):
            if text != last:
                if text in seen:
                    return False
                seen.add(text)
                last = text
    return True


def in_order(chunks: Iterable[Chunk], keys: Sequence[str]) -> Iterator[Chunk]:
    """Yield all rows sorted by their keys; rows of one event keep their order. Holds the whole file in memory."""
    pieces = [chunk.values for chunk in chunks]
    values = {name: join([piece[name] for piece in pieces]) for name in pieces[0]}
    codes = [np.unique(_flat(values[key]), return_inverse=True)[1] for key in keys]
    order = np.lexsort(codes[::-1])
    ordered = {name: _flat(one)[order] for name, one in values.items()}
    for start in range(0, len(order), ROWS):
        yield Chunk({name: one[start : start + ROWS] for name, one in ordered.items()})


def _flat(values: Values) -> Array:
    assert not isinstance(values, Ragged)
    return values


def numbered(chunks: Iterable[Chunk], number: Callable[[int, int], Index]) -> Iterator[Chunk]:
    """Yield chunks with a key of their own, `EVENT`: ``number(first row, end)`` of their rows."""
    start = 0
    for chunk in chunks:
        stop = start + len(chunk)
        yield Chunk({**chunk.values, EVENT: number(start, stop)})
        start = stop
