"""Section "Events": displays of ingested events and of predictions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from tpcfm.detectors.model import ClassLabel, Detector
from tpcfm.events.read import read_event
from tpcfm.events.schema import detector_of
from tpcfm.plan.run import Run
from tpcfm.plan.table import Plan
from tpcfm.report.draw.colouring import colour_columns, event_picture
from tpcfm.report.draw.embed import show_picture
from tpcfm.report.draw.predictions import pair_picture, prediction_picture
from tpcfm.report.draw.style import Item, Sheet
from tpcfm.report.names import task_title
from tpcfm.report.view import View
from tpcfm.tasks.predictions import described

CLASSES_NOTE = "Above: points predicted of each class, recall and precision."
OBJECTS_NOTE = (
    "A predicted object has the colour of the true one it shares most points with. Efficiency, purity: double majority."
)


def typical_event(table: Path) -> int:
    """Return the row of the event with the median number of points."""
    points = pq.read_table(table, columns=["n_points"])["n_points"].to_numpy()
    return int(np.argsort(points, kind="stable")[len(points) // 2])


def event_items(view: View) -> list[Item]:
    """Return one typical event of every dataset in all its colourings."""
    items = []
    for name, dataset in view.plan.datasets.items():
        table = view.workspace.event_table(name, next(iter(dataset.parts)))
        if not table.exists() or not pq.read_metadata(table).num_rows:
            continue
        detector = detector_of(pq.read_schema(table), table)
        event = read_event(table, typical_event(table))
        title = f"{dataset.name}: event {event['event_id']}"
        caption = f"{len(event['x'])} points. Drag to rotate, scroll to zoom, click a legend entry to hide it; buttons choose the colour."
        picture = event_picture(event, colour_columns(detector, event), detector)
        items.append(show_picture(view.sheet, picture, f"event-{name}", title, caption, height=560))
    return items


def shown_runs(plan: Plan, system: str, finished: Callable[[str], bool]) -> dict[str, dict[str, str]]:
    """Return by task the runs of a system whose predictions are drawn beside each other, by name: a control, and the best provided.

    The best provided run starts from pretrained weights and has most labels; of equals the one that trains the whole network, has
    the widest backbone, comes first in its study and has the smallest seed. The control has no pretrained weights, and the same
    events, labels and seed; of several widths the widest.
    """
    found = {}
    for study in plan.studies.values():
        if study.system != system or study.experiment != "finetune":
            continue
        names = {point.run: point.value for point in study.points}
        runs = [plan.runs[name] for name in study.runs if finished(name)]
        place = {value: -number for number, value in enumerate(dict.fromkeys(names.values()))}

        def rank(run: Run, names: dict[str, str] = names, place: dict[str, int] = place) -> tuple[float, ...]:
            width = (run.config.get("model") or {}).get("width", 0)
            full = run.config.get("mode") == "full"
            return (run.labels, full, width, place[names[run.id]], -run.seed)

        pretrained = [run for run in runs if run.pretrained in plan.runs]
        if not pretrained:
            continue
        best = max(pretrained, key=rank)
        given = (best.cache, best.n_labels, best.seed, best.config.get("mode"))
        controls = [
            r for r in runs if not r.pretrained and (r.cache, r.n_labels, r.seed, r.config.get("mode")) == given
        ]
        controls.sort(key=lambda run: (run.config.get("start") == "random", -rank(run)[2], -rank(run)[3]))
        found[best.task] = {names[run.id]: run.id for run in (*controls[:1], best)}
    return found


def prediction_items(view: View) -> list[Item]:
    """Return truth and predictions of a held-out event side by side for every labelled task, and the pairs that were searched for."""

    def table(run: str) -> Path:
        return view.workspace.run(run) / "predictions.parquet"

    items = []
    for task, runs in shown_runs(view.plan, view.system, lambda run: table(run).exists()).items():
        first = table(next(iter(runs.values())))
        detector, label = described(pq.read_schema(first), first)
        frames = {n: pd.read_parquet(table(run)).set_index("event_id") for n, run in runs.items()}
        shown, size = telling_event(frames, detector, label)
        events = {n: {str(k): v for k, v in frame.loc[shown].items()} for n, frame in frames.items()}
        labels = view.plan.runs[next(iter(runs.values()))].n_labels
        note = CLASSES_NOTE if label in detector.classes() else OBJECTS_NOTE
        caption = f"Held-out event {shown} {size}, {labels} labelled events: {', '.join(runs.values())}. {note}"
        picture = prediction_picture(events, detector, label)
        title = f"{task_title(task, detector.labels[label])}: side by side"
        items.append(show_picture(view.sheet, picture, f"prediction-{task}", title, caption))
    return [*items, *pair_items(view.workspace.pictures(view.system) / "pairs.parquet", view.detector, view.sheet)]


def telling_event(frames: dict[str, pd.DataFrame], detector: Detector, label: str) -> tuple[str, str]:
    """Return an event that all systems have predicted, and what it was chosen for: a class that is hardly there shows nothing."""
    first, *others = frames.values()
    shared = first[first.index.isin(set(first.index).intersection(*(frame.index for frame in others)))]
    kind = detector.labels[label]
    if isinstance(kind, ClassLabel):
        counts = [np.bincount(n[n >= 0]) for n in map(kind.encode, shared["truth"])]
        rank = [(int((c > 0).sum()), int(c[c > 0].min(initial=1 << 40))) for c in counts]
        return str(shared.index[rank.index(max(rank))]), "with most classes, and of those most points of the rarest"
    order = np.argsort(shared["x"].map(len).to_numpy(), kind="stable")
    return str(shared.index[order[len(order) // 2]]), "of median size"


def pair_items(path: Path, detector: Detector, sheet: Sheet) -> list[Item]:
    """Return pairs of tracks that one system merges and another separates, if they were searched for."""
    if not path.exists():
        return []
    frame = pd.read_parquet(path)
    title = "Close-by tracks that one system merges and another separates"
    if frame.empty:
        text = (
            "<p>There is no such pair in the held-out events searched: two close-by true tracks that one system puts into one predicted "
            "track, while the other finds both.</p>"
        )
        return [sheet.item("pairs", title, text)]
    items = []
    unit = detector.coordinates.unit
    for number, pair in enumerate(frame.to_dict("records")):
        event: dict[str, Any] = {name: pair[name] for name in ("x", "y", "z", "truth")}
        events = {
            f"{pair[kind]} ({word})": {**event, "prediction": pair[f"{kind}_prediction"]}
            for kind, word in (("merging", "merges"), ("separating", "separates"))
        }
        caption = (
            f"Found by rule among {pair['searched']} held-out events: {pair['event_id']}, true tracks {pair['track_a']} and "
            f"{pair['track_b']}, {pair['distance']:.1f} {unit} apart on average, {pair['closest']:.1f} {unit} at the closest. "
            "Merged: one predicted track holds most points of both; separated: both are found by double majority."
        )
        picture = pair_picture(events, {str(k): v for k, v in pair.items()}, detector)
        items.append(show_picture(sheet, picture, f"pair-{number}", title, caption))
    return items
