"""Which order keeps trajectories together: the coherence of every serialization on the same events, as metrics."""

from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from tpcfm.errors import DataError
from tpcfm.evaluate.intervals import bootstrap_sums
from tpcfm.evaluate.table import write_metrics
from tpcfm.events.read import read_events
from tpcfm.prepare.points import detector_of_tables, kept_rows, problem, read_columns
from tpcfm.prepare.sequences.coherence import CoherenceCounts, LabelledEvent, count_orders
from tpcfm.prepare.sequences.features import event_features
from tpcfm.prepare.sequences.serialization import BoxEdges

METRICS = ("same_next", "run_length", "return_distance")


def labelled_events(
    tables: Sequence[Path], edges: BoxEdges, limit: int, split: str, label: str | None = None
) -> list[LabelledEvent]:
    """Return the first labelled events with points of a split, at most ``limit``, in the order of the tables.

    Labels are those of the column ``label``, by default the detector's first one with instances.

    Raises:
        DataError: there are none, or no such column.
    """
    detector = detector_of_tables(tables).with_scaling(edges.signal)
    if label is not None and label not in detector.instances():
        known = ", ".join(detector.instances()) or "none"
        raise DataError(f"label {label!r}: no column with instances of {detector.name}; there are: {known}")
    label = label or next(iter(detector.instances()), None)
    found: list[LabelledEvent] = []
    for path in tables:
        for event in read_events(path, read_columns(detector)):
            if len(found) == limit:
                return found
            if label is None or event["split"] != split or event[label] is None or problem(event, detector):
                continue
            rows = kept_rows(event, detector)
            if len(rows):
                features = event_features(detector, event, edges.preset)[rows]
                found.append(LabelledEvent(event["event_id"], features, event[label][rows]))
    if not found:
        raise DataError(f"serialization study: no labelled {split} events in {len(tables)} tables")
    return found


def run_study(
    tables: Sequence[Path],
    edges: Path,
    out: Path,
    *,
    events: int = 500,
    split: str = "validation",
    draws: int = 500,
    label: str | None = None,
) -> pd.DataFrame:
    """Measure every order on the same events and write ``<out>/metrics.parquet`` (task ``serialization``).

    The metrics table has one row per order (its name in ``class``) and measure, with a bootstrap interval over events;
    ``random`` is the floor.

    Returns:
        One row per order: ``order`` and the measures.

    Raises:
        DataError: no labelled events, or missing or damaged edges.
    """
    fitted = BoxEdges.load(edges)
    chosen = labelled_events(tables, fitted, events, split, label)
    rows, shown = [], []
    for order, counts in count_orders(chosen, fitted).items():
        table = np.array([astuple(one) for one in counts], dtype=np.float64)
        values = _measures(table.sum(0))
        low, high = bootstrap_sums(table, _measures, draws=draws)
        shown.append({"order": order, **dict(zip(METRICS, values.tolist(), strict=True))})
        for metric, value, a, b in zip(METRICS, values, low, high, strict=True):
            fixed = {"run": "serialization", "task": "serialization", "split": split}
            rows.append({**fixed, "metric": metric, "class": order, "value": value, "low": a, "high": b})
    write_metrics(out / "metrics.parquet", rows)
    return pd.DataFrame(shown)


def _measures(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    values = CoherenceCounts(*sums).values()
    return np.array([values[metric] for metric in METRICS])
