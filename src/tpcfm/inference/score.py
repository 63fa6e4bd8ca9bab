"""Scores of a trained model on files with labels: rows of the metrics table, by the measures that its training is scored with."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tpcfm.detectors.model import ClassLabel, Detector
from tpcfm.errors import DataError
from tpcfm.evaluate.classification import PER_CLASS, ConfusionTally
from tpcfm.evaluate.found_objects import ObjectTally, object_classes
from tpcfm.evaluate.found_tracks import FoundTracks
from tpcfm.evaluate.selected_tracks import SelectedTally, event_particles
from tpcfm.evaluate.tracking import TrackingTally
from tpcfm.inference.answers import Prediction
from tpcfm.inference.engine import Engine, check_labels
from tpcfm.inference.file_events import FileEvent, open_events
from tpcfm.tasks.classes import BY_PARTICLE

Labels = npt.NDArray[np.int64]
Rows = list[dict[str, Any]]
Values = Mapping[str, float]
Intervals = Mapping[str, tuple[float, float]]


class _Tally(Protocol):
    """What collects the events of one label."""

    def add(self, event: Mapping[str, Any], truth: Labels, found: Prediction, label: str) -> None:
        """Add one event with its true numbers, -1 for none; points without an answer are left out of classes, and belong to no object."""

    def tables(self) -> Iterator[tuple[str, Values, Intervals]]:
        """Yield class ("" over all), values and 95 % intervals by metric."""


class _Classes:
    def __init__(self, detector: Detector, name: str) -> None:
        self.detector, self.label = detector, detector.classes()[name]
        self.tally, self.particles = ConfusionTally(self.label.names), ConfusionTally(self.label.names)

    def add(self, event: Mapping[str, Any], truth: Labels, found: Prediction, label: str) -> None:
        use = (truth >= 0) & found.answered
        decided = self.label.encode(found[label][use])
        self.tally.update(truth[use], decided)
        owner = self.detector.particles_of(label)
        if owner is not None and event.get(owner) is not None:
            ids = self.detector.labels[owner].encode(event[owner])
            self.particles.update(*object_classes(ids[use], truth[use], decided, len(self.label.values)))

    def tables(self) -> Iterator[tuple[str, Values, Intervals]]:
        yield "", self.tally.values(), self.tally.intervals()
        for row in self.tally.per_class().to_dict("records"):
            yield str(row["class"]), {name: float(row[name]) for name in (*PER_CLASS, "share")}, {}
        if len(self.particles) and self.particles.matrix.sum():
            values, intervals = self.particles.values(), self.particles.intervals()
            names = {name: f"particle_{name}" for name in BY_PARTICLE}
            yield "", {new: values[n] for n, new in names.items()}, {new: intervals[n] for n, new in names.items()}


class _Instances:
    def __init__(self, detector: Detector, name: str) -> None:
        self.detector, self.name, self.tally = detector, name, TrackingTally()
        bent = detector.cylindrical and detector.pt_per_radius is not None
        self.objects = ObjectTally()
        self.bent = (SelectedTally(detector.pt_per_radius), FoundTracks(detector.pt_per_radius)) if bent else ()

    def add(self, event: Mapping[str, Any], truth: Labels, found: Prediction, label: str) -> None:
        self.tally.update(truth, found[label])
        signal = self.detector.main_signal
        self.objects.update(truth, found[label], None if signal is None else np.asarray(event[signal.name], np.float64))
        xyz = np.stack([np.asarray(event[axis], np.float64) for axis in "xyz"], axis=1)
        for tally in self.bent:
            tally.update(truth, found[label], xyz, event_particles(self.detector, self.name, event))

    def tables(self) -> Iterator[tuple[str, Values, Intervals]]:
        own = {"true_tracks": float(self.tally.counts.true)}
        yield "", {**self.tally.values(), **own}, self.tally.intervals()
        for tally in (self.objects, *self.bent):
            yield "", tally.values(), tally.intervals()


def score_files(model: Engine, files: Iterable[Path], split: str = "test", **options: Any) -> Rows:
    """Label the events of files and compare with the labels that they carry.

    Args:
        model: with a head.
        files: raw files, all of whose events count, or event tables.
        split: of the events of event tables.
        options: ``batch_points`` and ``workers`` of `Engine.predict_events`.

    Returns:
        Rows ``task metric class value low high split`` of every label that the model predicts and an event carries; with the numbers of
        events and points that were scored, and the shares that the cuts of the model left without an answer.

    Raises:
        CheckpointError: a model without a head.
        DataError: a file that is damaged or not of the model's detector, or no event with a label that the model predicts.
    """
    check_labels(model)
    kinds = {name: model.detector.labels[name] for name in model.labels}
    tallies: dict[str, _Tally] = {
        name: _Classes(model.detector, name) if isinstance(kind, ClassLabel) else _Instances(model.detector, name)
        for name, kind in kinds.items()
    }
    counts = {name: np.zeros(4, np.int64) for name in kinds}  # events, rejected ones, points, points without an answer
    used = [Path(path) for path in files]
    for path in used:
        with open_events(path, model.detector) as source:
            for event, found in _answered(model, source.events, split, options):
                for name, tally in tallies.items():
                    truth = (event.columns or {}).get(name)
                    if event.columns is None or truth is None:
                        continue
                    counts[name] += (1, bool(found.reason), found.n_points, int((~found.answered).sum()))
                    if not found.reason:
                        tally.add(event.columns, kinds[name].encode(truth), found, name)
    rows = [
        row
        for name, tally in tallies.items()
        if counts[name][0] > counts[name][1]
        for row in _rows(name, tally, counts[name])
    ]
    if not rows:
        wanted = ", ".join(kinds)
        raise DataError(
            f"{', '.join(map(str, used[:3]))}: no event of the split {split!r} carries labels {wanted}, so there is nothing to score"
        )
    return [{**row, "split": "test"} for row in rows]


def _answered(
    model: Engine, events: Iterable[FileEvent], split: str, options: Mapping[str, Any]
) -> Iterator[tuple[FileEvent, Prediction]]:
    """Yield the events of a split with what the model says about them; those that the detector rejects have no truth to compare."""
    waiting: list[FileEvent] = []

    def chosen() -> Iterator[FileEvent]:
        for event in events:
            if event.columns is not None and event.columns.get("split", split) == split:
                waiting.append(event)
                yield event

    for found in model.predict_events(chosen(), **options):
        yield waiting.pop(0), found


def _rows(label: str, tally: _Tally, counts: npt.NDArray[np.int64]) -> Rows:
    events, rejected, points, silent = counts.tolist()
    about = {"test_events": events - rejected, "test_points": points}
    about |= {"events_rejected": rejected / events, "points_without_answer": silent / max(points, 1)}
    rows: Rows = [{"task": label, "metric": name, "class": "", "value": float(value)} for name, value in about.items()]
    for of_class, values, intervals in tally.tables():
        for metric, value in values.items():
            low, high = intervals.get(metric, (float("nan"), float("nan")))
            rows.append({"task": label, "metric": metric, "class": of_class, "value": value, "low": low, "high": high})
    return rows
