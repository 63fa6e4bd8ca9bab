"""Trained model directories from Python: the network as a torch module, and its features of one event as tensors."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tpcfm.errors import CheckpointError
from tpcfm.inference.picture_choice import ADAPTERS, AUTOENCODERS, SEGMENTATION
from tpcfm.models.fm4npp.adapters import make_adapter
from tpcfm.models.fm4npp.settings import AdapterConfig
from tpcfm.models.polar_mae.autoencoder import make_masked_autoencoder
from tpcfm.models.polar_mae.segmentation import SegmentationModel
from tpcfm.models.polar_mae.settings import PolarMaeModel
from tpcfm.models.polar_mae.token_encoder import TokenEncoder
from tpcfm.models.polar_mae.tokens import Tokens
from tpcfm.prepare.groups.batches import collate_sequences
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.fm4npp.support import ARCHITECTURE, load_backbone
from tpcfm.systems.polar_mae.batches import GroupBatches
from tpcfm.systems.polar_mae.support import load_encoder, pretrained_model_config
from tpcfm.train import StepInfo, load_config, load_weights, to_device

KNOWN = (*AUTOENCODERS, "token_encoder", SEGMENTATION, ARCHITECTURE, *ADAPTERS)
"""Values of ``architecture`` in a ``config.json`` that `load_model` builds."""


@dataclass(frozen=True)
class EventFeatures:
    """What a pretrained backbone makes of one event; rows are tokens (liquid argon) or points (collider TPC).

    Attributes:
        event_id: of the event.
        layers: (L, rows, D) float32 on the CPU: outputs of the transformer blocks of PoLAr-MAE, or of the residual branches
            of FM4NPP (what its adapters mix).
        xyz: (rows, 3) float32: centres of the tokens (voxel), or the points in serialised order (cm).
    """

    event_id: str
    layers: Tensor
    xyz: Tensor

    @property
    def last(self) -> Tensor:
        """Output of the last layer, (rows, D)."""
        return self.layers[-1]


def load_model(folder: Path) -> nn.Module:
    """Build the network of a model directory and load its weights, in evaluation mode on the CPU.

    Of an adapter this is the task head; its frozen backbone is the model directory that its ``config.json`` names
    (`predict_event` and `load_adapter` of `tpcfm.inference.predict` take both).

    Raises:
        CheckpointError: no model directory, an architecture that is not one of `KNOWN`, or weights that do not fit.
    """
    config = load_config(folder)
    kind = str(config.get("architecture"))
    model: nn.Module
    if kind == ARCHITECTURE:
        return load_backbone(folder).eval()
    if kind in AUTOENCODERS:
        model = make_masked_autoencoder(kind, PolarMaeModel.model_validate(config["model"]), int(config["slots"]))
    elif kind == "token_encoder":
        model = TokenEncoder(PolarMaeModel.model_validate(config["model"]))
    elif kind == SEGMENTATION:
        block = PolarMaeModel.model_validate(config["model"])
        model = SegmentationModel(block, len(config["classes"]), head_hidden=config["head_hidden"])
    elif kind in ADAPTERS:
        model = make_adapter(AdapterConfig.model_validate(config["adapter"]))
    else:
        raise CheckpointError(f"{folder}: a model of architecture {kind!r}; these can be loaded: {', '.join(KNOWN)}")
    load_weights(model, folder)
    return model.eval()


@torch.no_grad()
def event_features(folder: Path, store: PreparedStore, row: int) -> EventFeatures:
    """Return what a pretrained backbone makes of one event, nothing masked.

    Args:
        folder: model directory of a pretraining run (PoLAr-MAE, Point-MAE or FM4NPP).
        store: a cache made as the one it was trained on (`tpcfm.inference.one_event.open_event` makes one of any file).
        row: event.

    Raises:
        CheckpointError: not a pretrained backbone, or the cache was made in another way.
    """
    event_id = str(store.value(row, "event_id"))
    kind = load_config(folder).get("architecture")
    if kind == ARCHITECTURE:
        backbone = load_backbone(folder, store).eval()
        points = to_device(collate_sequences(store, [row], 0), torch.device("cpu"))
        return EventFeatures(event_id, backbone.branches(points["features"], points["offsets"]).float(), points["xyz"])
    if kind not in AUTOENCODERS:
        known = ", ".join((*AUTOENCODERS, ARCHITECTURE))
        raise CheckpointError(
            f"{folder}: a model of architecture {kind!r} is no pretrained backbone; these are: {known}"
        )
    encoder = TokenEncoder(pretrained_model_config(folder, store))
    load_encoder(encoder, folder)
    encoder.eval()
    info = StepInfo(step=0, epoch=0, seed=0, training=False)
    batch = to_device(GroupBatches()(store, np.array([row]), info), torch.device("cpu"))
    _, layers = encoder(Tokens.from_batch(batch), layers=range(encoder.config.depth))
    return EventFeatures(event_id, torch.stack([layer.float() for layer in layers]), batch["centre"])
