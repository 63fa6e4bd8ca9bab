"""Tables of predictions and of features: one row per event of the input, in its order, rejected ones included.

Predictions (``<file>.predictions.parquet``): ``event_id``, ``row`` (number of the event in the file), ``n_points``, ``reason`` (why the
model takes no such event; null if it does), and for each label a list ``<label>`` with a value per point in the order of the file (null:
no answer; objects are numbered from 0 on, -1 is a point of none) and ``<label>_score`` (null list where the method gives no
probabilities). Found objects (``<file>.objects.parquet``): ``event_id row label object n_points score x y z``, the sum of each signal,
and for a cylinder with a field ``pt`` (GeV/c) ``eta phi charge`` of a helix fit (null: too few points).
Features (``<file>.features.parquet``): ``event_id row n_points reason``, lists ``x y z`` and ``features`` with a place and a vector per
row of the network, and ``point``, the point of the file that a row is (null list where rows are tokens). Rejected events also stand
in ``<file>.rejected.parquet``: ``event_id file row reason``. Metadata of the schema: ``tpcfm.model`` (fingerprint), ``tpcfm.model_name``,
``tpcfm.source`` (name of the input), ``tpcfm.source_bytes``, ``tpcfm.detector_name``.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tpcfm.detectors.model import ClassLabel, Detector
from tpcfm.events.read import open_table
from tpcfm.inference.answers import Embedding, Prediction, fit_columns

VALUES_PER_ROW_GROUP = 1 << 18
ROW = 64
"""What a row counts beside the values in its lists: many small rows are held as briefly as a few large ones."""
HEAD = [
    pa.field("event_id", pa.string(), nullable=False),
    pa.field("row", pa.int64(), nullable=False),
    pa.field("n_points", pa.int32(), nullable=False),
    pa.field("reason", pa.string()),
]
Meta = Mapping[str, str]


def prediction_schema(detector: Detector, labels: Sequence[str], about: Meta) -> pa.Schema:
    """Return the schema of a table of predictions."""
    fields = list(HEAD)
    for name in labels:
        label = detector.labels[name]
        kind = label.type if isinstance(label, ClassLabel) else "int32"
        fields += [pa.field(name, pa.list_(pa.type_for_alias(kind))), pa.field(f"{name}_score", pa.list_(pa.float32()))]
    return pa.schema(fields, metadata=_encoded(about))


def object_schema(detector: Detector, about: Meta) -> pa.Schema:
    """Return the schema of a table of found objects."""
    fields = [
        *HEAD[:2],
        pa.field("label", pa.string()),
        pa.field("object", pa.int32()),
        pa.field("n_points", pa.int32()),
    ]
    names = ["score", "x", "y", "z", *(signal.name for signal in detector.signal)]
    fields += [pa.field(name, pa.float32()) for name in names]
    fields += [pa.field(name, pa.type_for_alias(kind)) for name, kind in fit_columns(detector).items()]
    return pa.schema(fields, metadata=_encoded(about))


def feature_schema(about: Meta) -> pa.Schema:
    """Return the schema of a table of features."""
    fields = [pa.field(axis, pa.list_(pa.float32())) for axis in "xyz"]
    fields += [pa.field("point", pa.list_(pa.int32())), pa.field("features", pa.list_(pa.list_(pa.float32())))]
    return pa.schema([*HEAD, *fields], metadata=_encoded(about))


def _encoded(about: Meta) -> dict[bytes, bytes]:
    return {f"tpcfm.{key}".encode(): value.encode() for key, value in about.items()}


def described(path: Path) -> dict[str, str]:
    """Return what the metadata of one of these tables says.

    Raises:
        DataError: no Parquet file.
    """
    with open_table(path) as table:
        metadata = table.schema_arrow.metadata or {}
    return {
        key.decode().removeprefix("tpcfm."): value.decode()
        for key, value in metadata.items()
        if key.startswith(b"tpcfm.")
    }


class TableWriter:
    """Collects rows and writes a row group per about a quarter of a million values.

    Args:
        path: file to write (a temporary one, to be renamed).
        schema: of the table; list columns take NumPy arrays, masked ones where values are null, or None.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.schema = schema
        # Scores hardly repeat: splitting their bytes over streams is both faster and smaller than dictionaries, as in event tables.
        floats = [field.name for field in schema if field.type == pa.list_(pa.float32())]
        self._writer = pq.ParquetWriter(
            path,
            schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=["reason", "label"],
            column_encoding={f"{name}.list.element": "BYTE_STREAM_SPLIT" for name in floats},
        )
        self._rows: list[Mapping[str, Any]] = []
        self._values = 0

    def __enter__(self) -> "TableWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._flush()
        finally:
            self._writer.close()

    def add(self, row: Mapping[str, Any], values: int = 0) -> None:
        """Append a row of about so many values in its lists."""
        self._rows.append(row)
        self._values += values + ROW
        if self._values >= VALUES_PER_ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            arrays = [_column([row[field.name] for row in self._rows], field.type) for field in self.schema]
            self._writer.write_batch(pa.record_batch(arrays, schema=self.schema))
        self._rows, self._values = [], 0


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    if not pa.types.is_list(kind):
        return pa.array(values, kind)
    lengths = [0 if value is None else len(value) for value in values]
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    mask = pa.array([value is None for value in values]) if any(value is None for value in values) else None
    held = [value for value in values if value is not None and len(value)]
    if pa.types.is_list(kind.value_type):
        flat = _vectors(held, kind.value_type)
    else:
        joined = np.ma.concatenate(held) if held else np.ma.zeros(0)
        hidden = np.ma.getmaskarray(joined)
        flat = pa.array(np.ma.getdata(joined), kind.value_type, mask=hidden if hidden.any() else None)
    return pa.ListArray.from_arrays(offsets, flat, type=kind, mask=mask)


