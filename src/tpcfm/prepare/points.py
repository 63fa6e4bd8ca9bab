"""What of an event reaches a prepared cache: the same for groups and sequences, for every detector."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tpcfm.detectors.model import Detector
from tpcfm.errors import DataError
from tpcfm.events.read import read_events, table_schema
from tpcfm.events.schema import HEAD, columns, detector_of
from tpcfm.prepare.cache import part_writer, write_rejected
from tpcfm.prepare.store import SPLITS

Rows = npt.NDArray[np.int32]
Event = Mapping[str, Any]
"""An event as `tpcfm.events.read.read_events` yields it."""


def detector_of_tables(tables: Sequence[str | Path]) -> Detector:
    """Return the detector of some event tables.

    Raises:
        DataError: no table, an unreadable one, or tables of different detectors.
    """
    if not tables:
        raise DataError("no event table given")
    found = [detector_of(table_schema(path, ()), path) for path in tables]
    for path, other in zip(tables, found):
        if other.hash != found[0].hash:
            raise DataError(
                f"{path}: events of {other.name} ({other.hash}), those of {tables[0]} are of"
                f" {found[0].name} ({found[0].hash}); prepare them apart"
            )
    return found[0]


def read_columns(detector: Detector) -> list[str]:
    """Return the columns of an event table, in order."""
    return [field.name for field in (*HEAD, *columns(detector))]


def cache_fields(detector: Detector, coordinates: pa.DataType | None = None) -> list[pa.Field]:
    """Return the fields of a cache that hold the event itself: all columns of its table, and ``row``.

    Args:
        coordinates: type of ``x y z``; that of the detector if not given.
    """
    fields = [*HEAD, *columns(detector)]
    if coordinates is not None:
        fields = [f.with_type(pa.list_(coordinates)) if f.name in ("x", "y", "z") else f for f in fields]
    about = {"description": "row of the point in the event table"}
    return [*fields, pa.field("row", pa.list_(pa.int32()), nullable=False, metadata=about)]


def problem(event: Event, detector: Detector) -> str:
    """Say what is wrong with the columns of one event; an empty string if nothing is."""
    needed = ("x", "y", "z", *(signal.name for signal in detector.signal))
    missing = [name for name in ("event_id", "split", "n_points", *needed) if event[name] is None]
    if missing:
        return f"no values for {', '.join(missing)}"
    if event["split"] not in SPLITS:
        return f"split {event['split']!r}; allowed: {', '.join(SPLITS)}"
    for name in (*needed, *detector.labels):
        values = event[name]
        if values is not None and len(values) != event["n_points"]:
            return f"{len(values)} values of {name}, n_points is {event['n_points']}"
        if name in needed and not np.isfinite(values).all():
            return f"values of {name} that are not finite"
    return ""


def _again(event: Event, seen: set[str]) -> str:
    """Say that an event of this name has been before (tables made by hand); masks, subsets and scores go by the name."""
    if event["event_id"] in seen:
        return f"event_id {event['event_id']!r} occurs twice in this table"
    seen.add(event["event_id"])
    return ""


def kept_rows(event: Event, detector: Detector, threshold: float | None = None) -> Rows:
    """Return the rows of the points that networks see.

    Points of classes that the detector removes are left out, and those whose main signal is not above ``threshold``. A
    label that the event lacks removes nothing.
    """
    keep = np.ones(len(event["x"]), bool)
    for name, label in detector.classes().items():
        if label.removed and event.get(name) is not None:
            keep &= ~np.isin(event[name], label.removed)
    if threshold is not None and detector.main_signal is not None:
        keep &= event[detector.main_signal.name] > threshold
    return np.flatnonzero(keep).astype(np.int32)


def take(event: Event, rows: Rows, detector: Detector) -> dict[str, Any]:
    """Return the columns of an event for a cache: points in the order of ``rows``, tables of objects whole."""
    found = {"event_id": event["event_id"], "split": event["split"], "n_points": len(rows)}
    for name in ("x", "y", "z", *(signal.name for signal in detector.signal), *detector.labels):
        found[name] = None if event[name] is None else event[name][rows]
    return found | {name: event[name] for name in detector.object_columns} | {"row": rows}


def write_points(
    events: str | Path,
    out: str | Path,
    detector: Detector,
    fields: Sequence[pa.Field],
    make: Callable[[Event], dict[str, Any] | str],
    *,
    kind: str,
    settings: Mapping[str, Any],
) -> dict[str, int]:
    """Turn one event table into one part of a cache, and ``<out>.rejected.parquet`` beside it, in bounded memory.

    Args:
        events: event table.
        out: the ``.arrow`` file.
        detector: goes into the part.
        fields: of the part.
        make: returns the row of an event, or the reason to leave it out.
        kind, settings: of the cache.

    Returns:
        ``events``, ``points`` and ``rejected`` counts.

    Raises:
        DataError: the table cannot be read.
    """
    rejected, points = [], 0
    seen: set[str] = set()
    with part_writer(out, pa.schema(fields), kind=kind, settings=settings, detector=detector) as part:
        for row, event in enumerate(read_events(events, read_columns(detector))):
            made = problem(event, detector) or _again(event, seen) or make(event)
            if isinstance(made, str):
                name = Path(events).name
                rejected.append({"event_id": event["event_id"], "file": name, "row": row, "reason": made})
            else:
                part.add(made)
                points += made["n_points"]
    write_rejected(out, rejected)
    return {"events": part.events, "points": points, "rejected": len(rejected)}
