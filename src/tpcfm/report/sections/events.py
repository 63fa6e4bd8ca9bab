"""Section "Events": displays of ingested events and of predictions."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from tpcfm.plan.pictures import compared_runs
from tpcfm.plan.table import Plan
from tpcfm.report.draw.displays import event_figure
from tpcfm.report.draw.embed import show_figure, show_picture
from tpcfm.report.draw.pictures_fm4npp import comparison_picture, pair_picture
from tpcfm.report.draw.pictures_polar_mae import segmentation_picture
from tpcfm.report.draw.stills import still_figure
from tpcfm.report.draw.style import Item, Sheet
from tpcfm.report.names import TASKS
from tpcfm.workspace import Workspace

COLLIDER_NOTES = {
    "tracks": "A predicted track has the colour of the true track it shares most points with. Efficiency, purity: double majority.",
    "pid": "Above: points predicted of each species, recall and precision.",
    "noise": "Above: points predicted of each kind, recall and precision.",
}
COLUMNS = {
    "pilarnet": ("semantic", "energy", "fragment", "group", "interaction", "pid"),
    "tpcpp": ("track", "energy", "pid", "noise"),
}


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


def event_items(plan: Plan, workspace: Workspace, sheet: Sheet) -> list[Item]:
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
        figure = event_figure(event, columns, dataset.layout)
        picture = still_figure([(c, event, c) for c in columns[:3]], dataset.layout)
        items.append(show_figure(sheet, figure, picture, f"event-{name}", title, caption))
    return items


def segmentation_pictures(plan: Plan, workspace: Workspace, sheet: Sheet) -> list[Item]:
    """Return truth, prediction and difference of liquid-argon events, for the best-provided pretrained run."""
    runs = [
        plan.runs[r]
        for r in plan.of_stage("finetune")
        if plan.runs[r].task == "segmentation" and plan.runs[r].pretrained and _predictions(workspace, r).exists()
    ]
    if not runs:
        return []
    # Of equals the first start of the study: PoLAr-MAE.
    names = {
        point.run: point.value for name in plan.studies for point in plan.studies[name].points if name == "segmentation"
    }
    starts = list(dict.fromkeys(names.values()))
    best = max(
        runs,
        key=lambda run: (
            run.n_labels or 0,
            run.config.get("mode") == "full",
            -starts.index(names[run.id]) if run.id in names else -len(starts),
            -run.seed,
        ),
    )
    frame = pd.read_parquet(_predictions(workspace, best.id))
    items = []
    for number, event in enumerate(_typical(frame, 2)):
        system = f"{names.get(best.id, best.id)}, {best.n_labels} labels"
        caption = f"Run {best.id}, held-out event {event['event_id']}."
        title = "Segmentation: truth, prediction and difference"
        picture = segmentation_picture({system: event})
        items.append(show_picture(sheet, picture, f"prediction-segmentation-{number}", title, caption))
    return items


def comparison_items(plan: Plan, workspace: Workspace, pictures: Path, sheet: Sheet) -> list[Item]:
    """Return truth, adapter only and FM4NPP side by side for every task, and tracks that one merges and the other separates.

    Args:
        plan, workspace: where the predictions are.
        pictures: folder of `tpcfm pictures --system fm4npp`.
        sheet: keeps the stills.
    """
    items = []
    for task, title in TASKS.items():
        runs = {name: run for name, run in compared_runs(plan, task).items() if _predictions(workspace, run).exists()}
        if not runs:
            continue
        frames = {
            name: pd.read_parquet(_predictions(workspace, run)).set_index("event_id") for name, run in runs.items()
        }
        common = set.intersection(*(set(frame.index) for frame in frames.values()))
        first = next(iter(frames.values()))
        shared = first[first.index.isin(common)].reset_index()
        size = "of median size"
        if task != "tracks":  # a class that is hardly there shows nothing
            shown = shared["truth"].map(lambda truth: np.unique(truth, return_counts=True)[1])
            rank = [(len(counts), counts.min()) for counts in shown]
            shared, size = (
                shared.iloc[[rank.index(max(rank))]],
                "with most classes, and of those most points of the rarest",
            )
        chosen = _typical(shared, 1)[0]["event_id"]
        labels = plan.runs[next(iter(runs.values()))].n_labels
        caption = (
            f"Held-out event {chosen} {size}, {labels} labelled events: {', '.join(runs.values())}. "
            + COLLIDER_NOTES[task]
        )
        picture = comparison_picture({name: frame.loc[chosen].to_dict() for name, frame in frames.items()}, task)
        items.append(show_picture(sheet, picture, f"prediction-{task}", f"{title}: side by side", caption))
    return [*items, *_pair_items(pictures / "pairs.parquet", sheet)]


def _pair_items(path: Path, sheet: Sheet) -> list[Item]:
    if not path.exists():
        return []
    frame = pd.read_parquet(path)
    title = "Close-by tracks that one system merges and another separates"
    if frame.empty:
        text = (
            "<p>There is no such pair in the held-out events searched: two true tracks, closer than 10 cm on average, that one "
            "system puts into one predicted track and the other finds both.</p>"
        )
        return [Item("pairs", title, text)]
    items = []
    for number, pair in enumerate(_records(frame)):
        event = {name: pair[name] for name in ("x", "y", "z", "truth")}
        events = {
            f"{pair[kind]} ({word})": {**event, "prediction": pair[f"{kind}_prediction"]}
            for kind, word in (("merging", "merges"), ("separating", "separates"))
        }
        caption = (
            f"Found by rule among {pair['searched']} held-out events: {pair['event_id']}, true tracks {pair['track_a']} and "
            f"{pair['track_b']}, {pair['distance']:.1f} cm apart on average, {pair['closest']:.1f} cm at the closest. "
            "Merged: one predicted track holds most points of both; separated: both are found by double majority."
        )
        items.append(show_picture(sheet, pair_picture(events, pair), f"pair-{number}", title, caption))
    return items


def _predictions(workspace: Workspace, run: str) -> Path:
    return workspace.run(run) / "predictions.parquet"


def _typical(frame: pd.DataFrame, count: int) -> list[dict[str, Any]]:
    """Return the events of median size and above."""
    order = np.argsort(frame["x"].map(len).to_numpy(), kind="stable")
    return _records(frame.iloc[order[len(order) // 2 :][:count]])


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]
