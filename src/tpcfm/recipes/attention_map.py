"""Where a chosen token looks: attention weights of one query over the tokens of its event (arXiv 2502.02558, Fig. 9)."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from tpcfm.errors import ConfigError
from tpcfm.models.token_encoder import TokenEncoder
from tpcfm.models.tokens import Tokens
from tpcfm.prepare.store import PreparedStore
from tpcfm.recipes.group_batches import GroupBatches
from tpcfm.recipes.groups_support import load_encoder, pretrained_model_config
from tpcfm.train import StepInfo, to_device


def attention_map(
    folder: Path, store: PreparedStore, row: int, *, layer: int, head: int, query: int, device: str = "cpu"
) -> dict[str, Any]:
    """Return the attention of one token of a pretrained encoder, nothing masked.

    Args:
        folder: model directory of a pretraining run.
        store: groups cache.
        row: event.
        layer, head: counted from 0 (the paper shows layer 5 and head 6, counted from 1).
        query: token whose row of the attention matrix is wanted.

    Returns:
        ``event_id``; per token ``x y z`` (voxel) and ``weight`` (summing to 1), each ``(T,)``; ``query``.

    Raises:
        ConfigError: no such layer, head or token.
        CheckpointError: the model does not fit.
    """
    encoder = TokenEncoder(pretrained_model_config(folder, store))
    load_encoder(encoder, folder)
    encoder.to(device).eval()
    batch = GroupBatches()(store, np.array([row]), StepInfo(step=0, epoch=0, seed=0, training=False))
    centre = batch["centre"]
    for name, value, count in (
        ("layer", layer, encoder.config.depth),
        ("head", head, encoder.config.heads),
        ("query", query, len(centre)),
    ):
        if not 0 <= value < count:
            raise ConfigError(f"{name}: {value}; allowed: 0 to {count - 1}")
    with torch.no_grad():
        maps = encoder.attention_weights(Tokens.from_batch(to_device(batch, device)), layer, 0)
    weight = maps[head, query].cpu().numpy()
    axes = {axis: centre[:, k] for k, axis in enumerate("xyz")}
    return {"event_id": store.value(row, "event_id"), **axes, "weight": weight, "query": query}
