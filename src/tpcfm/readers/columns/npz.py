"""Arrays of an npz file as columns, decompressed as streams."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tpcfm.errors import DataError
from tpcfm.readers.columns.arrays import Part, parts_of
from tpcfm.readers.columns.source import ROWS, Chunk, Column, Source
from tpcfm.readers.npy_stream import NpzFile


class NpzSource:
    """Columns of the arrays of an npz file, or with a ``table`` of that array."""

    form = "npz"

    def __init__(self, path: Path, npz: NpzFile, table: str | None) -> None:
        self.path, self._npz = path, npz
        self.columns: dict[str, Column] = {}
        self.unreadable: dict[str, str] = {}
        self._parts: dict[str, Part] = {}
        names = npz.names()
        if table is not None and table not in names:
            raise DataError(f"{path}: read.table: no array {table!r}; there are {', '.join(names)}")
        for name in [table] if table else names:
            try:
                with npz.open(name) as stream:
                    found = parts_of(name, stream.dtype, stream.shape, alone=name == table or len(names) == 1)
            except DataError as error:
                self.unreadable[name] = str(error)
                continue
            self._parts |= {column: part for column, (part, _) in found.items()}
            self.columns |= {column: about for column, (_, about) in found.items()}

    def rows(self, name: str) -> int:
        """Return the rows of the array that a column comes from."""
        with self._npz.open(self._parts[name].array) as stream:
            return stream.rows

    def chunks(self, names: Sequence[str]) -> Iterator[Chunk]:
        """Yield all rows."""
        arrays = list(dict.fromkeys(self._parts[name].array for name in names))
        with ExitStack() as stack:
            streams = {array: stack.enter_context(self._npz.open(array)) for array in arrays}
            rows = {array: stream.rows for array, stream in streams.items()}
            for array, count in rows.items():
                if count != rows[arrays[0]]:
                    raise DataError(f"{self.path}: {array!r} has {count} rows, {arrays[0]!r} has {rows[arrays[0]]}")
            for start in range(0, rows[arrays[0]], ROWS):
                taken = {array: stream.take(min(ROWS, rows[array] - start)) for array, stream in streams.items()}
                yield Chunk({name: self._parts[name].take(taken[self._parts[name].array]) for name in names})
            for stream in streams.values():
                stream.finish()


@contextmanager
def open_file(path: Path, table: str | None) -> Iterator[Source]:
    """Open an npz file.

    Raises:
        DataError: damaged, or no such array.
    """
    with NpzFile(path) as npz:
        yield NpzSource(path, npz, table)
