"""What the adapter recipes share: inputs from a frozen backbone or raw points, and the outputs of a run."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from tpcfm.errors import ConfigError
from tpcfm.evaluate.table import write_metrics
from tpcfm.models.fm4npp.adapters import make_adapter
from tpcfm.models.fm4npp.settings import AdapterConfig
from tpcfm.plan.run import Run
from tpcfm.prepare.groups.batches import Batch, collate_sequences
from tpcfm.prepare.sequences.settings import TargetConfig
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.fm4npp.feature_cache import FeatureCache
from tpcfm.systems.fm4npp.support import card_values, load_backbone, model_card, new_backbone, run_record
from tpcfm.tasks.labelled import LABELS, ColliderTask, Rows
from tpcfm.tasks.predictions import write_predictions
from tpcfm.train import FitResult, Objective, StepInfo, save_model, to_device
from tpcfm.workspace import Workspace


class AdapterTask(ColliderTask):
    """One downstream run: data, head and backbone, ready to train.

    Raises:
        DataError: too few labelled events, or none in validation or test.
        ConfigError: ``start: pretrained`` or ``imported`` without a model directory.
        CheckpointError: the backbone does not fit the sequences.
    """

    def __init__(self, run: Run, workspace: Workspace, device: str | None) -> None:
        self.block = block = run.block(AdapterConfig)
        super().__init__(run, workspace, device, block, block.tasks)
        self.features = self._features()
        self.inputs = "features" if self.features is None else "branches"
        torch.manual_seed(self.block.seed)
        self.model = make_adapter(self.block)

    def _features(self) -> FeatureCache | None:
        """Return the frozen backbone's features of the training and validation events; None for raw points."""
        block = self.block
        if block.start == "none":
            return None
        if block.start == "random":
            backbone = new_backbone(block.model, TargetConfig(), block.seed)
        elif self.run.pretrained is None:
            raise ConfigError(f"start: {block.start} needs the name of a model directory (`pretrained`), found none")
        else:
            folder = self.workspace.run(self.run.pretrained)
            backbone = load_backbone(folder, self.store)
            if block.start == "imported":
                block = self.block = block.model_copy(update={"model": backbone.config})
            if backbone.config.width != block.model.width or backbone.config.depth != block.model.depth:
                raise ConfigError(
                    f"model: width {block.model.width}, depth {block.model.depth}, but the pretrained {folder} has "
                    f"width {backbone.config.width}, depth {backbone.config.depth}"
                )
        state = self.workspace.state(self.run.id)
        cache = FeatureCache(backbone, self.store, state, block.train.max_points, self.device, block.mix_embedding)
        cache.fill(np.concatenate([self.training, self.validation]))
        return cache

    def make_batch(self, store: PreparedStore, rows: Rows, info: StepInfo) -> Batch:
        """Join events into a batch with backbone features or raw points."""
        batch = collate_sequences(store, rows, 0)
        if self.features is not None:
            batch["branches"] = self.features(rows)
        return batch

    def train(self, objective: Objective, max_seconds: float | None) -> FitResult:
        """Train the head."""
        return self.fit(self.model, objective, self.settings, max_seconds)

    def output(self, batch: Batch) -> Any:
        """Return what the head says about a batch."""
        tensors = to_device({name: batch[name] for name in (self.inputs, "offsets")}, self.device)
        return self.model(tensors[self.inputs], tensors["offsets"])

    def predict(
        self, answer: Callable[[Any], dict[str, torch.Tensor]], events: Rows | None = None
    ) -> Iterator[tuple[Rows, Batch, dict[str, Any]]]:
        """Yield (rows, batch, predictions) as `answers` does; ``answer`` turns the model's output into what is wanted per task."""

        def found(batch: Batch) -> dict[str, Any]:
            return {name: values.cpu().numpy() for name, values in answer(self.output(batch)).items()}

        return self.answers(self.model, found, events)

    def finish(self, result: FitResult, title: str, rows: list[dict[str, Any]], shown: list[dict[str, Any]]) -> None:
        """Write the model directory, metrics and predictions; give back the space of the features."""
        folder = self.workspace.run(self.run.id)
        extra = [("validation_loss", "validation", result.best_value)]
        costs = self.costs(self.model, result, stopped_early=result.steps < self.settings.steps)
        extra += [(name, "", value) for name, value in costs.items()]
        base = {k: v for k, v in rows[0].items() if k not in ("metric", "value", "low", "high", "class")}
        rows = rows + [{**base, "split": s, "metric": m, "value": v} for m, s, v in extra if v is not None]
        rows += [
            {**base, "task": name, "split": "validation", "metric": "cross_entropy", "value": value}
            for name, value in task_losses(result, self.block.tasks).items()
        ]
        source = {
            "pretrained": f"Frozen backbone: run `{self.run.pretrained}`.",
            "imported": f"Frozen backbone: imported weights `{self.run.pretrained}`.",
            "random": "Frozen backbone with random weights (control).",
            "none": "No backbone: the head reads raw points (control).",
        }[self.block.start]
        save_model(
            folder,
            self.model,
            config={
                "architecture": f"fm4npp_{self.block.task}",
                "adapter": self.block.model_dump(mode="json"),
                "pretrained": self.run.pretrained,
                "serialization": self.store.settings["serialization"],
                "edges": self.store.manifest.get("edges"),
                "detector": "sphenix",
            },
            card=model_card(title, self.run, self.store, self.model, card_values(rows), source),
            run=run_record(self.run, self.store, result.seconds)
            | ({"features": self.features.record()} if self.features else {}),
            history=result.history,
        )
        label = LABELS[self.block.tasks[0]]
        write_predictions(folder / "predictions.parquet", shown, self.store.detector, label)
        write_metrics(folder / "metrics.parquet", rows)
        if self.features is not None:
            self.features.close()


def task_losses(result: FitResult, tasks: list[str]) -> dict[str, float]:
    """Return the unweighted validation loss of each task at the step whose weights are kept; nothing where there is no such term.

    The monitored loss of a joint training is a weighted sum over its tasks, so it compares with no other run.
    """
    kept = [row for row in result.history if row["split"] == "validation" and row["step"] == result.best_step]
    return {name: float(kept[-1][name]) for name in tasks if kept and name in kept[-1]}
