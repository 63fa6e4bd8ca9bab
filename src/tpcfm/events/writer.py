"""Streaming writer of event tables: bounded memory, Zstandard, the same bytes for the same events."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tpcfm.events.schema import REJECTED
from tpcfm.readers.block import Deviation
from tpcfm.readers.ragged import Ragged

POINTS_PER_ROW_GROUP = 1 << 20
_LEVEL = 1  # Zstandard level: 3 takes a third more time for an eighth less space
_HEAD = ("event_id", "split", "n_points")


class EventWriter:
    """Writes events to one Parquet file, a row group per about a million points.

    Encoding runs in a thread of its own, so that it overlaps with reading; at most one row group waits for it.

    Args:
        path: file to write (give a temporary one and rename it).
        schema: from `tpcfm.events.schema.event_schema`.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        names = [name for name in schema.names if name not in _HEAD]
        # Labels are long runs of one value, which Zstandard alone packs well and fast; for the others, splitting the
        # bytes of a number over streams is both faster and smaller than dictionaries (measured).
        streams = [name for name in names if name in "xyz" or pa.types.is_floating(schema.field(name).type.value_type)]
        self._writer = pq.ParquetWriter(
            path,
            schema,
            compression="zstd",
            compression_level=_LEVEL,
            use_dictionary=["split"],
            column_encoding={f"{name}.list.element": "BYTE_STREAM_SPLIT" for name in streams},
            write_statistics=["event_id", "split", "n_points"],
        )
        self._thread = ThreadPoolExecutor(1)
        self._running: Future[None] | None = None
        self._pending: list[pa.RecordBatch] = []
        self._pending_points = 0

    def __enter__(self) -> "EventWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._flush()
            self._wait()
        finally:
            self._thread.shutdown()
            self._writer.close()

    def write(self, event_ids: Sequence[str], splits: Sequence[str], columns: Mapping[str, Ragged | None]) -> int:
        """Append a block of events; return its points.

        Args:
            event_ids: (n,) ids.
            splits: (n,) split of each event.
            columns: list columns of the schema, each of ``n`` events, or None for all null.
        """
        points = columns["x"]
        assert points is not None
        arrays = [
            pa.array(event_ids, pa.string()),
            pa.array(splits, pa.string()),
            pa.array(points.lengths.astype(np.int32)),
        ]
        for name in self._schema.names[len(_HEAD) :]:
            kind, column = self._schema.field(name).type, columns[name]
            arrays.append(pa.nulls(len(event_ids), kind) if column is None else column.to_arrow(kind))
        self._pending.append(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self._pending_points += len(points.values)
        if self._pending_points >= POINTS_PER_ROW_GROUP:
            self._flush()
        return len(points.values)

    def _flush(self) -> None:
        if self._pending:
            table = pa.Table.from_batches(self._pending, self._schema)
            if table.num_rows:
                self._wait()
                self._running = self._thread.submit(self._writer.write_table, table, row_group_size=table.num_rows)
        self._pending, self._pending_points = [], 0

    def _wait(self) -> None:
        """Wait for the row group being written; an error in writing it surfaces here."""
        running, self._running = self._running, None
        if running is not None:
            running.result()


def write_rejected(path: Path, prefix: str, file: str, reasons: Mapping[int, str]) -> None:
    """Write the table of rejected events.

    Args:
        path: Parquet file to write.
        prefix: event id up to the row.
        file: name of the raw file.
        reasons: raw row number to reason.
    """
    rows = sorted(reasons)
    columns = [[f"{prefix}/{row}" for row in rows], [file] * len(rows), rows, [reasons[row] for row in rows]]
    table = pa.Table.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, REJECTED)], schema=REJECTED
    )
    pq.write_table(table, path, compression="zstd")


def reasons_by_column(deviations: Sequence[Deviation]) -> dict[str, int]:
    """Return how many events deviate in each column."""
    events: dict[str, set[int]] = {}
    for deviation in deviations:
        events.setdefault(deviation.column, set()).add(deviation.row)
    return {column: len(rows) for column, rows in sorted(events.items())}
