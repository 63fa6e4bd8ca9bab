"""Track finding on frozen FM4NPP features or raw points (arXiv 2508.14087, Sec. 4.3 and 5)."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

from torch import Tensor

from tpcfm.losses.set_matching import SetMatching
from tpcfm.models.fm4npp.adapters import assign_points, track_chances
from tpcfm.nn.queries import TrackSet
from tpcfm.plan.run import Run
from tpcfm.prepare.groups.batches import Batch
from tpcfm.systems.fm4npp.adapter_task import AdapterTask
from tpcfm.systems.fm4npp.decision_choice import TUNING_EVENTS, TrackEvent, as_decision, choose_decision
from tpcfm.tasks.labelled import SHOWN_EVENTS, shown_events
from tpcfm.tasks.support import spread
from tpcfm.tasks.track_scores import TrackScores
from tpcfm.workspace import Workspace


def run(run: Run, workspace: Workspace, *, max_seconds: float | None = None, device: str | None = None) -> None:
    """Train the track adapter, resuming if there is a state, and write model directory, metrics and predictions.

    Scores under the published decision, and (``_calibrated``) under one chosen on validation events.

    Raises:
        DataError: the cache is missing or damaged, or holds too few labelled events.
        CheckpointError: the backbone does not fit the sequences.
        Interrupted: stopped by a signal or the time limit; the same call continues.
    """
    task = AdapterTask(run, workspace, device)
    result = task.train(SetMatching(task.inputs), max_seconds)

    started = time.monotonic()
    chosen = choose_decision(_held_out(task))
    tuning_seconds = time.monotonic() - started
    scores = TrackScores(task.store, task.test, workspace, run.dataset)
    shown: list[dict[str, Any]] = []
    for rows, batch, sets in task.answers(task.model, partial(_published, task)):
        found = sets.labels.cpu().numpy()
        # The clock of `answers` counts one decision, the published one.
        calibrated = assign_points(sets.last, as_decision(chosen.choice)).cpu().numpy()
        scores.update(rows, batch, found, calibrated)
        shown += shown_events(task.store, rows, batch, batch["track"], found, SHOWN_EVENTS - len(shown))
    scores.write(workspace.run(run.id))
    metrics = task.task_rows("tracks", scores.values(), scores.intervals())
    metrics += task.task_rows("tracks", {"ari_calibrated": chosen.value}, split="validation")
    tuning = {f"decision_{name}": value for name, value in chosen.choice.items()}
    tuning |= {"tuned_at_edge": float(chosen.at_edge), "tuning_choices": chosen.tried, "tuning_seconds": tuning_seconds}
    metrics += task.task_rows("tracks", tuning, split="")
    task.finish(result, "FM4NPP track finding", metrics, shown)


@dataclass(frozen=True)
class _Answer:
    """The last set of queries and what the published decision makes of it."""

    last: TrackSet
    labels: Tensor


def _published(task: AdapterTask, batch: Batch) -> _Answer:
    last = task.output(batch)[-1]
    return _Answer(last, assign_points(last))


def _held_out(task: AdapterTask) -> Iterator[TrackEvent]:
    """Yield validation events with what the head says about their queries."""
    events = spread(task.validation, TUNING_EVENTS)
    for _, batch, found in task.answers(task.model, lambda batch: track_chances(task.output(batch)[-1]), events):
        for (start, stop), (chances, masks) in zip(pairwise(batch["offsets"].tolist()), found, strict=True):
            yield batch["track"][start:stop], chances.float(), masks.float()
