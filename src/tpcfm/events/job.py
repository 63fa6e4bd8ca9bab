"""Ingest one raw file: the whole job from file to event table, rejected events and statistics."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tpcfm.config.splits import SPLITS
from tpcfm.detectors.model import Detector
from tpcfm.detectors.registry import load_detector
from tpcfm.errors import DataError
from tpcfm.events.schema import VERSION, detector_at, event_schema
from tpcfm.events.statistics import Statistics, training_events
from tpcfm.events.writer import EventWriter, reasons_by_column, write_rejected
from tpcfm.files import atomic, sha256, write_json
from tpcfm.readers.block import Deviation, first_reasons
from tpcfm.readers.registry import open_raw

SplitRule = Callable[[str], str]


def ingest_file(
    path: str | Path,
    detector: Detector | str,
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
        path: raw file.
        detector: that wrote it, or its name or YAML file; says how the file is read.
        dataset: name of the data source.
        out: event table to write (Parquet).
        rejected: table of rejected events to write (Parquet).
        split_rule: event id to split name.
        statistics: summary to write (JSON): counts, checksum of ``out``, statistics.

    Returns:
        The summary.

    Raises:
        DataError: the file is unreadable, of another format or an event table already, or not one event is good. Nothing is written then.
        MachineError: the outputs cannot be written.
    """
    path, out = Path(path), Path(out)
    if isinstance(detector, str):
        detector = load_detector(detector)
    if (held := detector_at(path)) is not None:
        raise DataError(f"{path}: an event table of {held} already; needed is a raw file")
    part = out.name.removesuffix(".parquet")
    prefix = f"{dataset}/{part}"
    gathered, deviations = Statistics(detector), list[Deviation]()
    splits, points, seen = dict.fromkeys(SPLITS, 0), 0, 0
    with ExitStack() as stack:
        reader = stack.enter_context(open_raw(path, detector))
        rejected_path, table_path = stack.enter_context(atomic(rejected)), stack.enter_context(atomic(out))
        with EventWriter(table_path, event_schema(detector, dataset, path.name, reader.revision)) as writer:
            for block in reader.blocks():
                deviations += block.deviations
                seen += block.seen
                good = block.good()
                event_ids = [f"{prefix}/{row}" for row in good.rows]
                drawn = [split_rule(event_id) for event_id in event_ids]
                for split in drawn:
                    splits[split] += 1
                points += writer.write(event_ids, drawn, good.columns)
                gathered.add(good.columns, training_events(drawn))
        reasons = first_reasons(deviations)
        if len(reasons) == seen:
            if not seen:
                raise DataError(f"{path}: holds no event")
            row, reason = next(iter(reasons.items()))
            raise DataError(f"{path}: not one good event among {seen}; event {row}: {reason}")
        write_rejected(rejected_path, prefix, path.name, reasons)
        revision, events = reader.revision, seen - len(reasons)
    summary = {
        "part": part,
        "file": out.name,
        "source": path.name,
        "detector": detector.name,
        "detector_hash": detector.hash,
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
