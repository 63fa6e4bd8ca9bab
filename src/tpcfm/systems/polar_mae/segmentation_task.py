"""Segmentation of points: loss, validation and final scores, shared by the token encoder and the sparse U-Net."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tpcfm.detectors import pilarnet
from tpcfm.errors import ConfigError
from tpcfm.evaluate.classification import confusion_matrix
from tpcfm.evaluate.event_scores import CALIBRATED, Sums, confusion_sums, write_event_scores
from tpcfm.evaluate.event_scores import NAME as EVENT_SCORES
from tpcfm.evaluate.segmentation import (
    batched_scores,
    confusion_rows,
    macro,
    score_rows,
    tune_decision_weights,
)
from tpcfm.losses.focal import focal_sum, inverse_frequency
from tpcfm.plan.run import Run
from tpcfm.prepare.groups.batches import Batch
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.polar_mae.batches import labelled_subset
from tpcfm.tasks.predictions import point_columns, write_predictions
from tpcfm.tasks.support import (
    SHOWN_EVENTS,
    Collate,
    Rows,
    evaluation_batches,
    events_of,
    spread,
)
from tpcfm.train import StepInfo, to_device

CLASSES = pilarnet.SEGMENTATION_CLASSES
VALIDATION_EVENTS = 256
TUNING_POINTS = 400_000


class PointwiseObjective:
    """Focal loss (or cross-entropy, with ``gamma`` 0 and equal weights) averaged over points."""

    def __init__(self, class_weights: list[float], gamma: float) -> None:
        self.weights: Mapping[str, float] = {"focal": 1.0}
        self.class_weights, self.gamma = torch.tensor(class_weights), gamma

    def counts(self, batch: Batch, info: StepInfo) -> dict[str, float]:
        """Return the number of points."""
        return {"focal": float(len(batch["semantic"]))}

    def sums(self, model: nn.Module, batch: dict[str, Tensor], info: StepInfo) -> dict[str, Tensor]:
        """Return the summed loss."""
        return {"focal": self.of(model(batch), batch["semantic"])}

    def of(self, logits: Tensor, truth: Tensor) -> Tensor:
        """Return the summed loss of given logits."""
        return focal_sum(logits, truth, self.class_weights.to(logits.device), self.gamma)


def labelled_rows(store: PreparedStore, n_labels: int, seed: int) -> Rows:
    """Return the labelled training events of a run.

    Raises:
        ConfigError: more are asked for than there are.
    """
    available = events_of(store, "train")
    if n_labels > len(available):
        raise ConfigError(
            f"n_labels: {n_labels} labelled events asked for, {store.folder} has {len(available)} training events;"
            f" allowed: 1 to {len(available)}"
        )
    return labelled_subset(store, available, n_labels, seed)


def class_weights(store: PreparedStore, rows: Rows, kind: str) -> list[float]:
    """Return the class weights `published` (voxel counts of PILArNet-M), `subset` (counted on ``rows``) or `none`."""
    if kind == "none":
        return [1.0] * len(CLASSES)
    if kind == "published":
        return inverse_frequency(pilarnet.PUBLISHED_VOXELS[: len(CLASSES)])
    counts = np.zeros(len(CLASSES), np.int64)
    for row in rows:
        counts += np.bincount(store[int(row)]["semantic"], minlength=len(CLASSES))[: len(CLASSES)]
    return inverse_frequency(counts.tolist())


class SegmentationTask:
    """Predict, validate and score one segmentation model on a groups cache."""

    def __init__(
        self,
        store: PreparedStore,
        collate: Collate,
        objective: PointwiseObjective,
        *,
        max_points: int,
        seed: int,
        precision: str = "float32",
    ) -> None:
        self.store, self.collate, self.objective = store, collate, objective
        self.max_points, self.seed, self.precision = max_points, seed, precision
        self.validation = spread(events_of(store, "validation"), VALIDATION_EVENTS)

    @torch.no_grad()
    def predict(self, model: nn.Module, rows: Rows) -> Iterator[tuple[Batch, npt.NDArray[np.float32]]]:
        """Yield each evaluation batch with its log-probabilities ``(N, C)``."""
        device = next(model.parameters()).device
        for _, batch in evaluation_batches(self.store, rows, self.collate, self.max_points, self.seed):
            with torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
                logits = model(to_device(batch, device))
            yield batch, torch.log_softmax(logits.float(), dim=1).cpu().numpy()

    def validate(self, model: nn.Module, step: int) -> dict[str, float]:
        """Return loss and macro F1 on the validation events."""
        loss, points = 0.0, 0
        matrix = np.zeros((len(CLASSES),) * 2, np.int64)
        for batch, log_p in self.predict(model, self.validation):
            truth = batch["semantic"]
            matrix += confusion_matrix(truth, log_p.argmax(1), len(CLASSES))
            # The loss needs logits up to a constant per point only, so log-probabilities serve.
            loss += float(self.objective.of(torch.from_numpy(log_p), torch.from_numpy(truth)))
            points += len(truth)
        return {"loss": loss / points, "f1": float(macro(batched_scores(matrix)["f1"]))}

    def tune(self, model: nn.Module) -> npt.NDArray[np.float64]:
        """Return decision offsets tuned on the validation events (at most 400,000 of their points, evenly taken)."""
        log_p, truth = [], []
        total = int(self.store.lengths[self.validation].sum())
        stride = -(-total // TUNING_POINTS)
        for batch, values in self.predict(model, self.validation):
            log_p.append(values[::stride])
            truth.append(batch["semantic"][::stride])
        return tune_decision_weights(np.concatenate(log_p), np.concatenate(truth))

    def score(self, model: nn.Module, run: Run, folder: Path, *, calibrate: bool) -> list[dict[str, Any]]:
        """Score the model on the test split, write ``predictions.parquet`` and ``event_scores.parquet``, return rows of the metrics table."""
        rows = events_of(self.store, "test")
        detector = self.store.detector
        shown = set(spread(rows, SHOWN_EVENTS).tolist())
        offsets = {"": np.zeros(len(CLASSES))}
        if calibrate:
            offsets[CALIBRATED] = self.tune(model)
        matrices: dict[str, list[npt.NDArray[np.int64]]] = {suffix: [] for suffix in offsets}
        events, position = [], 0
        for batch, log_p in self.predict(model, rows):
            for a, b in zip(batch["offsets"][:-1], batch["offsets"][1:]):
                truth = batch["semantic"][a:b]
                for suffix, offset in offsets.items():
                    chosen = (log_p[a:b] + offset).argmax(1)
                    matrices[suffix].append(confusion_matrix(truth, chosen, len(CLASSES)))
                    if suffix == "" and int(rows[position]) in shown:
                        event = self.store[int(rows[position])]
                        kept = {name: event[name] for name in ("event_id", *point_columns(detector))}
                        events.append({**kept, "truth": truth, "prediction": chosen})
                position += 1
        write_predictions(folder / "predictions.parquet", events, detector, "semantic")
        table = []
        sums: Sums = {}
        for suffix, found in matrices.items():
            per_event = np.stack(found)
            sums |= confusion_sums(per_event, CLASSES, suffix=suffix)
            table += score_rows(per_event, CLASSES, suffix=suffix, seed=self.seed)
            table += confusion_rows(per_event.sum(0), CLASSES, suffix=suffix)
        if calibrate:
            table += [
                {"metric": "decision_offset", "class": name, "value": float(value)}
                for name, value in zip(CLASSES, offsets[CALIBRATED])
            ]
        write_event_scores(folder / EVENT_SCORES, self.store.event_ids(rows), [("segmentation", 0, sums)])
        common = {
            "run": run.id,
            "family": run.family,
            "task": "segmentation",
            "split": "test",
            "n_labels": -1 if run.n_labels is None else run.n_labels,
            "seed": run.seed,
        }
        return [{**common, **row} for row in table]
