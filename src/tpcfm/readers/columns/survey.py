"""What lies in a file of columns: kinds, ranges and distinct values of each, and the points of some of its events."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tpcfm.errors import DataError
from tpcfm.readers.columns.formats import open_source
from tpcfm.readers.columns.source import Chunk, Column, Source, text
from tpcfm.readers.kinds import begins_with
from tpcfm.readers.ragged import Array, Ragged

DISTINCT = 256
"""Most distinct values of a column that are remembered."""
SAMPLE = 200_000
"""Points that are kept to look at their shape."""


@dataclass
class Seen:
    """What was seen of a column: rows, range, whether all values are whole numbers, the distinct ones unless too many."""

    column: Column
    rows: int = 0
    low: float = float("inf")
    high: float = float("-inf")
    whole: bool = True
    distinct: set[Any] | None = field(default_factory=set)
    sample: list[Array] = field(default_factory=list)
    """Values of the first chunks, as they lie in the file."""

    def add(self, values: Array | Ragged) -> None:
        """Look at the values of a chunk."""
        self.rows += len(values.lengths) if isinstance(values, Ragged) else len(values)
        flat = values.values if isinstance(values, Ragged) else values
        if not len(flat):
            return
        if sum(map(len, self.sample)) < SAMPLE:
            self.sample.append(flat)
        if flat.dtype.kind in "OUS":
            flat, self.whole = text(flat), False
        else:
            finite = flat[np.isfinite(flat)] if flat.dtype.kind == "f" else flat
            if not len(finite):
                return
            self.low, self.high = min(self.low, float(finite.min())), max(self.high, float(finite.max()))
            self.whole = self.whole and bool(flat.dtype.kind != "f" or (flat == np.trunc(flat)).all())
            flat = finite
        if self.distinct is not None:
            self.distinct |= set(np.unique(flat).tolist())
            if len(self.distinct) > DISTINCT:
                self.distinct = None

    @property
    def labels(self) -> bool:
        """Whether it may hold labels: text or whole numbers."""
        return self.whole or self.column.kind == "U"

    @property
    def lists(self) -> bool:
        """Whether a row holds a list."""
        return self.column.lists


def tables_of(path: Path) -> list[str | None]:
    """Return the tables of a file that can be named: HDF5 groups and datasets, ROOT trees; else nothing but the whole."""
    try:
        with open_source(path):
            return [None]
    except DataError:
        if h5py.is_hdf5(path):
            with h5py.File(path, "r") as file:
                return list(file)
        if begins_with(path, b"root"):
            import uproot

            with uproot.open(path) as file:
                return [n for n, kind in file.classnames(cycle=False).items() if "Tree" in kind or "RNTuple" in kind]
        raise


def survey(paths: Sequence[Path], table: str | None) -> tuple[str, dict[str, Seen]]:
    """Read all columns of some files.

    Returns:
        The format, and what was seen of each column.

    Raises:
        DataError: unreadable, or the files have different columns.
    """
    seen: dict[str, Seen] = {}
    for path in paths:
        with open_source(path, table) as source:
            if not seen:
                seen, form = {name: Seen(column) for name, column in source.columns.items()}, source.form
            if absent := [name for name in seen if name not in source.columns]:
                raise DataError(f"{path}: lacks the columns {', '.join(absent)} of {paths[0].name}")
            for group in _equal_rows(source, list(seen)):
                for chunk in source.chunks(group):
                    for name, values in chunk.values.items():
                        seen[name].add(values)
    return form, seen


def _equal_rows(source: Source, names: list[str]) -> list[list[str]]:
    """Return columns that can be read together; one by one where arrays differ in length, or lists lie beside single values."""
    try:
        first: list[Chunk] = list(islice(source.chunks(names), 1))
    except DataError:
        return [[name] for name in names]
    return [names] if first else []
