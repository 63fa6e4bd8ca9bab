"""Ingest one raw file: the whole job from file to event table, rejected events and statistics."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

from tpcfm.errors import DataError
from tpcfm.events.schema import LAYOUTS, VERSION, event_schema
from tpcfm.events.splits import SPLITS
from tpcfm.events.statistics import Statistics
from tpcfm.events.writer import EventWriter, reasons_by_column, write_rejected
from tpcfm.files import atomic, sha256, write_json
from tpcfm.readers.block import Deviation, Reader, first_reasons
from tpcfm.readers.kinds import guess
from tpcfm.readers.pilarnet import PilarnetReader
from tpcfm.readers.tpcpp import TpcppReader

SplitRule = Callable[[str], str]


def open_raw(path: str | Path, layout: str) -> "AbstractContextManager[Reader]":
    """Open a raw file of a layout.

    Raises:
        DataError: unknown layout, or the file is not of it.
    """
    if layout not in LAYOUTS:
        raise DataError(f"unknown layout {layout!r}; allowed: {', '.join(LAYOUTS)}")
    found = guess(Path(path))  # what is none of them is named by the reader
    if found == "table":
        raise DataError(f"{path}: a Parquet file, such as `tpcfm ingest` writes; needed is a raw file (HDF5 or npz)")
    if found not in (None, layout):
        known = "HDF5 is read as pilarnet (PILArNet-M), npz as tpcpp (TPCpp-10M)"
        raise DataError(f"{path}: a file of the layout {found!r}, not {layout!r} (--layout): {known}")
    return PilarnetReader(path) if layout == "pilarnet" else TpcppReader(path)


def ingest_file(
    path: str | Path,
    layout: str,
    dataset: str,
    out: str | Path,
    rejected: str | Path,
    split_rule: SplitRule,
    statistics: str | Path | None = None,
) -> dict[str, Any]:
    """Turn one raw file into an event table.

    Event ids are ``dataset/part/row``, where ``part`` is the name of ``out`` without ``.parquet`` (unique within
    the folder of a dataset, which the names of published files are not) and ``row`` the number of the event in the raw
    file.

    Args:
        path: raw file; for ``tpcpp`` the spacepoints file.
        layout: ``pilarnet`` or ``tpcpp``.
        dataset: name of the data source.
        out: event table to write (Parquet).
        rejected: table of rejected events to write (Parquet).
        split_rule: event id to split name.
        statistics: summary to write (JSON): counts, checksum of ``out``, statistics.

    Returns:
        The summary.

    Raises:
        DataError: the file is unreadable or of another layout, or not one event is good. Nothing is written then.
        MachineError: the outputs cannot be written.
    """
    path, out = Path(path), Path(out)
    part = out.name.removesuffix(".parquet")
    prefix = f"{dataset}/{part}"
    gathered, deviations = Statistics(layout) if layout in LAYOUTS else None, list[Deviation]()
    splits, points = dict.fromkeys(SPLITS, 0), 0
    with ExitStack() as stack:
        reader = stack.enter_context(open_raw(path, layout))
        assert gathered is not None
        rejected_path, table_path = stack.enter_context(atomic(rejected)), stack.enter_context(atomic(out))
        with EventWriter(table_path, event_schema(layout, dataset, path.name, reader.revision)) as writer:
            for block in reader.blocks():
                deviations += block.deviations
                good = block.good()
                event_ids = [f"{prefix}/{row}" for row in good.rows]
                drawn = [split_rule(event_id) for event_id in event_ids]
                for split in drawn:
                    splits[split] += 1
                energy = good.columns["energy"]
                points += len(energy.values) if energy is not None else 0
                writer.write(event_ids, drawn, good.columns)
                gathered.add(good.columns)
        reasons = first_reasons(deviations)
        if len(reasons) == reader.events:
            row, reason = next(iter(reasons.items()))
            raise DataError(f"{path}: not one good event among {reader.events}; event {row}: {reason}")
        write_rejected(rejected_path, prefix, path.name, reasons)
        revision, events = reader.revision, reader.events - len(reasons)
    summary = {
        "part": part,
        "file": out.name,
        "source": path.name,
        "layout": layout,
        "revision": revision,
        "version": VERSION,
        "events": events,
        "points": points,
        "rejected": len(reasons),
        "rejected_columns": reasons_by_column(deviations),
        "splits": splits,
        "bytes": out.stat().st_size,
        "sha256": sha256(out),
        "statistics": gathered.to_json(),
    }
    if statistics is not None:
        write_json(statistics, summary)
    return summary
