"""Copies of files of columns with label columns replaced or added, one function per format, in bounded memory."""

import csv
import gzip
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tpcfm.errors import DataError
from tpcfm.readers.columns.source import ROWS
from tpcfm.readers.ragged import Array, Ragged
from tpcfm.readers.write.labels import LabelStream
from tpcfm.readers.write.packs import write_header

EVENTS = 64
"""Rows of lists that are copied at a time."""
Targets = Mapping[str, str]
"""Label: its column in the file."""


@dataclass(frozen=True)
class Original:
    """A file of columns, open: its path and source, the column of a coordinate, and whether a row is an event with lists."""

    path: Path
    source: Any
    place: str
    lists: bool


Copy = Callable[[Original, Targets, LabelStream, Path], None]


def _take(labels: LabelStream, rows: int, lists: bool) -> Mapping[str, Array | Ragged]:
    return labels.events(rows) if lists else labels.points(rows)


def _replaced(table: pa.RecordBatch, targets: Targets, labels: LabelStream, lists: bool) -> pa.RecordBatch:
    columns = dict(zip(table.schema.names, table.columns, strict=True))
    for name, found in _take(labels, table.num_rows, lists).items():
        kind = pa.from_numpy_dtype(labels.kinds[name])
        columns[targets[name]] = found.to_arrow(pa.list_(kind)) if isinstance(found, Ragged) else pa.array(found, kind)
    return pa.record_batch(list(columns.values()), names=list(columns))


def parquet(raw_file: Original, targets: Targets, labels: LabelStream, out: Path) -> None:
    """Copy a Parquet file, row group by row group."""
    with pq.ParquetFile(raw_file.path) as raw:
        schema = _replaced(_no_rows(raw.schema_arrow), targets, labels, raw_file.lists).schema
        with pq.ParquetWriter(out, schema, compression="zstd") as writer:
            for group in range(raw.num_row_groups):
                for batch in raw.iter_batches(batch_size=EVENTS if raw_file.lists else ROWS, row_groups=[group]):
                    writer.write_batch(_replaced(batch, targets, labels, raw_file.lists))


