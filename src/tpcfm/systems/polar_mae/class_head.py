"""Training and scores of a network that puts points into the classes of a label: the token encoder and the sparse U-Net."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tpcfm.detectors.model import Detector
from tpcfm.errors import ConfigError
from tpcfm.evaluate.classification import confusion_matrix
from tpcfm.evaluate.event_scores import CALIBRATED, Sums, write_event_scores
from tpcfm.evaluate.event_scores import NAME as EVENT_SCORES
from tpcfm.evaluate.segmentation import batched_scores, confusion_rows, macro, score_rows
from tpcfm.losses.focal import focal_sum, inverse_frequency
from tpcfm.plan.run import Run
from tpcfm.prepare.packing import Batch
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.polar_mae.settings import SegmentationConfig, SparseUNetConfig
from tpcfm.systems.polar_mae.support import METHOD
from tpcfm.tasks.classes import ClassScores, owner_of
from tpcfm.tasks.labelled import SHOWN_EVENTS, LabelledTask, shown_events
from tpcfm.tasks.support import Collate, Rows, run_columns
from tpcfm.train import StepInfo, to_device
from tpcfm.workspace import Workspace

VALIDATION_EVENTS = 256
TUNING_POINTS = 400_000


class PointwiseObjective:
    """Focal loss (or cross-entropy, with ``gamma`` 0 and equal weights) averaged over the points that have a class.

    Args:
        class_weights: one per class.
        gamma: focal exponent.
        label: key of the batch with the classes, negative for none.
    """

    def __init__(self, class_weights: list[float], gamma: float, label: str) -> None:
        self.weights: Mapping[str, float] = {"focal": 1.0}
        self.class_weights, self.gamma, self.label = torch.tensor(class_weights), gamma, label

    def counts(self, batch: Batch, info: StepInfo) -> dict[str, float]:
        """Return the number of points with a class."""
        return {"focal": float((batch[self.label] >= 0).sum())}

    def sums(self, model: nn.Module, batch: dict[str, Tensor], info: StepInfo) -> dict[str, Tensor]:
        """Return the summed loss."""
        return {"focal": self.of(model(batch), batch[self.label])}

    def of(self, logits: Tensor, truth: Tensor) -> Tensor:
        """Return the summed loss of given logits."""
        return focal_sum(logits, truth, self.class_weights.to(logits.device), self.gamma)


def class_weights(store: PreparedStore, label: str, rows: Rows, kind: str) -> list[float]:
    """Return the class weights `published` (points per class of the detector), `subset` (counted on ``rows``) or `none`.

    Raises:
        ConfigError: `published`, but the detector file holds no counts of this label.
    """
    classes = store.detector.classes()[label]
    if kind == "none":
        return [1.0] * len(classes.values)
    if kind == "published":
        return inverse_frequency(published_points(store.detector, label))
    counts = np.zeros(len(classes.values), np.int64)
    for row in rows:
        number = classes.encode(store.value(int(row), label))
        counts += np.bincount(number[number >= 0], minlength=len(counts))
    return inverse_frequency(counts.tolist())


def published_points(detector: Detector, label: str) -> list[float]:
    """Return the published number of points of each class that a network predicts (``published.points.<label>``).

    Raises:
        ConfigError: the detector file does not hold one per class.
    """
    classes = detector.classes()[label]
    found = detector.published.get("points", {}).get(label, [])
    if len(found) != len(classes.classes):
        raise ConfigError(
            f"class_weights: published needs published.points.{label} in the detector {detector.name}, "
            f"{len(classes.classes)} numbers of points; found {len(found)}; allowed here: subset, none"
        )
    counts = dict(zip(classes.classes, found, strict=True))
    return [counts[value] for value in classes.values]


class HeadTask(LabelledTask):
    """One training on a label of a groups cache, whose batches are made by ``collate``.

    Raises:
        ConfigError: the detector's label has another number of classes than the settings.
        DataError: too few labelled events, or none in validation or test.
    """

    def __init__(
        self,
        run: Run,
        workspace: Workspace,
        device: str | None,
        block: SegmentationConfig | SparseUNetConfig,
        collate: Collate,
    ) -> None:
        super().__init__(run, workspace, device, block, [block.label], VALIDATION_EVENTS)
        self.block, self.label, self.collate = block, block.label, collate
        known = self.store.detector.classes().get(block.label)
        self.classes: list[str] = [] if known is None else known.names
        if len(self.classes) != block.classes:
            raise ConfigError(
                f"classes: {block.classes}, but {block.label!r} of {self.store.detector.name} has {len(self.classes)}"
                + ("" if known else " (instances)")
            )

    def make_batch(self, store: PreparedStore, rows: Rows, info: StepInfo) -> Batch:
        """Join events into a batch that the network reads."""
        return self.collate(store, rows, info)

    def log_p(self, model: nn.Module, batch: Batch) -> npt.NDArray[np.float32]:
        """Return log-probabilities (N, C) of a batch."""
        return torch.log_softmax(model(to_device(batch, self.device)).float(), dim=1).cpu().numpy()

    def train_classes(
        self,
        model: nn.Module,
        objective: PointwiseObjective,
        *,
        title: str,
        config: Mapping[str, Any],
        max_seconds: float | None,
    ) -> None:
        """Train, keep the weights of the best validation macro F1, score them on the test split, write everything.

        Args:
            model: maps a batch to logits (N, C).
            objective: the loss.
            title: of the model card.
            config: what it takes to build the model again; label, classes and tokenizer are added.
            max_seconds: as the recipe got it.

        Raises:
            Interrupted: stopped by a signal or the time limit; the same call continues.
        """

        def validate(network: nn.Module, step: int) -> dict[str, float]:
            """Return loss and macro F1 on the validation events."""
            loss, points = 0.0, 0
            matrix = np.zeros((len(self.classes),) * 2, np.int64)
            for _, batch, log_p in self.answers(network, lambda batch: self.log_p(network, batch), self.validation):
                truth = batch[self.label]
                known = truth >= 0
                matrix += confusion_matrix(truth[known], log_p.argmax(1)[known], len(self.classes))
                # The loss needs logits up to a constant per point only, so log-probabilities serve.
                loss += float(objective.of(torch.from_numpy(log_p), torch.from_numpy(truth)))
                points += int(known.sum())
            return {"loss": loss / max(points, 1), "f1": float(macro(batched_scores(matrix)["f1"]))}

        result = self.fit(model, objective, self.settings, max_seconds, validate=validate, monitor="-f1")
        rows, shown = self.score(model, self.folder)
        rows += self.cost_rows(model, result)
        config = {**config, "label": self.label, "classes": self.classes, "tokenizer": self.store.settings}
        self.finish(model, result, rows, shown, title=title, what=METHOD, config=config)

    def score(self, model: nn.Module, folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Score a model on the test split; return rows of the metrics table and of the predictions table."""
        scores, calibrated = ClassScores(self.classes), self.block.calibrate
        if calibrated:
            found = self.answers(model, lambda batch: self.log_p(model, batch), self.validation)
            points = int(self.store.lengths[self.validation].sum())
            scores.tune(((log_p, batch[self.label]) for _, batch, log_p in found), points, TUNING_POINTS)
        shown: list[dict[str, Any]] = []
        for rows, batch, log_p in self.answers(model, lambda batch: self.log_p(model, batch)):
            truth = batch[self.label]
            chosen = scores.update(truth, log_p, batch["offsets"], owner_of(self, self.label, batch))
            shown += shown_events(self.store, rows, batch, truth, chosen, SHOWN_EVENTS - len(shown))
        table: list[dict[str, Any]] = []
        sums: Sums = {}
        for suffix in ("", CALIBRATED) if calibrated else ("",):
            tally = scores.tallies[suffix]
            sums |= tally.sums(suffix=suffix)
            per_event = tally.table.reshape(len(tally), len(self.classes), len(self.classes))
            table += score_rows(per_event, self.classes, suffix=suffix, seed=self.seed)
            table += confusion_rows(tally.matrix, self.classes, suffix=suffix)
        if calibrated:
            offsets = zip(self.classes, scores.offset.tolist(), strict=True)
            table += [{"metric": "decision_offset", "class": name, "value": value} for name, value in offsets]
        table += scores.particle_rows(_row)
        write_event_scores(folder / EVENT_SCORES, self.store.event_ids(self.test), [(self.label, 0, sums)])
        common = {**run_columns(self.run), "task": self.label, "split": "test"}
        common |= {"n_labels": self.n_labels, "seed": self.run.seed}
        return [{**common, **row} for row in table], shown


def _row(values: dict[str, float], intervals: dict[str, tuple[float, float]], name: str) -> list[dict[str, Any]]:
    nothing = (float("nan"), float("nan"))
    return [
        {"metric": metric, "class": name, "value": value, "low": low, "high": high}
        for metric, value in values.items()
        for low, high in [intervals.get(metric, nothing)]
    ]
