"""Schemas of the event tables: one row per event, the columns of the detector, and the detector itself in the metadata.

Elements of the list columns are never null; a whole list is null where the raw file does not carry that column.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tpcfm.detectors.model import Detector
from tpcfm.errors import DataError

VERSION = "2"  # version of the event table format
KEY = b"tpcfm.detector"
"""Schema metadata: the whole detector as JSON, so that any table says what it is."""

REJECTED = pa.schema(
    [
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
    ]
)


def _field(name: str, kind: pa.DataType, unit: str, frame: str, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"unit": unit, "frame": frame})


def _list(name: str, element: str, unit: str, frame: str, nullable: bool = False) -> pa.Field:
    kind = pa.type_for_alias(element)
    return _field(name, pa.list_(pa.field("element", kind, nullable=False)), unit, frame, nullable)


HEAD = (
    _field("event_id", pa.string(), "1", "dataset/file/row"),
    _field("split", pa.string(), "1", "train, validation or test"),
    _field("n_points", pa.int32(), "1", "event"),
)


def columns(detector: Detector) -> list[pa.Field]:
    """Return the list columns of a detector: coordinates, signals, labels, tables of objects."""
    place = detector.coordinates
    found = [_list(axis, place.type, place.unit, place.frame) for axis in "xyz"]
    found += [_list(s.name, s.type, s.unit, s.description) for s in detector.signal]
    found += [_list(name, label.type, "1", label.description, True) for name, label in detector.labels.items()]
    found += [_list(n, c.type, c.unit, c.description, True) for n, c in detector.object_columns.items()]
    return found


def event_schema(detector: Detector, dataset: str = "", source: str = "", revision: str = "") -> pa.Schema:
    """Return the schema of one part: the detector's columns, and in the metadata the detector and where the part comes from.

    Args:
        detector: of the events.
        dataset: name of the data source.
        source: name (not path) of the raw file.
        revision: what the reader says of the layout it found, e.g. ``v2`` or ``labelled``.
    """
    about = {"version": VERSION, "dataset": dataset, "source": source, "revision": revision}
    about |= {"detector_name": detector.name, "detector_hash": detector.hash}
    metadata = {f"tpcfm.{key}".encode(): value.encode() for key, value in about.items()}
    metadata[KEY] = detector.model_dump_json(exclude_defaults=True).encode()
    return pa.schema([*HEAD, *columns(detector)]).with_metadata(metadata)


def detector_in(metadata: dict[bytes, bytes] | None, path: object) -> Detector:
    """Return the detector that the metadata of a schema holds.

    Raises:
        DataError: there is none, or one that this version does not understand.
    """
    text = (metadata or {}).get(KEY)
    if text is None:
        raise DataError(
            f"{path}: not an event table of this version: it does not say its detector; ingest the file again"
        )
    try:
        return Detector.model_validate_json(text)
    except ValueError as error:
        raise DataError(f"{path}: its detector cannot be read: {error}") from error


def detector_of(schema: pa.Schema, path: object) -> Detector:
    """Return the detector of an event table, from its metadata.

    Raises:
        DataError: the table was not written by ``tpcfm ingest``, or its columns are not those of its detector.
    """
    detector = detector_in(schema.metadata, path)
    for field in [*HEAD, *columns(detector)]:
        place = schema.get_field_index(field.name)
        if place < 0:
            raise DataError(f"{path}: event table of {detector.name} lacks the column {field.name!r}")
        if schema.field(place).type != field.type:
            raise DataError(f"{path}: column {field.name!r} is {schema.field(place).type}, expected {field.type}")
    return detector


def detector_at(path: Path) -> str | None:
    """Return the name of the detector of an event table; None of any other file, a damaged one included."""
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        return None
    held = (schema.metadata or {}).get(KEY)
    if held is None:
        return None
    return (schema.metadata or {}).get(b"tpcfm.detector_name", b"?").decode(errors="replace")