def feather(raw_file: Original, targets: Targets, labels: LabelStream, out: Path) -> None:
    """Copy a Feather file, record batch by record batch."""
    with pa.memory_map(str(raw_file.path)) as mapped, pa.ipc.open_file(mapped) as raw:
        schema = _replaced(_no_rows(raw.schema), targets, labels, raw_file.lists).schema
        with pa.OSFile(str(out), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            for number in range(raw.num_record_batches):
                writer.write_batch(_replaced(raw.get_batch(number), targets, labels, raw_file.lists))


def _no_rows(schema: pa.Schema) -> pa.RecordBatch:
    return pa.record_batch([pa.array([], field.type) for field in schema], schema=schema)


def text(raw_file: Original, targets: Targets, labels: LabelStream, out: Path) -> None:
    """Copy a CSV file line by line; all other fields keep their text."""
    packed = raw_file.path.suffix.lower() == ".gz"
    with _text(raw_file.path, packed, "rt") as raw, _text(out, packed, "wt") as made:
        head = raw.readline()
        delimiter = max(",;\t", key=head.count)
        names = next(csv.reader([head], delimiter=delimiter))
        columns = {name: names.index(column) if column in names else -1 for name, column in targets.items()}
        added = [targets[name] for name, place in columns.items() if place < 0]
        writer = csv.writer(made, delimiter=delimiter, lineterminator="\n")
        writer.writerow([*names, *added])
        rows: list[list[str]] = []

        def flush() -> None:
            for name, found in labels.points(len(rows)).items():
                place = columns[name]
                for row, value in zip(rows, found.tolist(), strict=True):
                    if place < 0:
                        row.append(value)
                    else:
                        row[place] = value
            writer.writerows(rows)
            rows.clear()

        for row in csv.reader(raw, delimiter=delimiter):
            if row:
                rows.append(row)
            if len(rows) == 1 << 14:
                flush()
        flush()


def _text(path: Path, packed: bool, mode: str) -> IO[str]:
    if packed:
        return gzip.open(path, mode, encoding="utf-8", newline="")  # type: ignore[return-value]
    return open(path, mode, encoding="utf-8", newline="")


def npz(raw_file: Original, targets: Targets, labels: LabelStream, out: Path) -> None:
    """Copy an npz file array by array; labels are arrays of their own."""
    named = _own_names(targets)
    members = {f"{column}.npy" for column in named.values()}
    with (
        zipfile.ZipFile(raw_file.path) as raw,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made,
    ):
        for member in raw.infolist():
            if member.filename not in members:
                with raw.open(member) as given, made.open(member.filename, "w", force_zip64=True) as taken:
                    while block := given.read(1 << 20):
                        taken.write(block)
        rows = raw_file.source.rows(raw_file.place)
        for name, values in labels.points(rows).items():  # all at once: an archive takes one array after the other
            with made.open(f"{named[name]}.npy", "w", force_zip64=True) as stream:
                write_header(stream, labels.kinds[name], rows)
                stream.write(values.tobytes())


def _own_names(targets: Targets) -> dict[str, str]:
    """Return the name of the array or dataset of each label: its column, or the label where that is a part of an array."""
    return {label: label if "[" in column or "." in column else column for label, column in targets.items()}


def hdf5(raw_file: Original, targets: Targets, labels: LabelStream, out: Path) -> None:
    """Copy an HDF5 file; labels are datasets beside those that the points come from, or fields of their records."""
    named, source = _own_names(targets), raw_file.source
    with h5py.File(out, "w") as made:
        raw = source.home.file
        for key, value in raw.attrs.items():
            made.attrs[key] = value
        for member in raw:
            raw.copy(member, made)
        if source.groups:
            for group in source.groups:
                for name, event in labels.events(1).items():
                    _dataset(made[group.name], named[name], data=event.values)
            return
        records = {part.array for part in source.parts.values() if isinstance(part.part, str)}
        home = made[source.home.name]
        if records:
            _records(source.home, home, records.pop(), targets, labels)
            return
        rows = source.rows([raw_file.place])
        sets = {}
        for name, column in named.items():
            kind = h5py.vlen_dtype(labels.kinds[name]) if raw_file.lists else labels.kinds[name]
            sets[name] = _dataset(home, column, shape=(rows,), dtype=kind, chunks=(max(1, min(rows, ROWS)),))
        for start, count in _steps(rows, EVENTS if raw_file.lists else ROWS):
            for name, one in _take(labels, count, raw_file.lists).items():
                if isinstance(one, Ragged):
                    for i in range(count):
                        sets[name][start + i] = one.values[one.offsets[i] : one.offsets[i + 1]]
                else:
                    sets[name][start : start + count] = one


def _records(raw: h5py.Group, made: h5py.Group, array: str, targets: Targets, labels: LabelStream) -> None:
    """Write a dataset of records anew, with the labels among its fields."""
    given = raw[array]
    fields = {name: given.dtype[name] for name in given.dtype.names}
    own = {label: column.rsplit(".", 1)[-1] for label, column in targets.items()}
    fields |= {own[label]: kind for label, kind in labels.kinds.items()}
    taken = _dataset(made, array, shape=given.shape, dtype=np.dtype(list(fields.items())), chunks=True)
    for start, count in _steps(len(given), ROWS):
        old = given[start : start + count]
        rows = np.empty(count, taken.dtype)
        for name in given.dtype.names:
            rows[name] = old[name]
        for label, values in labels.points(count).items():
            rows[own[label]] = values
        taken[start : start + count] = rows


def _steps(rows: int, step: int) -> Iterator[tuple[int, int]]:
    """Yield first row and number of rows of each step."""
    for start in range(0, rows, step):
        yield start, min(step, rows - start)


def _dataset(group: h5py.Group, name: str, **what: Any) -> h5py.Dataset:
    if name in group:
        del group[name]
    return group.create_dataset(name, **what)


def root(raw_file: Original, targets: Targets, labels: LabelStream, out: Path) -> None:
    """Copy the tree of a ROOT file (an RNTuple becomes a tree), its branches of numbers and of lists of numbers.

    Raises:
        DataError: uproot cannot write a branch.
    """
    import awkward
    import uproot

    kept = [
        name
        for name, column in raw_file.source.columns.items()
        if column.kind in "fiub" and name not in targets.values()
    ]
    with _explained(raw_file.path), uproot.recreate(out) as made:
        tree = None
        for step in raw_file.source.tree.iterate(kept, step_size="16 MB", library="ak"):
            branches = {name: step[name] for name in kept}
            for name, found in _take(labels, len(step), raw_file.lists).items():
                if isinstance(found, Ragged):
                    branches[targets[name]] = awkward.unflatten(found.values, found.lengths)
                else:
                    branches[targets[name]] = found
            if tree is None:
                name = raw_file.source.tree.name
                tree = made.mktree(name, {n: _branch(values) for n, values in branches.items()})
            tree.extend(branches)


def _branch(values: Any) -> Any:
    import awkward

    if isinstance(values, np.ndarray):
        return values.dtype
    kind = awkward.type(values).content
    return str(kind) if "*" in str(kind) else np.dtype(str(kind))


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # uproot raises many kinds
        raise DataError(f"{path}: cannot be written like it: {error}") from error


COPIES: dict[str, Copy] = {
    "Parquet": parquet,
    "Feather": feather,
    "CSV": text,
    "npz": npz,
    "HDF5": hdf5,
    "ROOT": root,
}
