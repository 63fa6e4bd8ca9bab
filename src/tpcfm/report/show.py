"""One event of any file as a stand-alone display, alone or as trained models see it."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from tpcfm.errors import ConfigError, DataError
from tpcfm.events.manifest import open_table
from tpcfm.events.schema import REJECTED
from tpcfm.files import write_text
from tpcfm.report.draw.displays import CONFIG, event_figure, prediction_figure
from tpcfm.report.draw.panels import save_picture
from tpcfm.report.draw.pictures_fm4npp import comparison_picture, path_picture
from tpcfm.report.draw.pictures_polar_mae import (
    attention_picture,
    feature_picture,
    reconstruction_picture,
    segmentation_picture,
)
from tpcfm.report.draw.stills import save_still
from tpcfm.report.sections.events import COLUMNS, read_event
from tpcfm.report.show_checks import check_output, check_source


def show_model(data: Mapping[str, Any], out: Path) -> None:
    """Write the picture of an event as trained models see it.

    Args:
        data: from `tpcfm.inference.picture_data.picture_data`.
        out: HTML or a still.
    """
    kind, title = data["picture"], str(data["event_id"])
    if kind == "prediction" and data["task"] == "segmentation":
        picture = segmentation_picture(data["events"], title)
    elif kind == "prediction":
        picture = comparison_picture(data["events"], data["task"], title)
    elif kind == "attention":
        picture = attention_picture(data["tokens"], data["attention"], title)
    elif kind == "reconstruction":
        picture = reconstruction_picture(data["event"], title)
    elif kind == "features":
        picture = feature_picture(data["tables"], title, data["layout"])
    else:
        picture = path_picture(data["paths"], title)
    save_picture(picture, out)


def show_event(file: Path, row: int, colours: Sequence[str], out: Path) -> tuple[str, int]:
    """Write the display of one event; return its title and number of points.

    Raises:
        DataError: no such file or event, or a format that is not known.
        ConfigError: a colour that the event does not have.
    """
    check_output(out)
    check_source(file, model=False)
    if file.suffix == ".parquet":
        return _from_table(file, row, colours, out)
    with tempfile.TemporaryDirectory() as folder:
        return _from_table(_ingest(file, Path(folder)), row, colours, out)


def _ingest(file: Path, folder: Path) -> Path:
    from tpcfm.events.job import ingest_file

    layout = "pilarnet" if file.suffix == ".h5" else "tpcpp"
    table = folder / "events.parquet"
    ingest_file(file, layout, file.stem, table, folder / "rejected.parquet", split_rule=lambda _: "test")
    return table


def _from_table(table: Path, row: int, colours: Sequence[str], out: Path) -> tuple[str, int]:
    with open_table(table) as opened:
        rows, columns = opened.metadata.num_rows, opened.schema_arrow.names
    if columns == REJECTED.names:
        held = "the rejected events with their reasons, but no points" if rows else "nothing: no event was rejected"
        events = table.with_name(table.name.replace(".rejected", ""))
        raise DataError(f"{table}: this table holds {held}. The good events are in {events}")
    if not 0 <= row < rows:
        raise DataError(f"{table.name}: no event {row}: it has {rows} (0 to {rows - 1})")
    names = set(columns)
    if {"truth", "prediction"} <= names:
        return _show_prediction(pd.read_parquet(table).iloc[row], out)
    event = read_event(table, row)
    layout = "pilarnet" if "semantic" in names else "tpcpp"
    available = [c for c in COLUMNS[layout] if c in event]
    missing = [c for c in colours if c not in available]
    if missing:
        raise ConfigError(f"--color {missing[0]!r}: this event has {', '.join(available)}")
    title, shown = str(event["event_id"]), list(colours) or available
    if out.suffix == ".html":
        _write_html(event_figure(event, shown, layout, title, height=800), out)
    else:
        save_still(out, event, shown, layout, title)
    return title, len(event["x"])


def _show_prediction(record: "pd.Series[Any]", out: Path) -> tuple[str, int]:
    event = {k: np.asarray(record[k]) for k in ("x", "y", "z", "truth", "prediction")}
    task = _guess_task(event)
    title = f"{record['event_id']} ({task})"
    if out.suffix == ".html":
        _write_html(prediction_figure(event, task, title), out)
    else:
        one = {"prediction": event}
        save_picture(
            segmentation_picture(one, title) if task == "segmentation" else comparison_picture(one, task, title), out
        )
    return title, len(event["x"])


def _write_html(figure: go.Figure, out: Path) -> None:
    write_text(out, figure.to_html(include_plotlyjs=True, config=CONFIG))


def _guess_task(event: dict[str, np.ndarray]) -> str:
    """Tell liquid argon (integer voxels) from the collider; classes of the latter from their number."""
    if np.issubdtype(event["x"].dtype, np.integer) or (np.asarray(event["x"]) > 110).any():
        return "segmentation"
    largest = int(max(event["truth"].max(), event["prediction"].max()))
    return "noise" if largest <= 1 else "pid" if largest <= 4 else "tracks"
