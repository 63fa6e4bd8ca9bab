"""One event of any file as a stand-alone display, alone or as trained models see it."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tpcfm.detectors.model import Detector
from tpcfm.errors import ConfigError, DataError
from tpcfm.events.job import ingest_file
from tpcfm.events.manifest import open_table
from tpcfm.events.read import read_event
from tpcfm.events.schema import KEY, REJECTED, detector_of
from tpcfm.report.draw.colouring import colour_columns, event_picture
from tpcfm.report.draw.networks import attention_picture, feature_picture, path_picture, reconstruction_picture
from tpcfm.report.draw.panels import Picture
from tpcfm.report.draw.predictions import prediction_picture
from tpcfm.report.draw.stills import save_picture
from tpcfm.report.show_checks import check_output, check_source
from tpcfm.tasks.predictions import described


def show_model(data: Mapping[str, Any], out: Path) -> None:
    """Write the picture of an event as trained models see it.

    Args:
        data: from `tpcfm.inference.picture_data.picture_data`.
        out: HTML or a still.
    """
    kind, detector, title = data["picture"], data["detector"], str(data["event_id"])
    if kind == "prediction":
        picture = prediction_picture(data["events"], detector, data["task"], title)
    elif kind == "attention":
        picture = attention_picture(data["tokens"], data["attention"], detector, title)
    elif kind == "reconstruction":
        picture = reconstruction_picture(data["event"], detector, title)
    elif kind == "features":
        picture = feature_picture(data["tables"], detector, title)
    else:
        picture = path_picture(data["paths"], detector, title)
    save_picture(picture, out)


def show_event(
    file: Path, row: int, colours: Sequence[str], out: Path, detector: Detector | None = None
) -> tuple[str, int]:
    """Write the display of one event; return its title and number of points.

    Args:
        file: event table or predictions table, which say their detector; with a ``detector`` a raw file.
        row: event of the file.
        colours: columns to colour by; none: all labels and signals.
        out: HTML or a still.
        detector: whose reader opens a raw file.

    Raises:
        DataError: no such file or event, or a table that does not say its detector.
        ConfigError: a colour that the event does not have.
    """
    check_output(out)
    check_source(file, model=False, raw=detector is not None)
    with tempfile.TemporaryDirectory() as folder:
        table = file if detector is None or _says_its_detector(file) else _ingest(file, detector, Path(folder))
        picture, points = _picture(table, row, colours, file)
    save_picture(picture, out)
    return picture.title, points


def _says_its_detector(file: Path) -> bool:
    return file.suffix == ".parquet" and KEY in (pq.read_schema(file).metadata or {})


def _ingest(file: Path, detector: Detector, folder: Path) -> Path:
    table = folder / "events.parquet"
    ingest_file(file, detector, file.stem, table, folder / "rejected.parquet", split_rule=lambda _: "test")
    return table


def _picture(table: Path, row: int, colours: Sequence[str], file: Path) -> tuple[Picture, int]:
    with open_table(table) as opened:
        rows, schema = opened.metadata.num_rows, opened.schema_arrow
    if schema.names == REJECTED.names:
        held = "the rejected events with their reasons, but no points" if rows else "nothing: no event was rejected"
        events = table.with_name(table.name.replace(".rejected", ""))
        raise DataError(f"{table}: this table holds {held}. The good events are in {events}")
    if not 0 <= row < rows:
        raise DataError(f"{file.name}: no event {row}: it has {rows} (0 to {rows - 1})")
    if "prediction" in schema.names:
        detector, task = described(schema, table)
        event = read_event(table, row)
        title = f"{event['event_id']} ({task})"
        return prediction_picture({"prediction": event}, detector, task, title), len(event["x"])
    detector = detector_of(schema, table)
    event = read_event(table, row)
    allowed = [c for c in (*detector.labels, *(s.name for s in detector.signal), *"xyz") if c in event]
    missing = [c for c in colours if c not in allowed]
    if missing:
        raise ConfigError(f"--color {missing[0]!r}: this event has {', '.join(allowed)}")
    shown = list(colours) or colour_columns(detector, event)
    return event_picture(event, shown, detector, str(event["event_id"])), len(event["x"])
