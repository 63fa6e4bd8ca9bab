"""Section "Events": displays of ingested events and of predictions."""

from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pyarrow.parquet as pq

from tpcfm.config.plan import Plan
from tpcfm.report.displays import event_figure, prediction_figure
from tpcfm.report.style import Item
from tpcfm.workspace import Workspace

COLUMNS = {
    "pilarnet": ("semantic", "energy", "fragment", "group", "interaction", "pid"),
    "tpcpp": ("track", "energy", "pid", "noise"),
}


def embed(figure: go.Figure, name: str, title: str, caption: str = "") -> Item:
    """Return a display as a page item; the page loads plotly once."""
    html = figure.to_html(
        full_html=False, include_plotlyjs=False, div_id=f"display-{name}", config={"displaylogo": False}
    )
    return Item(name, title, f'<div class="display">{html}</div>', caption, wide=True)


def read_event(table: Path, row: int) -> dict[str, np.ndarray]:
    """Read one event of an event table: list columns as arrays, ``event_id`` under its name; null columns are left out."""
    file = pq.ParquetFile(table)
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if row < rows:
            record = file.read_row_group(group).slice(row, 1).to_pylist()[0]
            return {k: np.asarray(v) for k, v in record.items() if v is not None}
        row -= rows
    raise IndexError(row)


def typical_event(table: Path) -> int:
    """Return the row of the event with the median number of points."""
    points = pq.read_table(table, columns=["n_points"])["n_points"].to_numpy()
    return int(np.argsort(points, kind="stable")[len(points) // 2])


def event_items(plan: Plan, workspace: Workspace) -> list[Item]:
    """Return one typical event of every dataset with all its labels."""
    items = []
    for name, dataset in sorted(plan.datasets.items(), key=lambda item: item[1].layout):
        table = workspace.events(name) / f"{next(iter(dataset.parts))}.parquet"
        if not table.exists() or not pq.ParquetFile(table).metadata.num_rows:
            continue
        event = read_event(table, typical_event(table))
        columns = [c for c in COLUMNS[dataset.layout] if c in event]
        title = f"{dataset.name}: event {event['event_id']}"
        caption = f"{len(event['x'])} points. Drag to rotate, scroll to zoom, click a legend entry to hide it; buttons choose the colour."
        items.append(embed(event_figure(event, columns, dataset.layout), f"event-{name}", title, caption))
    return items


def prediction_items(plan: Plan, workspace: Workspace, each: int = 1) -> list[Item]:
    """Return truth, prediction and difference for the best-provided run of every labelled task."""
    items = []
    for task in ("segmentation", "tracks", "pid", "noise"):
        runs = [
            r
            for r in plan.of_stage("finetune")
            if plan.runs[r].task == task
            and plan.runs[r].pretrained
            and (workspace.run(r) / "predictions.parquet").exists()
        ]
        if not runs:
            continue
        run = max(
            runs,
            key=lambda r: (plan.runs[r].n_labels or 0, plan.runs[r].config.get("mode") == "full", -plan.runs[r].seed),
        )
        frame = pd.read_parquet(workspace.run(run) / "predictions.parquet")
        order = np.argsort(frame["x"].map(len).to_numpy(), kind="stable")
        for row in order[len(order) // 2 :][:each]:
            record = frame.iloc[int(row)]
            event = {k: np.asarray(record[k]) for k in ("x", "y", "z", "truth", "prediction")}
            title = f"{task}: truth, prediction and difference"
            caption = f"Run {run}, event {record['event_id']}, a held-out event of median size."
            items.append(embed(prediction_figure(event, task), f"prediction-{task}-{row}", title, caption))
    return items
