"""What the networks of PoLAr-MAE say about one event (see `tpcfm.systems.architectures.Architecture`)."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from tpcfm.errors import CheckpointError, ConfigError
from tpcfm.models.heads.settings import EdgeHead
from tpcfm.models.polar_mae.segmentation import SegmentationModel
from tpcfm.models.polar_mae.token_encoder import TokenEncoder
from tpcfm.models.polar_mae.tokens import Tokens
from tpcfm.nn.set_decision import assign_points
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.architectures import Choice
from tpcfm.systems.polar_mae.attention_map import attention_maps, typical_queries
from tpcfm.systems.polar_mae.batches import GroupBatches
from tpcfm.systems.polar_mae.edge_batches import EdgeBatches
from tpcfm.systems.polar_mae.reconstruction import load_autoencoder, reconstruct_event
from tpcfm.systems.polar_mae.support import load_encoder, pretrained_model_config
from tpcfm.systems.trained import load_model
from tpcfm.tasks.clusterings import join, split_edges
from tpcfm.train import StepInfo, load_config, to_device

NOT_TRAINING = StepInfo(step=0, epoch=0, seed=0, training=False)
CPU = torch.device("cpu")


@torch.no_grad()
def predict(folder: Path, store: PreparedStore, row: int) -> dict[str, npt.NDArray[np.int64]]:
    """Return the class or instance of every point, by label.

    Raises:
        CheckpointError: the head does not fit the groups.
    """
    config = load_config(folder)
    trained, given = config["tokenizer"]["radius"], store.settings["radius"]
    if trained != given:
        raise CheckpointError(f"{folder}: trained on groups of radius {trained} pitches, {store.folder} has {given}")
    model, collate = load_model(folder), GroupBatches(points=True)
    if found := config.get("edge_head"):
        assert isinstance(model, SegmentationModel)
        head = EdgeHead.model_validate(found["settings"])
        edges = EdgeBatches(model, head, not config["classes"], CPU)(store, np.array([row]), NOT_TRAINING)
        said = model(to_device(edges, CPU))
        if isinstance(said, tuple):
            return {config["label"]: join(next(split_edges(edges, said)), config["clustering"], head.joining)}
        return {config["label"]: said.argmax(1).numpy()}
    answer = model(to_device(collate(store, np.array([row]), NOT_TRAINING), CPU))
    found = assign_points(answer[-1]) if isinstance(answer, list) else answer.argmax(1)
    return {config["label"]: found.numpy()}


def backbone(folder: Path, store: PreparedStore, random: bool = False) -> TokenEncoder:
    """Return the encoder of a pretraining run, or one like it with random weights.

    Raises:
        CheckpointError: another architecture, or one that does not fit the groups.
    """
    torch.manual_seed(0)
    encoder = TokenEncoder(pretrained_model_config(folder, store))
    if not random:
        load_encoder(encoder, folder)
    return encoder.eval()


@torch.no_grad()
def layers(model: TokenEncoder, store: PreparedStore, row: int) -> tuple[Tensor, Tensor]:
    """Return the output of every block (L, T, D), nothing masked, and the centres of the tokens (T, 3)."""
    batch = to_device(GroupBatches()(store, np.array([row]), NOT_TRAINING), CPU)
    _, found = model(Tokens.from_batch(batch), layers=range(model.config.depth))
    return torch.stack([layer.float() for layer in found]), batch["centre"]


def summary(found: Tensor) -> Tensor:
    """Return the features (T, D) that a token is known by: the last layer."""
    return found[-1]


def attention(folder: Path, store: PreparedStore, row: int, choice: Choice) -> dict[str, pd.DataFrame]:
    """Return ``tokens`` (``x y z``) and ``attention`` (``query token layer head weight``; layer and head from 1).

    Raises:
        ConfigError: no such layer, head or token.
    """
    model = pretrained_model_config(folder, store)
    for name, value, count in (("layer", choice.layer, model.depth), ("head", choice.head, model.heads)):
        if value is not None and not 1 <= value <= count:
            raise ConfigError(f"--{name} {value}: this model has 1 to {count}")
    count = len(store.value(row, "group_offset")) - 1
    for token in choice.tokens:
        if not 0 <= token < count:
            raise ConfigError(f"--token {token}: this event has tokens 0 to {count - 1}")
    queries = {f"token {token}": token for token in choice.tokens} or typical_queries(store, row) or {"token 0": 0}
    found = attention_maps(
        folder,
        store,
        row,
        queries=list(queries.values()),
        layers=None if choice.layer is None else [choice.layer - 1],
        heads=None if choice.head is None else [choice.head - 1],
    )
    rows = [
        {"query": name, "token": token, "layer": layer + 1, "head": head + 1, "weight": found["weight"][q, i, k]}
        for q, (name, token) in enumerate(queries.items())
        for i, layer in enumerate(found["layers"])
        for k, head in enumerate(found["heads"])
    ]
    return {"tokens": pd.DataFrame({axis: found[axis] for axis in "xyz"}), "attention": pd.DataFrame(rows)}


def reconstruction(folder: Path, store: PreparedStore, row: int, choice: Choice) -> dict[str, Any]:
    """Return ``event``: its visible, masked and predicted points (see `write_reconstructions`).

    Raises:
        ConfigError: a masked share out of range.
    """
    if not 0 < choice.mask_ratio < 1:
        raise ConfigError(f"--mask-ratio {choice.mask_ratio}: must lie between 0 and 1")
    collate = GroupBatches(mask_ratio=choice.mask_ratio)
    return {"event": reconstruct_event(load_autoencoder(folder, store), store, row, collate, choice.seed)}
