"""A small linear probe at each validation of a pretraining: token quality against training step."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tpcfm.evaluate.probe import event_counts, f1, fit_and_predict
from tpcfm.models.polar_mae.token_encoder import TokenEncoder
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.polar_mae.probe import encode
from tpcfm.systems.polar_mae.settings import ProbeConfig
from tpcfm.systems.polar_mae.support import carries, first_classes, some_labelled
from tpcfm.tasks.labelled import with_labels
from tpcfm.tasks.support import spread

MAX_TOKENS = 4000
NAME = "probe_f1"
LOG = logging.getLogger(__name__)


class ProbeCurve:
    """F1 per class of a linear probe on the encoder's tokens; fitted on training events, scored on validation events.

    Few events, so that it can run often: a curve to look at, not a result. The test split is not touched.

    Args:
        store: groups cache.
        label: column with classes.
        events: labelled events on either side, at most.

    Raises:
        DataError: no training or no validation event carries the label.
    """

    def __init__(self, store: PreparedStore, label: str, events: int) -> None:
        self.store, self.label = store, label
        self.classes = store.detector.classes()[label].names
        self.train = np.sort(some_labelled(store, label, events, 0))
        self.held_out = spread(with_labels(store, "validation", [label]), events)
        self.settings = ProbeConfig()

    def __call__(self, encoder: TokenEncoder) -> dict[str, float]:
        """Return ``probe_f1`` (mean over classes) and ``probe_f1_<class>``; NaN for a class that does not occur."""
        train = encode(encoder, self.store, self.train, self.label).sample(MAX_TOKENS, 0)
        test = encode(encoder, self.store, self.held_out, self.label).sample(MAX_TOKENS, 0)
        chosen = fit_and_predict(train, test, components=self.settings.components, c=self.settings.c, seed=0)
        scores = f1(event_counts(test, chosen, len(self.held_out)).sum(0))
        known = scores[np.isfinite(scores)]
        mean = float(known.mean()) if len(known) else float("nan")
        return {NAME: mean} | {f"{NAME}_{name}": float(score) for name, score in zip(self.classes, scores)}


def make_probe_curve(store: PreparedStore, events: int) -> ProbeCurve | None:
    """Return the probe of a pretraining; None if none is asked for, or without a label to judge by (which the log says)."""
    label = first_classes(store.detector)
    if not events:
        return None
    if label is None or not carries(store, label, "train", "validation"):
        LOG.info("%s: no labels with classes, so no probe at the validations of this pretraining", store.folder)
        return None
    return ProbeCurve(store, label, events)


def curve_rows(history: Iterable[Mapping[str, Any]], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return rows of the probe at the end."""
    curve = sorted((row for row in history if NAME in row), key=lambda row: row["step"])
    values = [("", curve[-1][NAME]), *((c, curve[-1].get(f"{NAME}_{c}")) for c in classes)] if curve else []
    return [{"metric": NAME, "class": name, "value": np.nan if v is None else v} for name, v in values]
