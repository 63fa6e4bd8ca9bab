"""The table of predictions: some held-out events with truth and prediction of one label column. Needs no torch."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tpcfm.detectors.model import ClassLabel, Detector
from tpcfm.errors import DataError
from tpcfm.events.schema import KEY, detector_in
from tpcfm.files import atomic

TASK = b"tpcfm.task"


def point_columns(detector: Detector) -> list[str]:
    """Columns of a point that the table keeps beside truth and prediction: coordinates and signals."""
    return [*"xyz", *(signal.name for signal in detector.signal)]


def write_predictions(path: Path, events: Iterable[Mapping[str, Any]], detector: Detector, task: str) -> None:
    """Write per event ``event_id`` and the lists of `point_columns`, ``truth`` and ``prediction``.

    Args:
        path: Parquet file to write.
        events: with these names; ``truth`` and ``prediction`` as in batches: numbers of classes or of instances, -1 for none. The
            table holds values of the label column.
        detector: of the events; the table says so.
        task: label column that is predicted.
    """
    label = detector.labels[task]
    kinds = dict.fromkeys("xyz", detector.coordinates.type) | {s.name: s.type for s in detector.signal}
    kinds |= dict.fromkeys(("truth", "prediction"), label.type)
    columns: dict[str, list[Any]] = {name: [] for name in ("event_id", *kinds)}
    for event in events:
        for name, column in columns.items():
            decoded = isinstance(label, ClassLabel) and name in ("truth", "prediction")
            column.append(label.decode(event[name]) if decoded else event[name])  # type: ignore[union-attr]
    fields = [pa.field("event_id", pa.string())]
    fields += [pa.field(name, pa.list_(pa.type_for_alias(kind))) for name, kind in kinds.items()]
    arrays = [pa.array([v if f.name == "event_id" else np.asarray(v) for v in columns[f.name]], f.type) for f in fields]
    schema = pa.schema(fields, {KEY: detector.model_dump_json(exclude_defaults=True), TASK: task})
    with atomic(path) as temporary:
        pq.write_table(pa.table(arrays, schema=schema), temporary, compression="zstd")


def described(schema: pa.Schema, path: object) -> tuple[Detector, str]:
    """Return detector and label column of a table of predictions, from its metadata.

    Raises:
        DataError: it does not say them.
    """
    detector = detector_in(schema.metadata, path)
    task = (schema.metadata or {}).get(TASK, b"").decode()
    if task not in detector.labels:
        raise DataError(
            f"{path}: predicts {task or 'an unnamed label'!r}; {detector.name} has {', '.join(detector.labels)}"
        )
    return detector, task
