"""What the networks of FM4NPP say about events (see `tpcfm.systems.architectures.Architecture`)."""

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tpcfm.models.fm4npp.settings import Fm4nppModel
from tpcfm.nn.padded import Padded
from tpcfm.nn.queries import TrackSet
from tpcfm.prepare.packing import Batch
from tpcfm.prepare.sequences.batches import collate_sequences
from tpcfm.prepare.sequences.settings import TargetConfig
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.fm4npp.adapter import adapter_answer, load_adapter
from tpcfm.systems.fm4npp.support import load_backbone, new_backbone
from tpcfm.tasks.answers import Answer, Embedder, Predictor, Rows, Tensors
from tpcfm.tasks.traceable import GEOMETRY, JOINING, Labelled, NotTraceable, Traceable, labelled_outputs
from tpcfm.train import load_config


def predictor(folder: Path, store: PreparedStore, device: torch.device) -> Predictor:
    """Return a trained adapter with its backbone.

    Raises:
        CheckpointError: no adapter, its backbone is not beside it, or the sequences were made otherwise.
    """
    adapter = load_adapter(folder, store).to(device)

    @torch.no_grad()
    def answer(batch: Batch, tensors: Tensors) -> dict[str, Answer]:
        return adapter_answer(adapter, batch, tensors)

    return Predictor(adapter.collate, answer)


def traceable(folder: Path, store: PreparedStore) -> Traceable | NotTraceable:
    """Return a trained adapter with its backbone for export.

    Raises:
        CheckpointError: as `predictor`.
    """
    adapter = load_adapter(folder, store)
    config, backbone = adapter.config, adapter.backbone
    if backbone is not None and backbone.config.mixer not in ("mamba2", "bidirectional"):
        return NotTraceable(f"the scan of {backbone.config.mixer}: a recursion whose depth is the number of chunks")
    labels = config.tasks
    inputs = {"features": ("points", ""), "offsets": ("bounds",), "slots": ("longest",)}
    if config.edge_head and config.instances:
        return NotTraceable(JOINING)
    if config.edge_head:
        inputs |= GEOMETRY

    def run(given: dict[str, Tensor]) -> Mapping[str, Tensor | tuple[TrackSet, Padded]]:
        where = Padded.of(given["offsets"], given["slots"], given["features"])
        read = adapter.inputs(given["features"], given["offsets"])
        if config.edge_head:
            logits: dict[str, Tensor] = adapter.head({**given, "branches": read})
            return logits
        found = adapter.head(read, where)
        return {labels[0]: (found[-1], where)} if config.instances else found

    modules = nn.ModuleList([adapter.head, *([] if backbone is None else [backbone])])
    network = Labelled(modules, run, list(inputs), store.detector, labels)
    return Traceable(network.eval(), inputs, labelled_outputs(labels))


def embedder(folder: Path, store: PreparedStore, device: torch.device, random: bool = False) -> Embedder:
    """Return the backbone of a pretraining run, or one like it with random weights; rows are points, layers its residual branches.

    Raises:
        CheckpointError: another architecture, or the sequences were made otherwise.
    """
    if random:
        model = new_backbone(Fm4nppModel.model_validate(load_config(folder)["model"]), TargetConfig(), 0)
    else:
        model = load_backbone(folder, store)
    model = model.eval().to(device)

    @torch.no_grad()
    def layers(tensors: Tensors) -> Tensor:
        return model.branches(tensors["features"], tensors["offsets"]).float()

    return Embedder(_collate, layers, _summary, xyz="xyz", offsets="offsets", points=True)


def _collate(store: PreparedStore, rows: Rows) -> Batch:
    return collate_sequences(store, rows, 0)


def _summary(found: Tensor) -> Tensor:
    """Return the mean over the layers, normalised per point."""
    return F.layer_norm(found.mean(0), found.shape[-1:])
