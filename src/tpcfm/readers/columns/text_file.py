"""CSV (also of tabs or semicolons, also gzip) as columns: numbers where all rows are numbers, else text."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as csv

from tpcfm.errors import DataError
from tpcfm.readers.columns.arrow import DAMAGE, column_of, flat_values
from tpcfm.readers.columns.source import Chunk, Column, Source, repeated

BLOCK_BYTES = 1 << 23


class TextSource:
    """Columns of a CSV file. Whole numbers are parsed as such up to 64 bits; what is a number in the first block and no number later is text."""

    def __init__(self, path: Path) -> None:
        self.path, self.form = path, "CSV"
        self._compression = "gzip" if path.suffix.lower() == ".gz" else None
        self._delimiter = max(",;\t", key=self._head().count)
        try:
            with self._reader({}) as reader:
                first = reader.read_next_batch() if reader.schema else None
                kinds = reader.schema
        except StopIteration:
            first = None
        except DAMAGE as error:
            raise DataError(f"{path}: not a readable CSV file: {error}") from error
        if first is None:
            raise DataError(f"{path}: holds no rows")
        self.unreadable = repeated(path, kinds.names)
        self.columns = {
            item.name: self._guess(column_of(item.type), column)
            for item, column in zip(kinds, first.columns)
            if item.name not in self.unreadable
        }

    def _guess(self, guessed: Column, values: pa.Array) -> Column:
        """Whole numbers beyond 2**63 look like floating point to the parser: look at them again."""
        if guessed.kind == "f" and values.null_count < len(values):
            known = values.drop_null().cast(pa.float64()).to_numpy()
            if (known >= 2**63).any() and (known == known.round()).all():
                return Column("u")
        return guessed

    def _head(self) -> str:
        """Return the first line."""
        with pa.input_stream(str(self.path), compression=self._compression) as stream:
            return str(stream.read(1 << 16).split(b"\n")[0], "utf-8")

    @contextmanager
    def _reader(self, kinds: dict[str, pa.DataType], names: Sequence[str] = ()) -> Iterator[Any]:
        with pa.input_stream(str(self.path), compression=self._compression) as stream:
            convert = csv.ConvertOptions(column_types=kinds, include_columns=list(names))
            options = csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False)
            with csv.open_csv(stream, options, csv.ParseOptions(delimiter=self._delimiter), convert) as reader:
                yield reader

    def chunks(self, names: Sequence[str]) -> Iterator[Chunk]:
        """Yield all rows; columns that are not floating point are read as text and become whole numbers if they are."""
        kinds = {name: pa.float64() if self.columns[name].kind == "f" else pa.string() for name in names}
        try:
            with self._reader(kinds, names) as reader:
                for batch in reader:
                    yield Chunk({name: flat_values(_parsed(batch.column(name))) for name in names})
        except DAMAGE as error:
            raise DataError(f"{self.path}: damaged: {error}") from error


def _parsed(array: pa.Array) -> pa.Array:
    if not pa.types.is_string(array.type):
        return array
    for kind in (pa.int64(), pa.uint64(), pa.float64()):
        try:
            return array.cast(kind)
        except pa.ArrowInvalid:
            continue
    return array


@contextmanager
def open_file(path: Path, table: str | None) -> Iterator[Source]:
    """Open a CSV file.

    Raises:
        DataError: damaged, empty, or a table is asked for, which CSV does not have.
    """
    if table is not None:
        raise DataError(f"{path}: read.table: {table!r}: CSV holds one table without a name")
    try:
        source = TextSource(path)
    except (EOFError, UnicodeDecodeError, OSError) as error:
        raise DataError(f"{path}: not a readable CSV file: {error}") from error
    yield source
