"""Scores of point classification, one way for adapters and comparison systems: as decided, and with a calibrated decision.

A class of a tenth of the points is seldom the most probable one, so that the plain decision may show nothing of what a network knows.
The calibrated rows (``f1_calibrated`` and so on) decide with class offsets that maximise macro F1 on validation events, as for
segmentation; test events play no part in them.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tpcfm.evaluate.classification import PER_CLASS, ConfusionTally
from tpcfm.evaluate.event_scores import CALIBRATED, Sums
from tpcfm.evaluate.segmentation import tune_decision_weights

TUNING_POINTS = 200_000
Rows = list[dict[str, Any]]
RowMaker = Callable[[dict[str, float], dict[str, tuple[float, float]], str], Rows]


class PointScores:
    """Collects the predictions of one task over a test set.

    Args:
        classes: names, in the order of the labels.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = list(classes)
        self.offset = np.zeros(len(self.classes))
        self.tallies = {"": ConfusionTally(classes), CALIBRATED: ConfusionTally(classes)}

    def tune(self, batches: Iterable[tuple[npt.NDArray[np.float32], npt.NDArray[Any]]], points: int) -> None:
        """Set the offsets from validation events.

        Args:
            batches: pairs of (N, C) log-probabilities and (N,) classes.
            points: of all batches together; at most ``TUNING_POINTS`` of them, evenly taken, are used.
        """
        stride = max(1, -(-points // TUNING_POINTS))
        pairs = [(log_p[::stride], truth[::stride]) for log_p, truth in batches]
        self.offset = tune_decision_weights(
            np.concatenate([p for p, _ in pairs]), np.concatenate([t for _, t in pairs])
        )

    def update(
        self, truth: npt.NDArray[Any], log_p: npt.NDArray[np.float32], offsets: npt.NDArray[Any]
    ) -> npt.NDArray[np.int64]:
        """Add the events of a packed batch; return the plain decision, (N,).

        Args:
            truth: (N,) classes.
            log_p: (N, C) log-probabilities.
            offsets: (B+1,) first point of each event.
        """
        plain = log_p.argmax(1)
        self.tallies[""].update(truth, plain, offsets)
        self.tallies[CALIBRATED].update(truth, (log_p + self.offset).argmax(1), offsets)
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
        return rows
