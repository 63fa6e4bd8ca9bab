"""One event of any file as a stand-alone display."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from tpcfm.errors import ConfigError, DataError
from tpcfm.files import write_text
from tpcfm.report.displays import event_figure, prediction_figure
from tpcfm.report.events import COLUMNS, read_event

FORMATS = (
    "a PILArNet-M file (.h5), a TPCpp-10M file (spacepoints*.npz), an event table or a predictions table (.parquet)"
)


def show_event(file: Path, row: int, colours: Sequence[str], out: Path) -> tuple[str, int]:
    """Write the display of one event; return its title and number of points.

    Raises:
        DataError: no such file or event, or a format that is not known.
        ConfigError: a colour that the event does not have.
    """
    if not file.exists():
        raise DataError(f"{file}: no such file")
    if file.suffix == ".parquet":
        figure, title, points = _from_table(file, row, colours)
    elif file.suffix in (".h5", ".npz"):
        with tempfile.TemporaryDirectory() as folder:
            table = _ingest(file, Path(folder))
            figure, title, points = _from_table(table, row, colours)
    else:
        raise DataError(f"{file}: expected {FORMATS}")
    write_text(out, figure.to_html(include_plotlyjs=True, config={"displaylogo": False}))
    return title, points


def _ingest(file: Path, folder: Path) -> Path:
    from tpcfm.ingest.job import ingest_file

    layout = "pilarnet" if file.suffix == ".h5" else "tpcpp"
    table = folder / "events.parquet"
    ingest_file(file, layout, file.stem, table, folder / "rejected.parquet", split_rule=lambda _: "test")
    return table


def _from_table(table: Path, row: int, colours: Sequence[str]):  # type: ignore[no-untyped-def]
    rows = pq.ParquetFile(table).metadata.num_rows
    if not 0 <= row < rows:
        raise DataError(f"{table.name}: no event {row}: it has {rows} (0 to {rows - 1})")
    names = set(pq.read_schema(table).names)
    if {"truth", "prediction"} <= names:
        record = pd.read_parquet(table).iloc[row]
        event = {k: np.asarray(record[k]) for k in ("x", "y", "z", "truth", "prediction")}
        task = str(record["task"]) if "task" in names else _guess_task(event)
        title = f"{record['event_id']} ({task})"
        return prediction_figure(event, task, title), title, len(event["x"])
    event = read_event(table, row)
    layout = "pilarnet" if "semantic" in names else "tpcpp"
    available = [c for c in COLUMNS[layout] if c in event]
    missing = [c for c in colours if c not in available]
    if missing:
        raise ConfigError(f"--color {missing[0]!r}: this event has {', '.join(available)}")
    title = str(event["event_id"])
    return event_figure(event, list(colours) or available, layout, title, height=800), title, len(event["x"])


def _guess_task(event: dict[str, np.ndarray]) -> str:
    """Tell liquid argon (integer voxels) from the collider; classes of the latter from their number."""
    if np.issubdtype(event["x"].dtype, np.integer) or (np.asarray(event["x"]) > 110).any():
        return "segmentation"
    largest = int(max(event["truth"].max(), event["prediction"].max()))
    return "noise" if largest <= 1 else "pid" if largest <= 4 else "tracks"
