"""Particle identification and noise tagging on frozen FM4NPP features or raw points (arXiv 2508.14087, Sec. 4.3 and 5)."""

from functools import partial
from typing import Any

from torch import Tensor

from tpcfm.detectors.sphenix import NOISE, PID
from tpcfm.evaluate.event_scores import NAME as EVENT_SCORES
from tpcfm.evaluate.event_scores import write_event_scores
from tpcfm.losses.point_classes import PointClasses
from tpcfm.plan.run import Run
from tpcfm.systems.fm4npp.adapter_task import AdapterTask
from tpcfm.tasks.labelled import SHOWN_EVENTS, shown_events
from tpcfm.tasks.point_scores import PointScores
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

    scores = {name: PointScores(NAMES[name]) for name in names}
    for name, score in scores.items():
        held_out = ((found[name], batch[name]) for _, batch, found in task.predict(_log_p, task.validation))
        score.tune(held_out, int(task.store.lengths[task.validation].sum()))
    shown: list[dict[str, Any]] = []
    for rows, batch, found in task.predict(_log_p):
        decided = {name: score.update(batch[name], found[name], batch["offsets"]) for name, score in scores.items()}
        first = names[0]
        shown += shown_events(task.store, rows, batch, batch[first], decided[first], SHOWN_EVENTS - len(shown))
    parts = [(name, 0, score.sums()) for name, score in scores.items()]
    write_event_scores(workspace.run(run.id) / EVENT_SCORES, task.store.event_ids(task.test), parts)
    metrics = [row for name, score in scores.items() for row in score.rows(partial(_rows, task, name))]
    task.finish(result, f"FM4NPP {' and '.join(names)}", metrics, shown)


def _log_p(logits: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: values.float().log_softmax(1) for name, values in logits.items()}


def _rows(
    task: AdapterTask, name: str, values: dict[str, float], intervals: dict[str, tuple[float, float]], of_class: str
) -> list[dict[str, Any]]:
    return task.task_rows(name, values, intervals, name=of_class)
