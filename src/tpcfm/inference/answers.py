"""What a model says about whole events: labels in the order of the points as they came, "no answer" where the cuts took a point out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tpcfm.detectors.model import ClassLabel, Detector
from tpcfm.inference.file_events import FileEvent
from tpcfm.prepare.packing import Batch
from tpcfm.tasks.answers import Answer
from tpcfm.tracking.helix_fit import fit_helices

NONE = -1
"""Stands for a point without an answer, and for a point of no object; `Prediction.answered` tells them apart."""


@dataclass(frozen=True)
class Prediction:
    """What a model says about one event of N points, in the order in which they were given.

    Attributes:
        event_id: of the event.
        n_points: N.
        labels: for each label (N,) int64: values of the label column (classes), or numbers of objects within the event from 0 on;
            -1 for a point of no object, and where there is no answer.
        scores: for each label (N,) float32 from 0 to 1: probability of that class, or of belonging to that object; NaN without an
            answer. A method that gives no probabilities has no entry.
        answered: (N,) bool, false where the model's cuts took the point out, or the whole event.
        objects: for each label with objects a table, one row per object that was found: ``object n_points score x y z`` (mean position,
            detector's unit), the sum of each signal, and in a field ``pt eta phi charge`` of a helix fit (`fit_columns`).
        reason: why the model takes no such event; "" if it does.
        row: number of the event in its file.
    """

    event_id: str
    n_points: int
    labels: dict[str, npt.NDArray[np.int64]]
    scores: dict[str, npt.NDArray[np.float32]]
    answered: npt.NDArray[np.bool_]
    objects: dict[str, pd.DataFrame] = field(default_factory=dict)
    reason: str = ""
    row: int = 0

    def __getitem__(self, label: str) -> npt.NDArray[np.int64]:
        """Return the labels (N,) by the name of their column."""
        return self.labels[label]

    def frame(self) -> pd.DataFrame:
        """Return a table with a row per point: each label, ``<label>_score``, ``answered``."""
        scores = {f"{name}_score": score for name, score in self.scores.items()}
        return pd.DataFrame({**self.labels, **scores, "answered": self.answered})


@dataclass(frozen=True)
class Embedding:
    """Features of one event.

    Attributes:
        event_id: of the event.
        features: (rows, D) float32. Rows are points (models that read sequences) or tokens, groups of neighbouring points.
        xyz: (rows, 3) float32, the points, or the centres of the tokens; detector's unit.
        point: (rows,) int64, which of the given points a row is; None where rows are tokens.
        reason: why the model takes no such event (then there are no rows); "" if it does.
        row: number of the event in its file.
        n_points: points of the event.
    """

    event_id: str
    features: npt.NDArray[np.float32]
    xyz: npt.NDArray[np.float32]
    point: npt.NDArray[np.int64] | None
    reason: str = ""
    row: int = 0
    n_points: int = 0


def predictions(
    events: Sequence[tuple[FileEvent, Mapping[str, Any]]],
    batch: Batch,
    answers: Mapping[str, Answer],
    detector: Detector,
) -> Iterator[Prediction]:
    """Yield what a model says about the events of a batch, in the order of their points.

    Args:
        events: of the batch, as they were read and as they were prepared.
        batch: its ``offsets``.
        answers: about all points of the batch.
        detector: of the model.
    """
    offsets = batch["offsets"].tolist()
    for number, (event, prepared) in enumerate(events):
        start, stop = offsets[number : number + 2]
        rows, count = np.asarray(prepared["row"]), event.n_points
        answered = np.zeros(count, bool)
        answered[rows] = True
        labels, scores, objects = {}, {}, {}
        for name, answer in answers.items():
            kind = detector.labels[name]
            own = answer.values[start:stop]
            labels[name] = np.full(count, NONE, np.int64)
            labels[name][rows] = kind.decode(own) if isinstance(kind, ClassLabel) else own
            if answer.score is not None:
                scores[name] = np.full(count, np.nan, np.float32)
                scores[name][rows] = answer.score[start:stop]
            if not isinstance(kind, ClassLabel):
                chances = None if answer.chances is None else answer.chances[number]
                objects[name] = object_table(labels[name], event.columns or {}, detector, chances)
        yield Prediction(event.event_id, count, labels, scores, answered, objects, row=event.row)


def no_prediction(event: FileEvent, reason: str, labels: Sequence[str]) -> Prediction:
    """Return "no answer" for all points of an event that the model, or the rules of its detector, reject."""
    nothing = {name: np.full(event.n_points, NONE, np.int64) for name in labels}
    answered = np.zeros(event.n_points, bool)
    return Prediction(event.event_id, event.n_points, nothing, {}, answered, reason=reason, row=event.row)


def object_table(
    ids: npt.NDArray[np.int64],
    columns: Mapping[str, Any],
    detector: Detector,
    chances: npt.NDArray[np.float32] | None = None,
) -> pd.DataFrame:
    """Return the objects of an event: ``object n_points score x y z`` and the sum of each signal, in the order of their numbers; and
    where a field bends tracks (`fit_columns`), what a helix fit to the points of each says, NaN below three points.

    Args:
        ids: (N,) object of each point, negative for none.
        columns: ``x y z`` and the signals of the points, (N,).
        detector: of the event.
        chances: (Q,) probability of each number to be an object; None leaves the score open.
    """
    taken = ids >= 0
    numbers, place, sizes = np.unique(ids[taken], return_inverse=True, return_counts=True)
    score = np.full(len(numbers), np.nan, np.float32) if chances is None else chances[numbers]
    table: dict[str, Any] = {"object": numbers, "n_points": sizes, "score": score}

    def total(name: str) -> npt.NDArray[Any]:
        return np.bincount(place, np.asarray(columns[name], np.float64)[taken], len(numbers))

    table |= {axis: (total(axis) / np.maximum(sizes, 1)).astype(np.float32) for axis in "xyz"}
    table |= {signal.name: total(signal.name).astype(np.float32) for signal in detector.signal}
    if wanted := fit_columns(detector):
        points = np.stack([np.asarray(columns[axis], np.float64)[taken] for axis in "xyz"], axis=1)
        fits = fit_helices(ids[taken], points, detector.pt_per_radius)
        table |= {name: getattr(fits, name).astype(kind) for name, kind in wanted.items()}
    return pd.DataFrame(table)


def fit_columns(detector: Detector) -> dict[str, str]:
    """Return the columns, with their types, that helix fits add to tables of objects: ``pt`` (GeV/c), ``eta``, ``phi`` (rad), ``charge`` (sign).

    None for a detector without a field or an axis of symmetry; a name that a signal has is left out.
    """
    if detector.pt_per_radius is None or not detector.cylindrical:
        return {}
    taken = {signal.name for signal in detector.signal}
    return {
        n: k
        for n, k in (("pt", "float32"), ("eta", "float32"), ("phi", "float32"), ("charge", "int8"))
        if n not in taken
    }
