"""What the adapter recipes share: inputs from a backbone, frozen or trained with the head, or raw points, and the outputs of a run."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from tpcfm.errors import ConfigError
from tpcfm.models.fm4npp.adapters import make_adapter
from tpcfm.models.fm4npp.backbone import Fm4npp
from tpcfm.models.fm4npp.settings import AdapterConfig
from tpcfm.models.fm4npp.tuned import TunedAdapter
from tpcfm.plan.run import Run
from tpcfm.prepare.packing import Batch
from tpcfm.prepare.sequences.batches import collate_sequences
from tpcfm.prepare.sequences.settings import TargetConfig
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.fm4npp.adapter import ADAPTER
from tpcfm.systems.fm4npp.feature_cache import FeatureCache
from tpcfm.systems.fm4npp.support import METHOD, load_backbone, made_with, new_backbone
from tpcfm.tasks.edge_head import geometry_of, geometry_sizes, standardise
from tpcfm.tasks.joining import join_sizes
from tpcfm.tasks.labelled import LabelledTask, check_outputs
from tpcfm.tasks.support import Rows
from tpcfm.train import FitResult, Objective, StepInfo, to_device
from tpcfm.workspace import Workspace

TRAINED = {
    "frozen": "Frozen backbone",
    "last": "Backbone whose last blocks were trained with the head",
    "lora": "Backbone with trained changes of low rank (arXiv 2106.09685)",
    "full": "Backbone trained with the head",
}
"""What a model card says of the backbone, by mode."""


class AdapterTask(LabelledTask):
    """One downstream run: data, head and backbone, ready to train.

    Raises:
        DataError: too few labelled events, or none in validation or test.
        ConfigError: ``start: pretrained`` or ``imported`` without a model directory.
        CheckpointError: the backbone does not fit the sequences.
    """

    def __init__(self, run: Run, workspace: Workspace, device: str | None) -> None:
        self.block = block = run.block(AdapterConfig)
        super().__init__(run, workspace, device, block, block.tasks, block.validation_events)
        check_outputs(self.store, block.outputs)
        backbone = self._backbone()
        block, sizes, head = self.block, geometry_sizes(self.store.detector), self.block.edge_head
        self.geometry = geometry_of(head, block.instances) if head else None
        self.tuned, self.features, self.inputs = block.mode != "frozen", None, "features"
        if backbone is not None and not self.tuned:
            self.features, self.inputs = self._features(backbone), "branches"
        torch.manual_seed(block.seed)
        if backbone is not None and self.tuned:
            self.model: nn.Module = TunedAdapter(block, backbone, sizes)
        else:
            self.model = make_adapter(block, sizes)
        if head:
            standardise(self, (self.model.head if self.tuned else self.model).head)  # type: ignore[arg-type, union-attr]

    @property
    def batch_key(self) -> str | None:
        """What of a batch the head reads besides the offsets; None if it takes whole batches."""
        return None if self.tuned or self.block.edge_head else self.inputs

    def _backbone(self) -> Fm4npp | None:
        """Return the backbone that a run starts from; None for raw points."""
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
        return backbone

    def _features(self, backbone: Fm4npp) -> FeatureCache:
        """Return the frozen backbone's features of the training and validation events."""
        block, state = self.block, self.workspace.state(self.run.id)
        reads = {"embedding": block.mix_embedding, "final": block.reads == "final"}
        cache = FeatureCache(backbone, self.store, state, block.train.max_points, self.device, **reads)
        cache.fill(np.concatenate([self.training, self.validation]))
        return cache

    def make_batch(self, store: PreparedStore, rows: Rows, info: StepInfo) -> Batch:
        """Join events into a batch with backbone features or raw points."""
        batch = collate_sequences(store, rows, 0)
        if self.features is not None:
            batch["branches"] = self.features(rows)
        return batch if self.geometry is None else self.geometry.add(batch, store, rows, info)

    def train(self, objective: Objective, max_seconds: float | None) -> FitResult:
        """Train the head."""
        return self.fit(self.model, objective, self.settings, max_seconds)

    def output(self, batch: Batch) -> Any:
        """Return what the head says about a batch."""
        if self.batch_key is None:
            return self.model(to_device(batch, self.device))
        tensors = to_device({name: batch[name] for name in (self.inputs, "offsets")}, self.device)
        return self.model(tensors[self.inputs], tensors["offsets"])

    def leave(
        self,
        result: FitResult,
        rows: list[dict[str, Any]],
        shown: list[dict[str, Any]],
        clustering: Mapping[str, float] | None = None,
    ) -> None:
        """Write the model directory, metrics and predictions; give back the space of the features."""
        best = {} if result.best_value is None else {"validation_loss": result.best_value}
        rows = rows + self.metric_rows(self.labels[0], best, split="validation")
        rows += self.cost_rows(self.model, result)
        for label, value in label_losses(result, self.labels).items():
            rows += self.metric_rows(label, {"cross_entropy": value}, split="validation")
        kind = TRAINED[self.block.mode]
        source = {
            "pretrained": f"{kind}: run `{self.run.pretrained}`.",
            "imported": f"{kind}: imported weights `{self.run.pretrained}`.",
            "random": f"{kind} with random weights (control).",
            "none": "No backbone: the head reads raw points (control).",
        }[self.block.start]
        classes = self.store.detector.classes()
        self.finish(
            self.model,
            result,
            rows,
            shown,
            title=f"FM4NPP adapter, {' and '.join(self.labels)}",
            what=f"{METHOD} {source}",
            config={
                "architecture": ADAPTER,
                "adapter": self.block.model_dump(mode="json"),
                "classes": {label: classes[label].names if label in classes else [] for label in self.labels},
                "pretrained": self.run.pretrained,
                **({"geometry": geometry_sizes(self.store.detector)} if self.geometry else {}),
                **({"slots": self.model.backbone.slots} if isinstance(self.model, TunedAdapter) else {}),
                **({} if clustering is None else {"clustering": clustering, **join_sizes(self.model)}),
                **made_with(self.store),
            },
            record={"features": self.features.record()} if self.features else None,
        )
        if self.features is not None:
            self.features.close()


def label_losses(result: FitResult, labels: list[str]) -> dict[str, float]:
    """Return the unweighted validation loss of each label at the step whose weights are kept; nothing where there is no such term.

    The monitored loss of a joint training is a weighted sum over its labels, so it compares with no other run.
    """
    kept = [row for row in result.history if row["split"] == "validation" and row["step"] == result.best_step]
    return {name: float(kept[-1][name]) for name in labels if kept and name in kept[-1]}
