"""Predictions of a trained model for one event: classes or instances of any label."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tpcfm.detectors.model import ClassLabel
from tpcfm.errors import CheckpointError, ConfigError
from tpcfm.inference.one_event import check_detector, model_detector
from tpcfm.models.fm4npp.adapters import assign_points
from tpcfm.models.fm4npp.backbone import Fm4npp
from tpcfm.models.fm4npp.settings import AdapterConfig
from tpcfm.prepare.groups.batches import collate_sequences
from tpcfm.prepare.sequences.settings import TargetConfig
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.architectures import architecture_of
from tpcfm.systems.fm4npp.support import check_sequences, load_backbone, new_backbone
from tpcfm.systems.trained import load_model
from tpcfm.tasks.predictions import point_columns
from tpcfm.train import load_config


def predicted_labels(folder: Path) -> list[str]:
    """Return the label columns that a model directory predicts; empty for one that predicts none."""
    config = load_config(folder)
    return list(config["adapter"]["outputs"]) if "adapter" in config else [config["label"]] if "label" in config else []


def predict_event(folder: Path, store: PreparedStore, row: int, label: str | None = None) -> dict[str, Any]:
    """Return what a trained model says about one event: the plain decision of its evaluation, in float32 on the CPU.

    Args:
        folder: model directory; a backbone lies beside it, under the name in its ``config.json``.
        store: a cache made as the one it was trained on (`tpcfm.inference.one_event.open_event` makes one of any file).
        row: event.
        label: of those it predicts; the first if not given.

    Returns:
        ``event_id``, ``task`` (the label), ``x y z``, the signals, ``row`` (int32, of each point in the event table: points that the
        cuts took out have no answer), ``prediction`` (N,) int64: values of the label, or numbers of instances, -1 for none; and
        ``truth``, values of the label, which is missing where the event carries none.

    Raises:
        CheckpointError: a model that predicts no points, or one that does not fit the cache.
        ConfigError: a label that it does not predict.
        DataError: events of another detector.
    """
    config = load_config(folder)
    module = architecture_of(config, folder, "prediction").module
    labels = predicted_labels(folder)
    if label is not None and label not in labels:
        raise ConfigError(f"{folder}: does not predict {label!r}; it predicts {', '.join(labels)}")
    check_detector(store.detector, model_detector(config), store.folder, scaling=True)
    task = label or labels[0]
    answer, kind = module.predict(folder, store, row)[task], store.detector.labels[task]
    columns = [*point_columns(store.detector), "row"]
    event = {name: np.asarray(store.value(row, name)) for name in columns}
    found = {"event_id": store.value(row, "event_id"), "task": task, **event}
    found["prediction"] = kind.decode(answer) if isinstance(kind, ClassLabel) else answer
    truth = store.value(row, task)
    return found if truth is None else found | {"truth": np.asarray(truth, dtype=np.int64)}


@dataclass(frozen=True)
class Adapter:
    """A trained task head and the frozen backbone it reads; None if it reads raw points."""

    config: AdapterConfig
    head: nn.Module
    backbone: Fm4npp | None

    @torch.no_grad()
    def inputs(self, features: Tensor, offsets: Tensor) -> Tensor:
        """Return what the head reads: branch outputs (layers, N, D), in half precision as in training, or the points."""
        if self.backbone is None:
            return features
        return self.backbone.branches(features, offsets, self.config.mix_embedding).half()


def load_adapter(folder: Path, store: PreparedStore) -> Adapter:
    """Load a task head with its backbone, both in evaluation mode.

    Raises:
        CheckpointError: not an adapter, its backbone is not beside it, or the sequences were made otherwise.
    """
    config = load_config(folder)
    if config.get("architecture") != "fm4npp_adapter":
        raise CheckpointError(f"{folder}: a model of architecture {config.get('architecture')!r}, not an adapter")
    check_sequences(folder, config, store)
    block = AdapterConfig.model_validate(config["adapter"])
    head = load_model(folder)
    backbone = None
    if block.start in ("pretrained", "imported"):
        beside = folder.parent / str(config["pretrained"])
        if not beside.is_dir():
            raise CheckpointError(f"{folder}: its backbone is the run {config['pretrained']}, expected in {beside}")
        backbone = load_backbone(beside, store)
    elif block.start == "random":
        backbone = new_backbone(block.model, TargetConfig(), block.seed)
    return Adapter(block, head, None if backbone is None else backbone.eval())


@torch.no_grad()
def adapter_labels(adapter: Adapter, task: str, store: PreparedStore, row: int) -> npt.NDArray[np.int64]:
    """Return the label (N,) that an adapter gives each point of one event; -1 for a point on no track."""
    batch = collate_sequences(store, np.array([row]), 0)
    features, offsets = torch.from_numpy(batch["features"]), torch.from_numpy(batch["offsets"])
    answer = adapter.head(adapter.inputs(features, offsets), offsets)
    labels = assign_points(answer[-1]) if adapter.config.instances else answer[task].argmax(1)
    return np.asarray(labels.numpy(), dtype=np.int64)
