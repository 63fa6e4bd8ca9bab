"""Reading event tables in bounded memory, list columns as NumPy views: the one place that does."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tpcfm.errors import DataError

DAMAGE = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What pyarrow raises on damaged files; the last where names are not UTF-8."""


def open_table(path: str | Path, columns: Sequence[str] = ()) -> pq.ParquetFile:
    """Open a Parquet file.

    Raises:
        DataError: missing or damaged, or one of ``columns`` is not there.
    """
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file")
    try:
        table = pq.ParquetFile(path)
        names = table.schema_arrow.names
    except DAMAGE as error:
        raise DataError(f"{path}: not a readable Parquet file: {error}") from error
    missing = [name for name in columns if name not in names]
    if missing:
        table.close()
        raise DataError(f"{path}: lacks the columns {', '.join(missing)}; there are: {', '.join(names)}")
    return table


def table_schema(path: str | Path, columns: Sequence[str] = ()) -> pa.Schema:
    """Return the Arrow schema of an event table.

    Raises:
        DataError: not a Parquet file, or one of ``columns`` is missing.
    """
    with open_table(path, columns) as table:
        return table.schema_arrow


def read_events(
    path: str | Path, columns: Sequence[str], batch: int = 64, rows: Sequence[int] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the events of a table one by one: scalars as Python values, list columns as NumPy arrays, None for null.

    Args:
        path: event table (Parquet).
        columns: names to read; the others are not touched.
        batch: events decoded at a time.
        rows: ascending rows of the table to read; row groups without any are not touched. Default: all.

    Raises:
        DataError: not a Parquet file, a column is missing, no such row, or data pages are damaged (names the rows).
    """
    with open_table(path, columns) as table:
        total = table.metadata.num_rows
        wanted = None if rows is None else np.asarray(rows, np.int64)
        if wanted is not None and len(wanted) and not 0 <= wanted.min() <= wanted.max() < total:
            wrong = wanted[(wanted < 0) | (wanted >= total)][0]
            raise DataError(f"{path}: no event {wrong}: it has {total} (0 to {total - 1})")
        start = 0
        for group in range(table.num_row_groups):
            stop = start + table.metadata.row_group(group).num_rows
            inside = None if wanted is None else wanted[(wanted >= start) & (wanted < stop)] - start
            if inside is None or len(inside):
                yield from _read_group(table, path, group, start, columns, batch, inside)
            start = stop


def _read_group(
    table: pq.ParquetFile,
    path: str | Path,
    group: int,
    start: int,
    columns: Sequence[str],
    batch: int,
    inside: npt.NDArray[np.int64] | None,
) -> Iterator[dict[str, Any]]:
    """Yield the events of a row group whose first row is ``start``, or those at the places ``inside``."""
    place, batches = 0, table.iter_batches(batch_size=batch, row_groups=[group], columns=list(columns))
    while True:
        try:
            found = next(batches, None)
            if found is None:
                return
            stop, count = place + found.num_rows, found.num_rows
            if inside is not None:
                chosen = inside[(inside >= place) & (inside < stop)] - place
                found, count = found.take(pa.array(chosen)), len(chosen)
            values = {name: _unpack(found.column(name)) for name in columns}
        except DAMAGE as error:
            raise DataError(f"{path}: damaged event table, from row {start + place} on: {error}") from error
        place = stop
        for row in range(count):
            yield {name: column[row] for name, column in values.items()}


def _unpack(array: pa.Array) -> list[Any]:
    if not pa.types.is_list(array.type):
        return array.to_pylist()  # type: ignore[no-any-return]
    offsets = array.offsets.to_numpy()
    values: npt.NDArray[Any] = array.values.to_numpy(zero_copy_only=False)
    missing = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else np.zeros(len(array), bool)
    return [None if gone else values[a:b] for gone, a, b in zip(missing, offsets[:-1], offsets[1:])]


def read_event(path: str | Path, row: int) -> dict[str, Any]:
    """Read one event of any table with a row per event: lists as NumPy arrays; columns that are null there are left out.

    Raises:
        IndexError: no such row.
        DataError: not a Parquet file, or damaged.
    """
    with open_table(path) as table:
        names = table.schema_arrow.names
        if not 0 <= row < table.metadata.num_rows:
            raise IndexError(row)
    (event,) = read_events(path, names, rows=[row])
    return {name: value for name, value in event.items() if value is not None}
