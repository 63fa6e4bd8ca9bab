"""Scores of a label with classes, one way for every system: as decided, and with a calibrated decision.

A class of a tenth of the points is seldom the most probable one, so that the plain decision may show nothing of what a network knows.
The calibrated rows (``f1_calibrated`` and so on) decide with class offsets that maximise macro F1 on validation events; test events
play no part in them. Points without a class (-1: an ignored value) are left out of everything.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from tpcfm.evaluate.classification import PER_CLASS, ConfusionTally
from tpcfm.evaluate.event_scores import CALIBRATED, Sums, write_event_scores
from tpcfm.evaluate.event_scores import NAME as EVENT_SCORES
from tpcfm.evaluate.found_objects import object_classes
from tpcfm.evaluate.segmentation import tune_decision_weights
from tpcfm.prepare.packing import Batch
from tpcfm.tasks.labelled import SHOWN_EVENTS, LabelledTask, shown_events

TUNING_POINTS = 200_000
BY_PARTICLE = ("accuracy", "f1")
Rows = list[dict[str, Any]]
RowMaker = Callable[[dict[str, float], dict[str, tuple[float, float]], str], Rows]


class ClassScores:
    """Collects the predictions of one label over a test set.

    Args:
        classes: names, in the order of the numbers in batches.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = list(classes)
        self.particles = ConfusionTally(classes)
        self.offset = np.zeros(len(self.classes))
        self.validation = float("nan")
        self.tallies = {"": ConfusionTally(classes), CALIBRATED: ConfusionTally(classes)}

    def tune(
        self,
        batches: Iterable[tuple[npt.NDArray[np.float32], npt.NDArray[Any]]],
        points: int,
        limit: int = TUNING_POINTS,
    ) -> None:
        """Set the offsets from validation events, and ``validation`` to the macro F1 there with them; they stay 0 where no point has a class.

        Args:
            batches: pairs of (N, C) log-probabilities and (N,) classes.
            points: of all batches together.
            limit: at most so many of them, evenly taken, are used.
        """
        stride = max(1, -(-points // limit))
        pairs = [(log_p[::stride], truth[::stride]) for log_p, truth in batches]
        log_p, truth = (np.concatenate(part) for part in zip(*pairs, strict=True))
        if (truth >= 0).any():
            log_p, truth = log_p[truth >= 0], truth[truth >= 0]
            self.offset = tune_decision_weights(log_p, truth)
            tally = ConfusionTally(self.classes)
            tally.update(truth, (log_p + self.offset).argmax(1))
            self.validation = tally.values()["f1"]

    def update(
        self,
        truth: npt.NDArray[Any],
        log_p: npt.NDArray[np.float32],
        offsets: npt.NDArray[Any],
        owner: npt.NDArray[Any] | None = None,
    ) -> npt.NDArray[np.int64]:
        """Add the events of a packed batch; return the plain decision, (N,), also where the truth is unknown.

        Args:
            truth: (N,) classes, negative for none.
            log_p: (N, C) log-probabilities.
            offsets: (B+1,) first point of each event.
            owner: (N,) true particle of each point, negative for none, where it is known.
        """
        plain = log_p.argmax(1)
        known = truth >= 0
        bounds = np.concatenate([[0], np.cumsum(known)])[offsets]
        self.tallies[""].update(truth[known], plain[known], bounds)
        self.tallies[CALIBRATED].update(truth[known], (log_p[known] + self.offset).argmax(1), bounds)
        if owner is not None:
            for start, stop in pairwise(offsets.tolist()):
                event = owner[start:stop], truth[start:stop], plain[start:stop]
                self.particles.update(*object_classes(*event, len(self.classes)))
        return plain

    def sums(self) -> Sums:
        """Return the scores of every event as sums (see `tpcfm.evaluate.event_scores`)."""
        return {
            key: value for suffix, tally in self.tallies.items() for key, value in tally.sums(suffix=suffix).items()
        }

    def rows(self, make: RowMaker) -> Rows:
        """Return overall scores with intervals (the majority floor among them), scores of every class, and the offsets.

        Args:
            make: turns values, intervals by metric and the name of a class ("" for all) into rows of the metrics table.
        """
        rows: Rows = []
        for suffix, tally in self.tallies.items():
            values, intervals = tally.values(), tally.intervals()
            kept = {name: value for name, value in values.items() if not (suffix and name == "majority")}
            rows += make(
                {name + suffix: value for name, value in kept.items()},
                {name + suffix: value for name, value in intervals.items()},
                "",
            )
            for scores in tally.per_class().to_dict("records"):
                found = {name + suffix: float(scores[name]) for name in PER_CLASS}
                if not suffix:
                    found["share"] = float(scores["share"])
                rows += make(found, {}, str(scores["class"]))
        for name, value in zip(self.classes, self.offset, strict=True):
            rows += make({"decision_offset": float(value)}, {}, name)
        return rows + self.particle_rows(make)

    def particle_rows(self, make: RowMaker) -> Rows:
        """Return what classes are worth by particle, by the majority of its points: accuracy and macro F1 with intervals, and the confusion
        (class ``truth>prediction``, particles); nothing where no particles are known."""
        if not len(self.particles) or not self.particles.matrix.sum():
            return []
        values, intervals = self.particles.values(), self.particles.intervals()
        rows = make(
            {f"particle_{name}": values[name] for name in BY_PARTICLE},
            {f"particle_{name}": intervals[name] for name in BY_PARTICLE},
            "",
        )
        for (truth, decided), count in np.ndenumerate(self.particles.matrix):
            rows += make({"particle_confusion": float(count)}, {}, f"{self.classes[truth]}>{self.classes[decided]}")
        return rows


def owner_of(task: LabelledTask, label: str, batch: Batch) -> npt.NDArray[Any] | None:
    """Return the true particle of each point (N,), by which a label is scored too; None where a batch or the detector has none."""
    return batch.get(task.store.detector.particles_of(label) or "")


def score_classes(
    task: LabelledTask, model: nn.Module, logits: Callable[[Batch], dict[str, Tensor]]
) -> tuple[Rows, Rows]:
    """Score a trained model on the test events; write the scores of every event.

    Args:
        task: the run.
        model: trained.
        logits: returns (N, classes) of every label of the task for a batch.

    Returns:
        Rows of the metrics table, and of the predictions table for the first label.
    """

    def log_p(batch: Batch) -> dict[str, npt.NDArray[np.float32]]:
        return {name: values.float().log_softmax(1).cpu().numpy() for name, values in logits(batch).items()}

    scores = {label: ClassScores(task.store.detector.classes()[label].names) for label in task.labels}
    for label, score in scores.items():
        held_out = ((found[label], batch[label]) for _, batch, found in task.answers(model, log_p, task.validation))
        score.tune(held_out, int(task.store.lengths[task.validation].sum()))
    shown: Rows = []
    first = task.labels[0]
    for rows, batch, found in task.answers(model, log_p):
        decided = {
            label: score.update(batch[label], found[label], batch["offsets"], owner_of(task, label, batch))
            for label, score in scores.items()
        }
        shown += shown_events(task.store, rows, batch, batch[first], decided[first], SHOWN_EVENTS - len(shown))
    parts = [(label, 0, score.sums()) for label, score in scores.items()]
    write_event_scores(task.folder / EVENT_SCORES, task.store.event_ids(task.test), parts)

    def make(label: str, values: dict[str, float], intervals: dict[str, tuple[float, float]], name: str) -> Rows:
        return task.metric_rows(label, values, intervals, name=name)

    metrics = [row for label, score in scores.items() for row in score.rows(partial(make, label))]
    for label, score in scores.items():
        if np.isfinite(score.validation):  # what the registry compares networks by
            metrics += task.metric_rows(label, {"f1_calibrated": score.validation}, split="validation")
    return metrics, shown
