"""Particle identification and noise tagging on frozen FM4NPP features or raw points (arXiv 2508.14087, Sec. 4.3 and 5)."""

from typing import Any

from torch import Tensor

from tpcfm.config.run import Run
from tpcfm.detectors.sphenix import NOISE, PID
from tpcfm.evaluate.classification import PER_CLASS, ConfusionTally
from tpcfm.evaluate.event_scores import NAME as EVENT_SCORES
from tpcfm.evaluate.event_scores import write_event_scores
from tpcfm.losses.point_classes import PointClasses
from tpcfm.recipes.adapter_task import SHOWN_EVENTS, AdapterTask, shown_events
from tpcfm.workspace import Workspace

NAMES = {"pid": list(PID.values()), "noise": list(NOISE.values())}


def run(run: Run, workspace: Workspace, *, max_seconds: float | None = None, device: str | None = None) -> None:
    """Train a point classifier (or two on one trunk), resuming if there is a state; write model, metrics, predictions.

    Raises:
        DataError: the cache is missing or damaged, or holds too few labelled events.
        CheckpointError: the backbone does not fit the sequences.
        Interrupted: stopped by a signal or the time limit; the same call continues.
    """
    task = AdapterTask(run, workspace, device)
    names = task.block.tasks
    weights = {names[0]: 1.0} if len(names) == 1 else {name: task.block.weights[name] for name in names}
    result = task.train(PointClasses(task.inputs, weights), max_seconds)

    tallies = {name: ConfusionTally(NAMES[name]) for name in names}
    shown: list[dict[str, Any]] = []
    for rows, batch, found in task.predict(_answer):
        for name, tally in tallies.items():
            tally.update(batch[name], found[name], batch["offsets"])
        first = names[0]
        shown += shown_events(task.store, rows, batch, batch[first], found[first], SHOWN_EVENTS - len(shown))
    parts = [(name, 0, tally.sums()) for name, tally in tallies.items()]
    write_event_scores(workspace.run(run.id) / EVENT_SCORES, task.store.event_ids(task.test), parts)
    metrics = [row for name, tally in tallies.items() for row in _rows(task, name, tally)]
    task.finish(result, f"FM4NPP {' and '.join(names)}", metrics, shown)


def _answer(logits: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: values.argmax(1) for name, values in logits.items()}


def _rows(task: AdapterTask, name: str, tally: ConfusionTally) -> list[dict[str, Any]]:
    """Return overall scores with intervals, the majority floor among them, and recall and precision of every class."""
    rows = task.metric_rows(name, tally.values(), tally.intervals())
    for scores in tally.per_class().to_dict("records"):
        values = {key: float(scores[key]) for key in (*PER_CLASS, "share")}
        rows += [{**row, "class": scores["class"]} for row in task.metric_rows(name, values, {})]
    return rows
