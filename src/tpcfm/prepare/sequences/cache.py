"""From event tables to a sequences cache: box edges, then one Arrow part per table (arXiv 2508.14087, Sec. 3)."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tpcfm.errors import DataError
from tpcfm.files import key64
from tpcfm.prepare.cache import HEAD, part_writer, write_rejected
from tpcfm.prepare.sequences.features import point_features
from tpcfm.prepare.sequences.next_neighbours import next_neighbours
from tpcfm.prepare.sequences.serialization import BinEdges, fit_bin_edges, serial_order
from tpcfm.prepare.sequences.settings import SerializationConfig, TargetConfig

MAX_FIT_EVENTS = 50_000
"""Events that the edges are fitted on at most (arXiv 2508.14087, App. B)."""

_LABELS = {"track": pa.int32(), "pid": pa.int8(), "noise": pa.int8()}
_FLOATS = ("energy", "x", "y", "z", "eta", "phi", "r", "feature_energy")
SCHEMA = pa.schema(
    [
        *HEAD,
        *(pa.field(name, pa.list_(pa.float32()), nullable=False) for name in _FLOATS),
        *(pa.field(name, pa.list_(kind)) for name, kind in _LABELS.items()),
        pa.field("neighbour", pa.list_(pa.int32())),
    ]
)
"""Columns of a sequences part; ``track pid noise`` are null without labels, ``neighbour`` where it is not a target."""


@dataclass(frozen=True)
class RawEvent:
    """Points of one event as the event table holds them: (N,) float32 each, cm and ADC; labels or None."""

    event_id: str
    split: str
    row: int
    energy: npt.NDArray[np.float32]
    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.float32]
    z: npt.NDArray[np.float32]
    labels: dict[str, npt.NDArray[Any] | None]

    @property
    def n_points(self) -> int:
        """Number of points."""
        return len(self.energy)


def read_events(path: str | Path, rows: set[int] | None = None, labels: bool = True) -> Iterator[RawEvent]:
    """Yield the events of a table in the TPCpp-10M layout, row group by row group.

    Args:
        path: the Parquet table.
        rows: take these rows only.
        labels: read the labels too.

    Raises:
        DataError: unreadable, a column is missing, or an event is damaged (names file, row, event).
    """
    needed = ["event_id", "split", "energy", "x", "y", "z"]
    try:
        table = pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: not a readable event table: {error}") from error
    with table:
        present = table.schema_arrow.names
        missing = [name for name in needed if name not in present]
        if missing:
            raise DataError(f"{path}: not a collider event table: lacks the columns {', '.join(missing)}")
        wanted = [name for name in _LABELS if labels and name in present]
        first = 0
        for group in range(table.num_row_groups):
            count = table.metadata.row_group(group).num_rows
            inside = range(first, first + count) if rows is None else sorted(rows & set(range(first, first + count)))
            if len(inside):
                columns = {name: table.read_row_group(group, [name]).column(0) for name in needed + wanted}
                for row in inside:
                    yield _event(columns, row, row - first, str(path))
            first += count


def _event(columns: dict[str, pa.ChunkedArray], row: int, at: int, source: str) -> RawEvent:
    event_id = columns["event_id"][at].as_py()
    where = f"{source}, row {row}, event {event_id}"
    points = {}
    for name in ("energy", "x", "y", "z"):
        values = columns[name][at].values
        if values is None:
            raise DataError(f"{where}: {name} is null")
        points[name] = values.to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    n = len(points["energy"])
    found: dict[str, npt.NDArray[Any] | None] = {}
    for name, kind in _LABELS.items():
        values = columns[name][at].values if name in columns else None
        found[name] = None if values is None else values.to_numpy(zero_copy_only=False).astype(kind.to_pandas_dtype())
    for name, array in {**points, **found}.items():
        if array is not None and len(array) != n:
            raise DataError(f"{where}: {name} has {len(array)} values for {n} points")
    for name, array in points.items():
        if not np.isfinite(array).all():
            raise DataError(f"{where}: {name} holds values that are not finite; ingest would have rejected them")
    return RawEvent(str(event_id), columns["split"][at].as_py(), row, **points, labels=found)


def event_features(event: RawEvent, scaling: str) -> npt.NDArray[np.float32]:
    """Return the (N, 4) normalised energy, eta, phi, r of an event, in the order of the table."""
    return point_features(event.energy, event.x, event.y, event.z, scaling)


def fit_edges(event_tables: Sequence[Path], out: Path, config: SerializationConfig) -> None:
    """Fit the box edges on training events only and write them as JSON.

    With more than `MAX_FIT_EVENTS` training events, those with the smallest keys of their ids are taken, whatever the
    order of the tables.

    Raises:
        DataError: no training events, or a damaged table.
    """
    chosen: list[tuple[int, int, int]] = []  # (minus key, table, row): a heap whose top is the one to give up first
    for number, path in enumerate(event_tables):
        try:
            heads = pq.read_table(path, columns=["event_id", "split", "n_points"])
        except (OSError, pa.ArrowInvalid, KeyError) as error:
            raise DataError(f"{path}: not a readable event table: {error}") from error
        for row, head in enumerate(heads.to_pylist()):
            if head["split"] != "train" or head["n_points"] == 0:
                continue
            entry = (-key64(head["event_id"]), number, row)
            if len(chosen) < MAX_FIT_EVENTS:
                heapq.heappush(chosen, entry)
            else:
                heapq.heappushpop(chosen, entry)
    if not chosen:
        raise DataError(f"bin edges: no training events in {len(event_tables)} tables ({_few(event_tables)})")
    features: list[npt.NDArray[np.float32]] = []
    for number, path in enumerate(event_tables):
        rows = {row for _, table, row in chosen if table == number}
        features.extend(event_features(event, config.scaling) for event in read_events(path, rows, labels=False))
    fit_bin_edges(np.concatenate(features), config, n_events=len(chosen)).save(out)


def _few(paths: Sequence[Path]) -> str:
    return ", ".join(str(path) for path in paths[:3]) + (", ..." if len(paths) > 3 else "")


def sequence_event(
    event: RawEvent, edges: BinEdges, serialization: SerializationConfig, targets: TargetConfig
) -> dict[str, Any]:
    """Return one event as a row of the cache: points in serialised order, labels, neighbours (k per point)."""
    features = event_features(event, serialization.scaling)
    order = serial_order(features, serialization, edges)
    features = features[order]
    neighbour = None
    if targets.objective == "next_neighbours":
        neighbour = next_neighbours(
            features, targets.k, scaling=serialization.scaling, candidates=targets.candidates, wrap=targets.wrap
        ).ravel()
    raw = {name: getattr(event, name)[order] for name in ("energy", "x", "y", "z")}
    labels = {name: None if values is None else values[order] for name, values in event.labels.items()}
    columns = dict(zip(("feature_energy", "eta", "phi", "r"), np.ascontiguousarray(features.T), strict=True))
    head = {"event_id": event.event_id, "split": event.split, "n_points": event.n_points}
    return {**head, **raw, **columns, **labels, "neighbour": neighbour}


def cache_settings(edges: BinEdges, serialization: SerializationConfig, targets: TargetConfig) -> dict[str, Any]:
    """Return what a cache was made with, as plain JSON values; equal for all its parts."""
    return {
        "serialization": serialization.model_dump(mode="json"),
        "targets": targets.model_dump(mode="json"),
        "edges": edges.fingerprint,
    }


def write_part(
    events: Path, edges: Path, out: Path, serialization: SerializationConfig, targets: TargetConfig
) -> dict[str, int]:
    """Serialise the events of one table, find their targets, and write one part of a sequences cache.

    Events without points, or above ``serialization.max_points``, go to ``<part>.rejected.parquet`` with the reason.

    Args:
        events: event table (Parquet).
        edges: the edges file of this cache; it must exist and fit the settings.
        out: the ``.arrow`` part to write.

    Returns:
        ``events``, ``points`` and ``rejected`` counts.

    Raises:
        DataError: table or edges are missing, damaged or made for other settings.
    """
    fitted = BinEdges.load(edges)
    fitted.check(serialization, source=str(edges))
    rejected = []
    points = 0
    settings = cache_settings(fitted, serialization, targets)
    with part_writer(out, SCHEMA, kind="sequences", settings=settings) as part:
        for event in read_events(events):
            reason = None
            if event.n_points == 0:
                reason = "no points"
            elif 0 < serialization.max_points < event.n_points:
                reason = f"{event.n_points} points, above max_points = {serialization.max_points}"
            if reason is None:
                part.add(sequence_event(event, fitted, serialization, targets))
                points += event.n_points
            else:
                rejected.append({"event_id": event.event_id, "file": events.name, "row": event.row, "reason": reason})
    write_rejected(out, rejected)
    return {"events": part.events, "points": points, "rejected": len(rejected)}
