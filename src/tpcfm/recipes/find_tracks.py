"""Track finding on frozen FM4NPP features or raw points (arXiv 2508.14087, Sec. 4.3 and 5)."""

from typing import Any

from tpcfm.config.run import Run
from tpcfm.losses.set_matching import SetMatching
from tpcfm.models.adapters import TrackSet, assign_points
from tpcfm.recipes.adapter_task import AdapterTask
from tpcfm.recipes.collider_task import SHOWN_EVENTS, shown_events
from tpcfm.recipes.track_scores import TrackScores
from tpcfm.workspace import Workspace


def run(run: Run, workspace: Workspace, *, max_seconds: float | None = None, device: str | None = None) -> None:
    """Train the track adapter, resuming if there is a state, and write model directory, metrics and predictions.

    Raises:
        DataError: the cache is missing or damaged, or holds too few labelled events.
        CheckpointError: the backbone does not fit the sequences.
        Interrupted: stopped by a signal or the time limit; the same call continues.
    """
    task = AdapterTask(run, workspace, device)
    result = task.train(SetMatching(task.inputs), max_seconds)

    scores = TrackScores(task.store, task.test, workspace, run.dataset)
    shown: list[dict[str, Any]] = []
    for rows, batch, found in task.predict(_answer):
        scores.update(rows, batch, found["tracks"])
        shown += shown_events(task.store, rows, batch, batch["track"], found["tracks"], SHOWN_EVENTS - len(shown))
    scores.write(workspace.run(run.id))
    metrics = task.task_rows("tracks", scores.values(), scores.intervals())
    task.finish(result, "FM4NPP track finding", metrics, shown)


def _answer(sets: list[TrackSet]) -> dict[str, Any]:
    return {"tracks": assign_points(sets[-1])}
