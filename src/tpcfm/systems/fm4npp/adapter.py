"""A trained adapter with its backbone: loaded from model directories, and its answer to one event."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tpcfm.detectors.model import Detector
from tpcfm.errors import CheckpointError
from tpcfm.models.fm4npp.backbone import Fm4npp
from tpcfm.models.fm4npp.settings import AdapterConfig
from tpcfm.models.fm4npp.tuned import TunedAdapter
from tpcfm.nn.low_rank import merge_low_rank
from tpcfm.prepare.packing import Batch
from tpcfm.prepare.sequences.batches import collate_sequences
from tpcfm.prepare.sequences.settings import TargetConfig
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.fm4npp.support import check_sequences, load_backbone, new_backbone
from tpcfm.systems.trained import load_model
from tpcfm.tasks.answers import Answer, Tensors, class_answer, set_answer
from tpcfm.tasks.clustering_choice import Choice
from tpcfm.tasks.clusterings import Join, split_edges
from tpcfm.tasks.edge_head import geometry_of
from tpcfm.tasks.joining import trees_of
from tpcfm.tasks.support import Rows
from tpcfm.train import StepInfo, load_config, to_device
from tpcfm.train.model_files import backbone_folder

NOT_TRAINING = StepInfo(step=0, epoch=0, seed=0, training=False)

ADAPTER = "fm4npp_adapter"
"""Value of ``architecture`` in the ``config.json`` of an adapter."""


@dataclass(frozen=True)
class Adapter:
    """A trained task head and the backbone it reads; None if it reads raw points."""

    config: AdapterConfig
    head: nn.Module
    backbone: Fm4npp | None
    detector: Detector
    clustering: Choice | None = None

    @torch.no_grad()
    def inputs(self, features: Tensor, offsets: Tensor) -> Tensor:
        """Return what the head reads: (layers, N, D) of the backbone, of a frozen one in half precision as in training, or the points."""
        if self.backbone is None:
            return features
        config = self.config
        found = self.backbone.read(features, offsets, config.mix_embedding, config.reads == "final")
        return found.half() if config.mode == "frozen" else found

    def to(self, device: torch.device) -> "Adapter":
        """Return it on a device."""
        backbone = None if self.backbone is None else self.backbone.to(device)
        return replace(self, head=self.head.to(device), backbone=backbone)

    def collate(self, store: PreparedStore, rows: Rows) -> Batch:
        """Return some events as the batch that `adapter_answer` takes."""
        batch, head = collate_sequences(store, rows, 0), self.config.edge_head
        if head is None:
            return batch
        return geometry_of(head, self.config.instances, keep=0).add(batch, store, rows, NOT_TRAINING)


def load_adapter(folder: Path, store: PreparedStore) -> Adapter:
    """Load a task head with its backbone, both in evaluation mode.

    Raises:
        CheckpointError: not an adapter, its backbone is not beside it, or the sequences were made otherwise.
    """
    config = load_config(folder)
    if config.get("architecture") != ADAPTER:
        raise CheckpointError(f"{folder}: a model of architecture {config.get('architecture')!r}, not an adapter")
    check_sequences(folder, config, store)
    block = AdapterConfig.model_validate(config["adapter"])
    if block.mode != "frozen":
        tuned = load_model(folder)
        assert isinstance(tuned, TunedAdapter)
        merge_low_rank(tuned)
        if trees := trees_of(tuned):
            tuned.head.add_module("join", trees)
        return Adapter(block, tuned.head, tuned.backbone, store.detector, config.get("clustering"))
    head = load_model(folder)
    backbone = None
    if block.start in ("pretrained", "imported"):
        beside = backbone_folder(folder, config)
        if beside is None or not beside.is_dir():
            raise CheckpointError(f"{folder}: its backbone is the run {config['pretrained']}, expected in {beside}")
        backbone = load_backbone(beside, store)
    elif block.start == "random":
        backbone = new_backbone(block.model, TargetConfig(), block.seed)
    frozen = None if backbone is None else backbone.eval()
    return Adapter(block, head, frozen, store.detector, config.get("clustering"))


@torch.no_grad()
def adapter_answer(adapter: Adapter, batch: Batch, tensors: Tensors) -> dict[str, Answer]:
    """Return what an adapter says about the points of a batch of `Adapter.collate`, by label."""
    inputs = adapter.inputs(tensors["features"], tensors["offsets"])
    if head := adapter.config.edge_head:
        found = adapter.head({**tensors, "branches": inputs})
        if adapter.clustering is not None:
            joins = Join(head.joining, adapter.detector, trees_of(adapter.head))
            events = [joins(event, adapter.clustering) for event in split_edges(batch, found)]
            return {adapter.config.tasks[0]: Answer(np.concatenate(events))}
        return {label: class_answer(logits) for label, logits in found.items()}
    found = adapter.head(inputs, tensors["offsets"])
    if adapter.config.instances:
        return {adapter.config.tasks[0]: set_answer(found[-1])}
    return {label: class_answer(logits) for label, logits in found.items()}


def adapter_labels(adapter: Adapter, label: str, store: PreparedStore, row: int) -> npt.NDArray[np.int64]:
    """Return what an adapter says about each point (N,) of one event: number of the class, or of an object, -1 for none."""
    batch = adapter.collate(store, np.array([row]))
    return adapter_answer(adapter, batch, to_device(batch, torch.device("cpu")))[label].values
