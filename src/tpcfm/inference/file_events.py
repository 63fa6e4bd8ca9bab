"""The events of any file one by one, in its order, rejected ones with their reason: raw files, event tables, arrays in memory."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tpcfm.detectors.model import Detector
from tpcfm.errors import DataError
from tpcfm.events.read import open_table, read_events
from tpcfm.events.schema import columns, detector_at, detector_of
from tpcfm.inference.preparation import check_detector
from tpcfm.prepare.points import read_columns
from tpcfm.readers.block import EventBlock, first_reasons
from tpcfm.readers.checks import check_events, fit_columns
from tpcfm.readers.ragged import Ragged, offsets_of
from tpcfm.readers.registry import open_raw


@dataclass(frozen=True)
class FileEvent:
    """One event of a file.

    Attributes:
        row: number of the event in the file.
        event_id: of a table its own, of a raw file ``<file>/<row>``.
        n_points: 0 where the file is too damaged there to say.
        columns: what `tpcfm.events.read.read_events` yields; None for an event that the detector's rules reject.
        reason: why it is rejected; "" if it is not.
    """

    row: int
    event_id: str
    n_points: int
    columns: Mapping[str, Any] | None
    reason: str = ""


@dataclass(frozen=True)
class EventSource:
    """A file, open: its events, and how many there are (0 where only reading it tells)."""

    events: Iterator[FileEvent]
    total: int


@contextmanager
def open_events(path: Path, model: Detector, read_as: Detector | None = None) -> Iterator[EventSource]:
    """Open a raw file or an event table of a model's detector.

    Args:
        path: the file.
        model: detector of the model.
        read_as: whose reader opens a raw file, if not that of the model: files of the same detector in another format.

    Raises:
        DataError: no such file, a damaged one, or events of another detector.
    """
    if not path.is_file():
        raise DataError(
            f"{path}: {'a folder' if path.is_dir() else 'no such file'}; needed is a raw file or an event table"
        )
    if detector_at(path) is not None:
        with open_table(path) as table:
            check_detector(detector_of(table.schema_arrow, path), model, path)
            total = table.metadata.num_rows
        yield EventSource(_of_table(path, model), total)
        return
    reading = model if read_as is None else read_as
    check_detector(reading, model, "--detector")
    said = f"\n(read as a file of {reading.name}, which this model was trained on)"
    try:
        opened = open_raw(path, reading)
    except DataError as error:
        raise DataError(f"{error}{said}") from error
    with opened as reader:
        yield EventSource(_explained(_of_blocks(reader.blocks(), model, path.stem), said), reader.events)


def _explained(events: Iterator[FileEvent], said: str) -> Iterator[FileEvent]:
    try:
        yield from events
    except DataError as error:
        raise DataError(f"{error}{said}") from error


def _of_table(path: Path, model: Detector) -> Iterator[FileEvent]:
    for row, event in enumerate(read_events(path, read_columns(model))):
        yield FileEvent(row, event["event_id"], int(event["n_points"] or 0), event)


def _of_blocks(blocks: Iterator[EventBlock], detector: Detector, name: str) -> Iterator[FileEvent]:
    kinds = {f.name: f.type.value_type.to_pandas_dtype() for f in columns(detector) if pa.types.is_list(f.type)}
    for block in blocks:
        reasons = first_reasons(block.deviations)
        held = {
            column: None if values is None else Ragged(values.offsets, values.values.astype(kinds[column], copy=False))
            for column, values in block.columns.items()
        }
        places = {int(row): place for place, row in enumerate(block.rows)}
        points = held.get("x")
        for row in sorted({*places, *reasons}):
            place, reason, event_id = places.get(row), reasons.get(row, ""), f"{name}/{row}"
            count = 0 if place is None or points is None else int(points.offsets[place + 1] - points.offsets[place])
            if reason:
                yield FileEvent(row, event_id, count, None, reason)
                continue
            assert place is not None
            event = {"event_id": event_id, "split": "test", "n_points": count}
            event |= {
                column: None if values is None else values.values[values.offsets[place] : values.offsets[place + 1]]
                for column, values in held.items()
            }
            yield FileEvent(row, event_id, count, event)


def held_events(events: Sequence[Mapping[str, Any]], detector: Detector) -> list[FileEvent]:
    """Return events given as arrays, checked by the rules of their detector as those of a file are.

    Args:
        events: each with ``x y z`` and the signals, (N,), and labels where known; all of them with the same columns.
        detector: of the events.

    Raises:
        DataError: a column is missing, or columns of different lengths.
    """
    needed = ["x", "y", "z", *(signal.name for signal in detector.signal)]
    for number, event in enumerate(events):
        if missing := [name for name in needed if name not in event]:
            raise DataError(f"event {number}: lacks {', '.join(missing)}; {detector.name} needs {', '.join(needed)}")
        lengths = {name: len(values) for name, values in event.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f"event {number}: columns of different lengths: {lengths}")
    if not events:
        return []
    names = [name for name in [*needed, *detector.labels] if all(name in event for event in events)]
    offsets = offsets_of([len(event["x"]) for event in events])
    kinds = {field.name: field.type.value_type.to_pandas_dtype() for field in columns(detector)}
    found = {}
    for name in names:
        joined = np.concatenate([np.asarray(event[name]) for event in events])
        cast = joined.astype(kinds[name], copy=False)
        if cast.dtype.kind == "i" and joined.dtype.kind == "f" and not np.array_equal(cast, joined):
            raise DataError(f"{name}: must be whole numbers for {detector.name} ({cast.dtype})")
        found[name] = Ragged(offsets, cast)
    block = EventBlock(np.arange(len(events)), fit_columns(detector, dict(found)), seen=len(events))
    check_events(block, detector)
    return list(_of_blocks(iter([block]), detector, "event"))
