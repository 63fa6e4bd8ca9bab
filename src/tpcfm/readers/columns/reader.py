"""Reader of tables by a mapping: one row per point with an event column, or one row per event with lists."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np

from tpcfm.detectors.model import Detector
from tpcfm.errors import DataError
from tpcfm.readers.block import Deviation, EventBlock
from tpcfm.readers.checks import wrong_lengths
from tpcfm.readers.columns.convert import Converter, select_lists
from tpcfm.readers.columns.formats import open_source
from tpcfm.readers.columns.group import EVENT, Group, in_order, numbered, runs, together
from tpcfm.readers.columns.mapping import mapping_of
from tpcfm.readers.columns.objects import ObjectTable
from tpcfm.readers.columns.source import Chunk, Source, cut, join, missing, rows_of
from tpcfm.readers.ragged import Index, Ragged

POINTS_PER_BLOCK = 1 << 20


class ColumnsReader:
    """One file of points in columns, open for reading.

    Files whose events lie together are read as a stream; others are sorted in memory, and their events come in the order of their
    keys. Ids of instance labels keep their value where the label's type holds it; in events where it does not, they are
    numbered anew in ascending order.

    Args:
        path: Parquet, Feather, CSV, npz, HDF5 or ROOT file.
        detector: what to find, and its mapping (`tpcfm.readers.columns.mapping.Mapping`).

    Attributes:
        events: events read so far.
        revision: format and layout, e.g. ``CSV rows``.

    Raises:
        ConfigError: the mapping is wrong.
        DataError: unreadable file, or a column that is needed is not there (the message lists what is).
    """

    def __init__(self, path: str | Path, detector: Detector) -> None:
        self.path, self.detector = Path(path), detector
        self.mapping = mapping_of(detector)
        self._converter = Converter(detector, self.mapping)
        self.events = 0
        self._stack = ExitStack()
        try:
            self.sources = [self._stack.enter_context(open_source(self.path, self.mapping.table))]
            for companion in self.mapping.companions:
                beside = self.path.with_name(self.path.name.replace(companion.replace, companion.by))
                if beside != self.path and beside.is_file():
                    self.sources.append(self._stack.enter_context(open_source(beside)))
            self._names = self._find_columns()
            lists = {name: self._source(column).columns[column].lists for name, column in self._names.items()}
            place = next(name for name in "xyz" if name in lists)
            self.lists = lists[place] if self.mapping.layout is None else self.mapping.layout == "lists"
            for name, own in lists.items():
                if own != self.lists:
                    held, wanted = ("lists", "one value per row") if own else ("one value per row", "lists")
                    raise DataError(
                        f"{self.path}: column {self._names[name]!r} ({name}) holds {held}, expected {wanted}"
                    )
            self._objects = {} if self.lists else self._object_tables()
            self.revision = f"{self.sources[0].form} {'lists' if self.lists else 'rows'}"
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> "ColumnsReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def blocks(self) -> Iterator[EventBlock]:
        """Yield all events, checked, in blocks of about a quarter of a million points.

        Raises:
            DataError: the file is damaged.
        """
        names = list(dict.fromkeys(self._names.values()))
        if self.lists:
            for chunk in self._chunks(names):
                values = {name: one for name, one in chunk.values.items() if isinstance(one, Ragged)}
                yield from self._block(values, np.arange(len(chunk)) + self.events, chunk.damaged)
            return
        sizes = self.mapping.sizes or self.mapping.offsets
        groups = self._by_sizes(names, sizes) if sizes else self._by_key(names)
        for values, keys in groups:
            rows = np.array(keys, np.int64) if sizes else np.arange(len(keys)) + self.events
            yield from self._block(values, rows, {}, keys)

    def _by_key(self, names: list[str]) -> Iterator[Group]:
        keys = self.mapping.keys
        if not keys:
            return runs(self.path, numbered(self._chunks(names), lambda a, b: np.zeros(b - a, np.int64)), [EVENT])
        chunks = self._chunks([*names, *keys])
        return runs(
            self.path, chunks if together(self.path, self._chunks(keys), keys) else in_order(chunks, keys), keys
        )

    def _by_sizes(self, names: list[str], array: str) -> Iterator[Group]:
        given = join([chunk.values[array] for chunk in self._chunks([array])])
        if isinstance(given, Ragged) or given.dtype.kind not in "iu" or not len(given):
            raise DataError(f"{self.path}: {array!r} must be whole numbers, one per event")
        sizes = given.astype(np.int64) if self.mapping.sizes else np.diff(given.astype(np.int64))
        starts = np.concatenate([[0], np.cumsum(sizes)]) if self.mapping.sizes else given.astype(np.int64)
        if (sizes < 0).any() or starts[0] != 0:
            raise DataError(
                f"{self.path}: {array!r}: no event can have {sizes.min()} points, and the first begins at row 0"
            )
        total = 0

        def number(start: int, stop: int) -> Index:
            nonlocal total
            total = stop
            return np.searchsorted(starts, np.arange(start, stop), side="right") - 1

        seen: list[int] = []
        for values, keys in runs(self.path, numbered(self._chunks(names), number), [EVENT]):
            seen += map(int, keys)
            yield values, keys
        ended = starts[-1] == total
        if self.mapping.sizes and not ended:
            raise DataError(f"{self.path}: {array!r} adds up to {starts[-1]} points, there are {total}")
        events = len(starts) - 1 if ended else len(starts)
        self._empty = sorted(set(range(events)) - set(seen))
        if self._empty:
            nothing = {
                name: Ragged(np.zeros(len(self._empty) + 1, np.int64), one.values[:0]) for name, one in values.items()
            }
            yield nothing, [str(row) for row in self._empty]

    def _block(
        self, values: dict[str, Ragged], rows: Index, damaged: dict[int, tuple[str, str]], keys: Sequence[str] = ()
    ) -> Iterator[EventBlock]:
        raw = {name: values[column] for name, column in self._names.items()}
        for table in self._objects.values():
            raw |= table.of(keys)
        self.events += len(rows)
        deviations = [Deviation(int(rows[i]), column, reason) for i, (column, reason) in damaged.items()]
        keep = np.ones(len(rows), bool)
        keep[list(damaged)] = False
        points = next(raw[name] for name in "xyz" if name in raw).lengths
        for name, event, reason in wrong_lengths(self.detector, dict(raw), points):
            if keep[event]:
                deviations.append(Deviation(int(rows[event]), name, reason))
        keep[np.isin(rows, [found.row for found in deviations])] = False
        block = EventBlock(rows[keep], {}, deviations, len(rows))
        self._converter.fill(block, select_lists(raw, keep))
        yield block

    def _chunks(self, names: Sequence[str]) -> Iterator[Chunk]:
        """Yield rows of columns that lie in the file and its companions."""
        wanted = [(source, [name for name in names if self._source(name) is source]) for source in self.sources]
        (first, leading), *others = [(source, own) for source, own in wanted if own]
        followers = [(source, _Rows(source, own)) for source, own in others]
        for chunk in first.chunks(leading):
            for source, rows in followers:
                chunk.values |= rows.take(len(chunk), f"{self.path}: its companion ({source.form})")
            yield chunk
        for source, rows in followers:
            if rows.left():
                raise DataError(f"{self.path}: its companion ({source.form}) has more rows")

    def _source(self, column: str) -> Source:
        """Return the file that holds a column."""
        for source in self.sources:
            if column in source.columns:
                return source
        raise missing(self.path, self.sources[0], column, "")

    def _find_columns(self) -> dict[str, str]:
        """Return where each column of the detector lies in the file; labels and objects that are not there are left out.

        Raises:
            DataError: a coordinate, signal or event column is not there, or is no number; a label column cannot be read.
        """
        there = {name for source in self.sources for name in source.columns}
        found = {}
        signals = [signal.name for signal in self.detector.signal]
        for name in [*"xyz", *signals]:
            column = self.mapping.column(name)
            if name in self.mapping.constants:
                continue
            if column not in there:
                hint = f"read.columns.{name} names it" + (
                    f", or read.constants.{name} a value" if name in signals else ""
                )
                raise missing(self.path, self.sources[0], column, f" for {name} ({hint})")
            if self._source(column).columns[column].kind not in "fiub":
                raise DataError(f"{self.path}: column {column!r} for {name} holds text, needed are numbers")
            found[name] = column
        if not any(axis in found for axis in "xyz"):
            raise DataError(f"{self.path}: x, y and z are all constants; at least one must be a column")
        for key in [*self.mapping.keys, *filter(None, [self.mapping.sizes, self.mapping.offsets])]:
            if key not in there:
                raise missing(self.path, self.sources[0], key, ", which tells the events apart")
        for name in self.detector.labels:
            column = self.mapping.column(name)
            if column in self.sources[0].unreadable and column not in there:
                raise missing(self.path, self.sources[0], column, f" for {name}")
            if column in there:
                found[name] = column
        for name in self.detector.object_columns:
            column = self.mapping.column(name)
            if column in there and self._source(column).columns[column].lists:
                found[name] = column
        return found

    def _object_tables(self) -> dict[str, ObjectTable]:
        tables = {}
        for name, rows in self.mapping.objects.items():
            columns = {
                f"{name}_{c}": self.mapping.columns.get(f"{name}_{c}", c) for c in self.detector.objects[name].columns
            }
            keys = [rows.event] if rows.event else self.mapping.keys
            tables[name] = ObjectTable(self.path, rows.table, keys, columns)
        return tables


class _Rows:
    """Columns of a companion, taken so many rows at a time."""

    def __init__(self, source: Source, names: Sequence[str]) -> None:
        self._chunks, self._names = source.chunks(names), names
        self._held: Chunk | None = None

    def left(self) -> int:
        """Rows at hand, after an attempt to have any."""
        while self._held is None or not len(self._held):
            self._held = next(self._chunks, None)
            if self._held is None:
                return 0
        return len(self._held)

    def take(self, rows: int, what: str) -> dict[str, "np.ndarray | Ragged"]:
        """Return the next rows.

        Raises:
            DataError: there are fewer.
        """
        pieces = []
        while rows:
            there = min(rows, self.left())
            if not there:
                raise DataError(f"{what} has fewer rows")
            assert self._held is not None
            pieces.append({name: cut(one, 0, there) for name, one in self._held.values.items()})
            self._held = Chunk({n: cut(one, there, rows_of(one)) for n, one in self._held.values.items()})
            rows -= there
        return {name: join([piece[name] for piece in pieces]) for name in self._names} if pieces else {}
