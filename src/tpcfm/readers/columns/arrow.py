"""Parquet and Feather as columns; lists of records become lists of each of their fields, named ``list.field``."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tpcfm.errors import DataError
from tpcfm.readers.columns.source import ROWS, Chunk, Column, Source, Values, repeated
from tpcfm.readers.ragged import Array, Ragged

DAMAGE = (pa.ArrowException, OSError, UnicodeDecodeError, ValueError)
EVENTS = 64
"""Rows of a chunk of lists."""


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def column_of(kind: pa.DataType) -> Column:
    """Return what is known of an Arrow column."""
    if _is_list(kind):
        return Column(column_of(kind.value_type).kind, True)
    if pa.types.is_dictionary(kind):
        return column_of(kind.value_type)
    if pa.types.is_boolean(kind):
        return Column("b")
    if pa.types.is_integer(kind):
        return Column("i" if pa.types.is_signed_integer(kind) else "u")
    return Column("f" if pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind) else "U")


def flat_values(array: pa.Array) -> Array:
    """Return Arrow values as NumPy; missing numbers become NaN, missing text an empty string.

    Raises:
        DataError: whole numbers with gaps among them that floating point cannot hold.
    """
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_decimal(array.type) or pa.types.is_null(array.type):
        array = array.cast(pa.float64())
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        array = array.fill_null("")
    if array.null_count and pa.types.is_integer(array.type):
        known = array.drop_null().to_numpy(zero_copy_only=False)
        if len(known) and (int(known.max()) > 2**53 or int(known.min()) < -(2**53)):
            raise DataError("holds missing values among whole numbers beyond 2**53; fill them")
    values: Array = array.to_numpy(zero_copy_only=False)
    return values


def values_of(array: pa.Array) -> Values:
    """Return an Arrow column as NumPy: flat, or lists (a missing list is empty)."""
    if pa.types.is_fixed_size_list(array.type):
        array = array.cast(pa.list_(array.type.value_type))
    if not _is_list(array.type):
        return flat_values(array)
    if array.null_count:
        array = array.fill_null([])
    offsets = array.offsets.to_numpy().astype(np.int64)
    values = array.values.slice(offsets[0], offsets[-1] - offsets[0])
    return Ragged(offsets - offsets[0], flat_values(values))


def chunk_of(batch: pa.RecordBatch, names: Sequence[str], path: Path) -> Chunk:
    """Return columns of a batch; ``list.field`` names a field of a list of records."""
    found: dict[str, Values] = {}
    for name in names:
        try:
            if name in batch.schema.names:
                found[name] = values_of(batch.column(name))
            else:
                outer, _, inner = name.rpartition(".")
                records = batch.column(outer)
                found[name] = values_of(
                    pa.ListArray.from_arrays(records.offsets, records.values.field(inner))
                    if _is_list(records.type)
                    else records.field(inner)
                )
        except DataError as error:
            raise DataError(f"{path}: column {name!r} {error}") from error
    return Chunk(found)


class ArrowSource:
    """Columns of record batches.

    Args:
        path: for messages.
        form: name of the format.
        schema: of the batches.
        batches: makes an iterator over batches with some top-level columns, of about so many rows.
    """

    def __init__(
        self, path: Path, form: str, schema: pa.Schema, batches: Callable[[list[str], int], Iterator[pa.RecordBatch]]
    ) -> None:
        self.path, self.form, self._batches = path, form, batches
        self.columns: dict[str, Column] = {}
        self.unreadable = repeated(path, schema.names)
        self._outer: dict[str, str] = {}
        for item in schema:
            if item.name in self.unreadable:
                continue
            lists = _is_list(item.type)
            inner = item.type.value_type if lists else item.type
            if pa.types.is_struct(inner):
                for sub in inner:
                    self._outer[f"{item.name}.{sub.name}"] = item.name
                    self.columns[f"{item.name}.{sub.name}"] = Column(column_of(sub.type).kind, lists)
            else:
                self.columns[item.name] = column_of(item.type)

    def chunks(self, names: Sequence[str]) -> Iterator[Chunk]:
        """Yield all rows."""
        rows = EVENTS if any(self.columns[name].lists for name in names) else ROWS
        outer = list(dict.fromkeys(self._outer.get(name, name) for name in names))
        try:
            for batch in self._batches(outer, rows):
                yield chunk_of(batch, names, self.path)
        except DAMAGE as error:
            raise DataError(f"{self.path}: damaged: {error}") from error


@contextmanager
def open_file(path: Path, table: str | None) -> Iterator[Source]:
    """Open a Parquet or Feather file.

    Raises:
        DataError: damaged, or a table is asked for, which these formats do not have.
    """
    if table is not None:
        raise DataError(f"{path}: read.table: {table!r}: Parquet and Feather hold one table without a name")
    try:
        with open(path, "rb") as stream:
            parquet = stream.read(4) == b"PAR1"
        opened = (
            pq.ParquetFile(path, page_checksum_verification=True)
            if parquet
            else pa.ipc.open_file(pa.memory_map(str(path)))
        )
        schema = opened.schema_arrow if parquet else opened.schema
        names = schema.names
    except DAMAGE as error:
        raise DataError(f"{path}: not a readable Parquet or Feather file: {error}") from error

    def feather(wanted: list[str], rows: int) -> Iterator[pa.RecordBatch]:
        options = pa.ipc.IpcReadOptions(included_fields=[names.index(name) for name in wanted])
        with pa.ipc.open_file(pa.memory_map(str(path)), options=options) as file:
            for i in range(file.num_record_batches):
                batch = file.get_batch(i)
                for start in range(0, batch.num_rows, rows):
                    yield batch.slice(start, rows)

    def parquet_batches(wanted: list[str], rows: int) -> Iterator[pa.RecordBatch]:
        for group in range(opened.num_row_groups):  # one iteration over all keeps what it has read
            yield from opened.iter_batches(batch_size=rows, row_groups=[group], columns=wanted)

    with opened:
        yield ArrowSource(path, "Parquet" if parquet else "Feather", schema, parquet_batches if parquet else feather)
