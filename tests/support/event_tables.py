"""Event tables of any detector, out of plain arrays. Not a test file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tpcfm.detectors.model import Detector
from tpcfm.detectors.registry import load_detector
from tpcfm.events.schema import event_schema

PILARNET, SPHENIX = load_detector("pilarnet"), load_detector("sphenix")


def full(detector: Detector, event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event with every column of its detector's table, as NumPy arrays; those it lacks are None."""
    found: dict[str, Any] = {}
    for field in event_schema(detector):
        value = event.get(field.name, len(event["x"]) if field.name == "n_points" else None)
        if pa.types.is_list(field.type) and value is not None:
            value = np.asarray(value).astype(field.type.value_type.to_pandas_dtype())
        found[field.name] = value
    return found


def write_table(path: Path, detector: Detector, events: Sequence[Mapping[str, Any]], row_group_size: int = 3) -> None:
    """Write an event table."""
    schema = event_schema(detector)
    schema = pa.schema(
        [field.with_nullable(True) for field in schema], metadata=schema.metadata
    )  # to write bad ones too
    rows = [full(detector, event) for event in events]
    table = pa.Table.from_arrays([pa.array([row[f.name] for row in rows], f.type) for f in schema], schema=schema)
    pq.write_table(table, path, row_group_size=row_group_size)
