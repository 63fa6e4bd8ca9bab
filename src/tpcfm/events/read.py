"""Reading event tables in bounded memory, list columns as NumPy views."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tpcfm.errors import DataError


def table_schema(path: str | Path, columns: Sequence[str]) -> pa.Schema:
    """Return the Arrow schema of an event table.

    Raises:
        DataError: not a Parquet file, or one of ``columns`` is missing.
    """
    with _opened(path, columns) as table:
        return table.schema_arrow


def _opened(path: str | Path, columns: Sequence[str]) -> pq.ParquetFile:
    try:
        table = pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: not a readable event table: {error}") from error
    names = table.schema_arrow.names
    missing = [name for name in columns if name not in names]
    if missing:
        table.close()
        raise DataError(f"{path}: lacks the columns {', '.join(missing)}; there are: {', '.join(names)}")
    return table


def read_events(path: str | Path, columns: Sequence[str], batch: int = 64) -> Iterator[dict[str, Any]]:
    """Yield the events of a table one by one: scalars as Python values, list columns as NumPy arrays, None for null.

    Args:
        path: event table (Parquet).
        columns: names to read; the others are not touched.
        batch: events decoded at a time.

    Raises:
        DataError: not a Parquet file, a column is missing, or data pages are damaged.
    """
    with _opened(path, columns) as table:
        batches = table.iter_batches(batch_size=batch, columns=list(columns))
        while True:
            try:
                found = next(batches, None)
                values = {} if found is None else {name: _unpack(found.column(name)) for name in columns}
            except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
                raise DataError(f"{path}: damaged event table: {error}") from error
            if found is None:
                return
            for row in range(found.num_rows):
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
        DataError: not a Parquet file.
    """
    with _opened(path, ()) as table:
        for group in range(table.num_row_groups):
            rows = table.metadata.row_group(group).num_rows
            if row < rows:
                part = table.read_row_group(group).slice(row, 1).combine_chunks()
                values = {name: _unpack(part.column(name).chunk(0))[0] for name in part.column_names}
                return {name: value for name, value in values.items() if value is not None}
            row -= rows
    raise IndexError(row)
