"""What the networks of FM4NPP say about one event (see `tpcfm.systems.architectures.Architecture`)."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from tpcfm.models.fm4npp.backbone import Fm4npp
from tpcfm.models.fm4npp.settings import Fm4nppModel
from tpcfm.prepare.sequences.batches import collate_sequences
from tpcfm.prepare.sequences.settings import TargetConfig
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.fm4npp.adapter import adapter_labels, load_adapter
from tpcfm.systems.fm4npp.support import load_backbone, new_backbone
from tpcfm.train import load_config, to_device

CPU = torch.device("cpu")


def predict(folder: Path, store: PreparedStore, row: int) -> dict[str, npt.NDArray[np.int64]]:
    """Return the class or instance of every point, by label.

    Raises:
        CheckpointError: no adapter, its backbone is not beside it, or the sequences were made otherwise.
    """
    adapter = load_adapter(folder, store)
    return {label: adapter_labels(adapter, label, store, row) for label in adapter.config.tasks}


def backbone(folder: Path, store: PreparedStore, random: bool = False) -> Fm4npp:
    """Return the backbone of a pretraining run, or one like it with random weights.

    Raises:
        CheckpointError: another architecture, or the sequences were made otherwise.
    """
    if random:
        model = Fm4nppModel.model_validate(load_config(folder)["model"])
        return new_backbone(model, TargetConfig(), 0).eval()
    return load_backbone(folder, store).eval()


@torch.no_grad()
def layers(model: Fm4npp, store: PreparedStore, row: int) -> tuple[Tensor, Tensor]:
    """Return the output of every residual branch (L, N, D), which adapters mix, and the points (N, 3) in serialised order."""
    batch = to_device(collate_sequences(store, [row], 0), CPU)
    return model.branches(batch["features"], batch["offsets"]).float(), batch["xyz"]


def summary(found: Tensor) -> Tensor:
    """Return the features (N, D) that a point is known by: the mean over the layers, normalised per point."""
    return F.layer_norm(found.mean(0), found.shape[-1:])
