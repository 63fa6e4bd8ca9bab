"""Scores of a label with instances, one way for every system: tracks, particles, interactions."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from torch import nn

from tpcfm.evaluate.event_scores import CALIBRATED, tracking_sums, write_event_scores
from tpcfm.evaluate.event_scores import NAME as EVENT_SCORES
from tpcfm.evaluate.found_objects import ObjectTally
from tpcfm.evaluate.found_tracks import NAME as TRACKS
from tpcfm.evaluate.found_tracks import FoundTracks
from tpcfm.evaluate.momentum_bins import MomentumTally
from tpcfm.evaluate.selected_tracks import SelectedTally, event_particles
from tpcfm.evaluate.tracking import TrackingTally
from tpcfm.files import atomic
from tpcfm.nn.queries import TrackSet
from tpcfm.nn.set_decision import assign_points, query_chances
from tpcfm.prepare.packing import Batch
from tpcfm.prepare.store import PreparedStore
from tpcfm.tasks.decision_choice import TUNING_EVENTS, SetEvent, as_decision, choose_decision
from tpcfm.tasks.labelled import SHOWN_EVENTS, LabelledTask, shown_events
from tpcfm.tasks.support import Rows, spread

LOG = logging.getLogger(__name__)
Value = TypeVar("Value")
Table = list[dict[str, Any]]


class InstanceScores:
    """Collects a test set: Rand index and double majority (also under a calibrated decision), panoptic quality, signal of objects.

    Where a field bends tracks (a cylinder with a field), the efficiency of the tracks that experiments quote, too: by helix fits
    to the true tracks, and by true momenta where the events hold them.

    Args:
        store: the events.
        label: what is predicted; background (-1) belongs to no true object.
    """

    def __init__(self, store: PreparedStore, label: str) -> None:
        self.store, self.label = store, label
        self.event_ids: list[str] = []
        self.calibrated = TrackingTally()
        self.tally = TrackingTally()
        bend = store.detector.pt_per_radius
        bent = store.detector.cylindrical and bend is not None
        self.objects = ObjectTally()
        self.tracks = FoundTracks(bend) if bent else None
        self.kinematic = (SelectedTally(bend), MomentumTally(bend), self.tracks) if self.tracks else ()

    def update(
        self,
        rows: Rows,
        batch: Batch,
        prediction: npt.NDArray[np.integer],
        calibrated: npt.NDArray[np.integer] | None = None,
    ) -> None:
        """Add a batch.

        Args:
            rows: of its events in the store.
            batch: with truth.
            prediction: (N,) the predicted object of each point, negative for none.
            calibrated: (N,) the same under a rule chosen on validation events, if there is one.
        """
        truth = batch[self.label]
        self.tally.update(truth, prediction, batch["offsets"])
        if calibrated is not None:
            self.calibrated.update(truth, calibrated, batch["offsets"])
        for row, (start, stop) in zip(rows.tolist(), pairwise(batch["offsets"].tolist()), strict=True):
            if stop > start:
                event = self.store[row]
                self.event_ids.append(event["event_id"])
                signal = self.store.detector.main_signal
                sums = None if signal is None else np.asarray(event[signal.name], np.float64)
                self.objects.update(truth[start:stop], prediction[start:stop], sums)
                particles = event_particles(self.store.detector, self.label, event) if self.kinematic else None
                for tally in self.kinematic:
                    tally.update(truth[start:stop], prediction[start:stop], batch["xyz"][start:stop], particles)

    def values(self) -> dict[str, float]:
        """Return the metrics by name, with the numbers of events and true objects."""
        sizes = {"test_events": float(len(self.tally)), "true_tracks": float(self.tally.counts.true)}
        own = {
            **self.tally.values(),
            **self.objects.values(),
            **_joined(tally.values() for tally in self.kinematic),
            **sizes,
        }
        return own | _calibrated(self.calibrated.values() if len(self.calibrated) else {})

    def write(self, folder: Path) -> None:
        """Write the scores of every event (``event_scores.parquet``), and true and found tracks if a field bends them (``tracks.parquet``)."""
        sums = tracking_sums(self.tally.table)
        if len(self.calibrated):
            sums |= tracking_sums(self.calibrated.table, suffix=CALIBRATED)
        write_event_scores(folder / EVENT_SCORES, self.event_ids, [(self.label, 0, sums)])
        if self.tracks is not None:
            with atomic(folder / TRACKS) as temporary:
                self.tracks.frame.to_parquet(temporary, index=False)

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Return 95 % intervals where there are any: bootstrap over events, Wilson for the selected tracks."""
        own = {
            **self.tally.intervals(),
            **self.objects.intervals(),
            **_joined(tally.intervals() for tally in self.kinematic),
        }
        return own | _calibrated(self.calibrated.intervals() if len(self.calibrated) else {})


