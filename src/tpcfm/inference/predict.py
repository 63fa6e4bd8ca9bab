"""Predictions of a finished run for one event: segmentation of liquid argon; tracks, species and noise of a collider TPC."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tpcfm.errors import CheckpointError
from tpcfm.inference.picture_choice import ADAPTERS, SEGMENTATION
from tpcfm.inference.trained import load_model
from tpcfm.models.fm4npp.adapters import assign_points
from tpcfm.models.fm4npp.backbone import Fm4npp
from tpcfm.models.fm4npp.settings import AdapterConfig
from tpcfm.prepare.groups.batches import collate_sequences
from tpcfm.prepare.sequences.settings import TargetConfig
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.fm4npp.support import check_sequences, load_backbone, new_backbone
from tpcfm.systems.polar_mae.batches import GroupBatches
from tpcfm.train import StepInfo, load_config, to_device

LABELS = {"tracks": "track", "pid": "pid", "noise": "noise"}


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


def predict_event(folder: Path, store: PreparedStore, row: int) -> dict[str, Any]:
    """Return what a run of segmentation or of an adapter says about one event.

    Args:
        folder: its model directory; a backbone lies beside it, under the name in its ``config.json``.
        store: a cache made as the one it was trained on.
        row: event.

    Returns:
        ``event_id task x y z energy prediction`` and ``truth``, which is missing where the event carries no labels.

    Raises:
        CheckpointError: no run that predicts points, or one that does not fit the cache.
    """
    config = load_config(folder)
    kind = config.get("architecture")
    if kind == SEGMENTATION:
        task, labels, truth = "segmentation", *_segment(folder, config, store, row)
    elif kind in ADAPTERS:
        task = ADAPTERS[str(kind)]
        labels = adapter_labels(load_adapter(folder, store), task, store, row)
        truth = store.value(row, LABELS[task])
    else:
        known = ", ".join((SEGMENTATION, *ADAPTERS))
        raise CheckpointError(f"{folder}: a model of architecture {kind!r} predicts no points; these do: {known}")
    event = {name: np.asarray(store.value(row, name)) for name in ("x", "y", "z", "energy")}
    found = {"event_id": store.value(row, "event_id"), "task": task, **event, "prediction": labels}
    return found if truth is None else found | {"truth": np.asarray(truth, dtype=np.int64)}


def load_adapter(folder: Path, store: PreparedStore) -> Adapter:
    """Load a task head with its backbone, both in evaluation mode.

    Raises:
        CheckpointError: not an adapter, its backbone is not beside it, or the sequences were made otherwise.
    """
    config = load_config(folder)
    if config.get("architecture") not in ADAPTERS:
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
    labels = assign_points(answer[-1]) if task == "tracks" else answer[task].argmax(1)
    return np.asarray(labels.numpy(), dtype=np.int64)


@torch.no_grad()
def _segment(
    folder: Path, config: dict[str, Any], store: PreparedStore, row: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any] | None]:
    trained, given = config["tokenizer"]["radius"], store.settings["radius"]
    if trained != given:
        raise CheckpointError(f"{folder}: trained on groups of radius {trained} voxels, {store.folder} has {given}")
    model = load_model(folder)
    info = StepInfo(step=0, epoch=0, seed=0, training=False)
    batch = GroupBatches(points=True)(store, np.array([row]), info)
    labels = model(to_device(batch, torch.device("cpu"))).argmax(1).numpy()
    return np.asarray(labels, dtype=np.int64), store.value(row, "semantic")
