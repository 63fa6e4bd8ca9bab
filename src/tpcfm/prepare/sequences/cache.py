"""From event tables to a sequences cache: box edges, then one Arrow part per table (arXiv 2508.14087, Sec. 3)."""

import heapq
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tpcfm.detectors.model import Detector
from tpcfm.errors import DataError
from tpcfm.events.read import read_events
from tpcfm.files import key64
from tpcfm.prepare.points import (
    Event,
    Rows,
    cache_fields,
    detector_of_tables,
    kept_rows,
    read_columns,
    take,
    write_points,
)
from tpcfm.prepare.sequences.features import event_features, network_coordinates, ranges
from tpcfm.prepare.sequences.next_neighbours import next_neighbours
from tpcfm.prepare.sequences.serialization import BoxEdges, fit_box_edges, serial_order
from tpcfm.prepare.sequences.settings import SerializationConfig, TargetConfig
from tpcfm.prepare.signal_scaling import fit_scaling

MAX_FIT_EVENTS = 50_000
"""Events that the edges are fitted on at most (arXiv 2508.14087, App. B)."""


def sequence_fields(detector: Detector) -> list[pa.Field]:
    """Return the fields of a part; labels and objects are null without truth, ``neighbour`` where it is not a target."""
    about = {
        "description": f"4 per point: scaled signal (0 without one), {', '.join(detector.axes)} as networks see them"
    }
    return [
        *cache_fields(detector, pa.float32()),
        pa.field("features", pa.list_(pa.float32()), nullable=False, metadata=about),
        pa.field("neighbour", pa.list_(pa.int32())),
    ]


def fit_edges(event_tables: Sequence[Path], out: Path, config: SerializationConfig) -> None:
    """Fit the box edges, and the scaling of the signal where it is ``auto``, on training events only; write them as JSON.

    With more than `MAX_FIT_EVENTS` training events, those with the smallest keys of their ids are taken, whatever the
    order of the tables.

    Raises:
        ConfigError: no such preset.
        DataError: no training events, tables of different detectors, or a damaged table.
    """
    detector = detector_of_tables(event_tables)
    ranges(detector, config.preset)
    chosen: list[tuple[int, int, int]] = []  # (minus key, table, row): a heap whose top is the one to give up first
    for number, path in enumerate(event_tables):
        for row, head in enumerate(read_events(path, ("event_id", "split", "n_points"))):
            if head["split"] != "train" or head["n_points"] == 0:
                continue
            entry = (-key64(head["event_id"]), number, row)
            if len(chosen) < MAX_FIT_EVENTS:
                heapq.heappush(chosen, entry)
            else:
                heapq.heappushpop(chosen, entry)
    if not chosen:
        few = ", ".join(map(str, event_tables[:3])) + (", ..." if len(event_tables) > 3 else "")
        raise DataError(f"box edges: no training events in {len(event_tables)} tables ({few})")
    main = detector.main_signal
    places: list[npt.NDArray[np.float32]] = []
    signals: list[npt.NDArray[Any]] = []
    for number, path in enumerate(event_tables):
        rows = {row for _, table, row in chosen if table == number}
        for row, event in enumerate(read_events(path, read_columns(detector))):
            if row in rows:
                kept = kept_rows(event, detector)
                xyz = np.stack([event[axis][kept] for axis in "xyz"], axis=1)
                places.append(network_coordinates(detector, xyz, config.preset).astype(np.float32))
                if main is not None:
                    signals.append(event[main.name][kept])
    scaling = detector.signal_scaling(config.preset)
    resolved = detector.with_scaling(fit_scaling(signals) if scaling == "auto" else scaling)
    fit_box_edges(np.concatenate(places), resolved, config, n_events=len(chosen)).save(out)


def sequence_event(
    event: Event,
    rows: Rows,
    detector: Detector,
    edges: BoxEdges,
    serialization: SerializationConfig,
    targets: TargetConfig,
    stored: bool = True,
) -> dict[str, Any]:
    """Return some points of an event as a row of the cache: serialised, with all columns, neighbours (k per point) if they are stored."""
    preset = serialization.preset
    features = event_features(detector, event, preset)[rows]
    order = serial_order(features, serialization, edges)
    features = features[order]
    neighbour = None
    if stored and targets.objective == "next_neighbours":
        found = next_neighbours(
            features, targets.k, detector, preset=preset, candidates=targets.candidates, wrap=targets.wrap
        )
        neighbour = found.ravel()
    return {**take(event, rows[order], detector), "features": features.ravel(), "neighbour": neighbour}


def whole_event(
    event: Event,
    detector: Detector,
    edges: BoxEdges,
    serialization: SerializationConfig,
    targets: TargetConfig,
    stored: bool = True,
) -> dict[str, Any] | str:
    """Return an event as a row of the cache, or why it is left out: no points, or too many."""
    rows, most = kept_rows(event, detector), serialization.max_points
    if len(rows) == 0:
        return "no points"
    if 0 < most < len(rows):
        return f"{len(rows)} points, above max_points = {most}"
    return sequence_event(event, rows, detector, edges, serialization, targets, stored)


def cache_settings(edges: BoxEdges, serialization: SerializationConfig, targets: TargetConfig) -> dict[str, Any]:
    """Return what a cache was made with, as plain JSON values; equal for all its parts."""
    return {
        "serialization": serialization.model_dump(mode="json"),
        "targets": targets.model_dump(mode="json"),
        "edges": edges.fingerprint,
    }


def write_part(
    events: Path,
    edges: Path,
    out: Path,
    serialization: SerializationConfig,
    targets: TargetConfig,
    stored: bool = True,
) -> dict[str, int]:
    """Serialise the events of one table, find their targets, and write one part of a sequences cache.

    Events without points, or above ``serialization.max_points``, go to ``<part>.rejected.parquet`` with the reason.

    Args:
        events: event table (Parquet) of any detector.
        edges: the edges file of this cache; it must exist and fit settings and detector.
        out: the ``.arrow`` part to write.
        stored: keep the neighbours; otherwise ``neighbour`` is null and every batch finds them anew.

    Returns:
        ``events``, ``points`` and ``rejected`` counts.

    Raises:
        DataError: table or edges are missing, damaged or made for other settings or another detector.
    """
    fitted = BoxEdges.load(edges)
    of_table = detector_of_tables([events])
    fitted.check(serialization, of_table, source=str(edges))
    detector = of_table.with_scaling(fitted.signal)

    def make(event: Event) -> dict[str, Any] | str:
        return whole_event(event, detector, fitted, serialization, targets, stored)

    settings = cache_settings(fitted, serialization, targets)
    return write_points(events, out, detector, sequence_fields(detector), make, kind="sequences", settings=settings)