def _joined(parts: Iterator[Mapping[str, Value]]) -> dict[str, Value]:
    return {name: value for part in parts for name, value in part.items()}


def _calibrated(values: Mapping[str, Value]) -> dict[str, Value]:
    return {name + CALIBRATED: value for name, value in values.items()}


def beyond_queries(store: PreparedStore, label: str, rows: Rows, queries: int) -> dict[str, float]:
    """Return in how many events a label has more objects than a set decoder has queries, and how many objects that leaves over."""
    encode = store.detector.labels[label].encode
    found = (np.unique(encode(store.value(int(row), label))) for row in rows)
    over = np.array([max(0, int((ids >= 0).sum()) - queries) for ids in found], np.int64)
    return {"events_beyond_queries": float((over > 0).sum()), "objects_beyond_queries": float(over.sum())}


def score_sets(task: LabelledTask, model: nn.Module, sets: Callable[[Batch], list[TrackSet]]) -> tuple[Table, Table]:
    """Score a trained set decoder on the test events; write the scores of every event.

    Scores under the published decision, and (``_calibrated``) under one chosen on validation events.

    Args:
        task: the run, of one label.
        model: trained.
        sets: what the model says about a batch; the last one is the answer.

    Returns:
        Rows of the metrics table and of the predictions table.
    """
    (label,) = task.labels

    def held_out() -> Iterator[SetEvent]:
        events = spread(task.validation, TUNING_EVENTS)
        for _, batch, found in task.answers(model, lambda batch: query_chances(sets(batch)[-1]), events):
            for (start, stop), (chances, masks) in zip(pairwise(batch["offsets"].tolist()), found, strict=True):
                yield batch[label][start:stop], chances.float(), masks.float()

    def published(batch: Batch) -> tuple[TrackSet, npt.NDArray[np.int64]]:
        last = sets(batch)[-1]
        return last, assign_points(last).cpu().numpy()

    started = time.monotonic()
    chosen = choose_decision(held_out())
    tuning_seconds = time.monotonic() - started
    scores, queries = InstanceScores(task.store, label), 0
    shown: Table = []
    for rows, batch, (last, found) in task.answers(model, published):
        queries = last.classes.shape[1]
        # The clock of `answers` counts one decision, the published one.
        calibrated = assign_points(last, as_decision(chosen.choice)).cpu().numpy()
        scores.update(rows, batch, found, calibrated)
        shown += shown_events(task.store, rows, batch, batch[label], found, SHOWN_EVENTS - len(shown))
    scores.write(task.folder)
    metrics = task.metric_rows(label, scores.values(), scores.intervals())
    for split, events in (("train", task.training), ("test", task.test)):
        beyond = beyond_queries(task.store, label, events, queries)
        if beyond["events_beyond_queries"]:
            LOG.warning(
                "%s: %d events of the %s split hold more objects than there are queries (%d): %d objects cannot be found",
                label, beyond["events_beyond_queries"], split, queries, beyond["objects_beyond_queries"],
            )  # fmt: skip
        metrics += task.metric_rows(label, beyond, split=split)
    metrics += task.metric_rows(label, {"ari_calibrated": chosen.value}, split="validation")
    tuning = {f"decision_{name}": value for name, value in chosen.choice.items()}
    tuning |= {"tuned_at_edge": float(chosen.at_edge), "tuning_choices": chosen.tried, "tuning_seconds": tuning_seconds}
    return metrics + task.metric_rows(label, tuning, split=""), shown
