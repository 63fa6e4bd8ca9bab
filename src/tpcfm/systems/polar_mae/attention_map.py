"""Where chosen tokens look: attention weights of queries over the tokens of their event (arXiv 2502.02558, Fig. 9)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tpcfm.errors import ConfigError
from tpcfm.models.polar_mae.token_encoder import TokenEncoder
from tpcfm.models.polar_mae.tokens import Tokens
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.polar_mae.batches import GroupBatches
from tpcfm.systems.polar_mae.support import first_classes, load_encoder, pretrained_model_config
from tpcfm.train import StepInfo, to_device


def attention_maps(
    folder: Path,
    store: PreparedStore,
    row: int,
    *,
    queries: Sequence[int],
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
    device: str = "cpu",
) -> dict[str, Any]:
    """Return the attention of some tokens of a pretrained encoder, nothing masked.

    Args:
        folder: model directory of a pretraining run.
        store: groups cache.
        row: event.
        queries: tokens whose rows of the attention matrix are wanted.
        layers, heads: counted from 0 (the paper shows layer 5 and head 6, counted from 1); all unless given.

    Returns:
        ``event_id``; per token ``x y z`` (T,) in the detector's unit; ``queries layers heads``; ``weight`` (queries, layers, heads, T), each
        row summing to 1.

    Raises:
        ConfigError: no such layer, head or token.
        CheckpointError: the model does not fit.
    """
    encoder = TokenEncoder(pretrained_model_config(folder, store))
    load_encoder(encoder, folder)
    encoder.to(device).eval()
    batch = GroupBatches()(store, np.array([row]), StepInfo(step=0, epoch=0, seed=0, training=False))
    centre = batch["centre"]
    layers = range(encoder.config.depth) if layers is None else layers
    heads = range(encoder.config.heads) if heads is None else heads
    for name, values, count in (
        ("layer", layers, encoder.config.depth),
        ("head", heads, encoder.config.heads),
        ("token", queries, len(centre)),
    ):
        for value in values:
            if not 0 <= value < count:
                raise ConfigError(f"{name}: {value}; allowed: 0 to {count - 1}")
    tokens = Tokens.from_batch(to_device(batch, torch.device(device)))
    with torch.no_grad():
        found = [encoder.attention_weights(tokens, layer, 0).float().cpu().numpy() for layer in layers]
    weight = np.stack([maps[list(heads)][:, list(queries)] for maps in found])  # (layers, heads, queries, T)
    axes = {axis: centre[:, k] for k, axis in enumerate("xyz")}
    return {
        "event_id": store.value(row, "event_id"),
        **axes,
        "queries": list(queries),
        "layers": list(layers),
        "heads": list(heads),
        "weight": weight.transpose(2, 0, 1, 3),
    }


def typical_queries(store: PreparedStore, row: int) -> dict[str, int]:
    """Return one token per class of an event, by class name: the purest, and of those the one with most points.

    The classes are those of the detector's first label with classes. Classes without a token that they have the majority of are
    left out; the order is that of the classes. Nothing for an event without that label.
    """
    event, label = store[row], first_classes(store.detector)
    if label is None or event[label] is None:
        return {}
    classes = store.detector.classes()[label]
    offset, member = np.asarray(event["group_offset"]), np.asarray(event["member"])
    number = classes.encode(event[label])[member]
    token = np.repeat(np.arange(len(offset) - 1), np.diff(offset))
    counts = np.zeros((len(offset) - 1, len(classes.names)))
    known = number >= 0
    np.add.at(counts, (token[known], number[known]), 1)
    share = counts / np.maximum(np.diff(offset), 1)[:, None]
    found = {}
    for k, name in enumerate(classes.names):
        best = int(np.lexsort((counts[:, k], share[:, k].round(3)))[-1]) if len(share) else -1
        if best >= 0 and share[best, k] > 0.5:
            found[name] = best
    return found
