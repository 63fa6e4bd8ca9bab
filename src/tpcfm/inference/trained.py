"""Trained model directories from Python: the network as a torch module, and its features of one event as tensors."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.architectures import architecture_of
from tpcfm.systems.trained import load_model
from tpcfm.tasks.answers import Embedder
from tpcfm.train import load_config, to_device

__all__ = ["EventFeatures", "embedded", "event_features", "load_model"]
CPU = torch.device("cpu")


@dataclass(frozen=True)
class EventFeatures:
    """What a pretrained backbone makes of one event; rows are tokens (a groups cache) or points (sequences).

    Attributes:
        event_id: of the event.
        layers: (L, rows, D) float32 on the CPU: outputs of the transformer blocks of PoLAr-MAE, or of the residual branches
            of FM4NPP (what its adapters mix).
        xyz: (rows, 3) float32 in the detector's unit: centres of the tokens, or the points in serialised order.
    """

    event_id: str
    layers: Tensor
    xyz: Tensor

    @property
    def last(self) -> Tensor:
        """Output of the last layer, (rows, D)."""
        return self.layers[-1]


def event_features(folder: Path, store: PreparedStore, row: int) -> EventFeatures:
    """Return what a pretrained backbone makes of one event, nothing masked.

    Args:
        folder: model directory of a pretraining run (PoLAr-MAE, Point-MAE or FM4NPP).
        store: a cache made as the one it was trained on (`tpcfm.inference.one_event.open_event` makes one of any file).
        row: event.

    Raises:
        CheckpointError: not a pretrained backbone, or the cache was made in another way.
    """
    module = architecture_of(load_config(folder), folder, "features").module
    layers, xyz = embedded(module.embedder(folder, store, CPU), store, row)
    return EventFeatures(str(store.value(row, "event_id")), layers, xyz)


def embedded(model: Embedder, store: PreparedStore, row: int) -> tuple[Tensor, Tensor]:
    """Return the layers (L, rows, D) and the places (rows, 3) of one event, on the CPU."""
    tensors = to_device(model.collate(store, np.array([row])), CPU)
    return model.layers(tensors), tensors[model.xyz]