def _vectors(held: list[Any], kind: pa.DataType) -> pa.Array:
    """Return rows of equal length as lists."""
    table = np.concatenate(held) if held else np.zeros((0, 0), np.float32)
    offsets = np.arange(len(table) + 1, dtype=np.int32) * table.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(table.ravel(), kind.value_type), type=kind)


def prediction_row(found: Prediction, labels: Sequence[str]) -> dict[str, Any]:
    """Return the row of an event in a table of predictions."""
    row: dict[str, Any] = _head(found)
    for name in labels:
        row[name] = np.ma.masked_array(found.labels[name], ~found.answered)
        score = found.scores.get(name)
        row[f"{name}_score"] = None if score is None else np.ma.masked_array(score, ~found.answered)
    return row


def object_rows(found: Prediction, detector: Detector) -> Iterable[dict[str, Any]]:
    """Yield the rows of an event in the table of found objects."""
    for label, table in found.objects.items():
        columns = {str(name): table[name].tolist() for name in table}
        for values in zip(*columns.values(), strict=True):
            one = dict(zip(columns, values, strict=True))
            known = {name: None if value != value else value for name, value in one.items()}  # NaN: not known
            yield {"event_id": found.event_id, "row": found.row, "label": label, **known}


def feature_row(found: Embedding) -> dict[str, Any]:
    """Return the row of an event in a table of features."""
    if found.reason:
        return {**_head(found), **dict.fromkeys(("x", "y", "z", "point", "features"))}
    place = dict(zip("xyz", np.asarray(found.xyz).T, strict=True))
    return {**_head(found), **place, "point": found.point, "features": found.features}


def _head(found: Prediction | Embedding) -> dict[str, Any]:
    about = {"event_id": found.event_id, "row": found.row, "n_points": found.n_points}
    return {**about, "reason": found.reason or None}


def rejected_row(found: Prediction | Embedding, file: str) -> dict[str, Any]:
    """Return the row of an event in the table of rejected events."""
    return {"event_id": found.event_id, "file": file, "row": found.row, "reason": found.reason}
