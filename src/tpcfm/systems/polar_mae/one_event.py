"""What the networks of PoLAr-MAE say about events (see `tpcfm.systems.architectures.Architecture`)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from tpcfm.errors import CheckpointError, ConfigError
from tpcfm.models.heads.settings import EdgeHead
from tpcfm.models.polar_mae.segmentation import SegmentationModel
from tpcfm.models.polar_mae.settings import PolarMaeModel
from tpcfm.models.polar_mae.token_encoder import TokenEncoder
from tpcfm.models.polar_mae.tokens import Tokens
from tpcfm.nn.low_rank import merge_low_rank
from tpcfm.nn.padded import Padded
from tpcfm.nn.queries import TrackSet
from tpcfm.prepare.packing import Batch
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.architectures import Choice, HeadRequest
from tpcfm.systems.polar_mae.attention_map import attention_maps, typical_queries
from tpcfm.systems.polar_mae.batches import GroupBatches
from tpcfm.systems.polar_mae.edge_batches import EdgeBatches
from tpcfm.systems.polar_mae.reconstruction import load_autoencoder, reconstruct_event
from tpcfm.systems.polar_mae.settings import SegmentationConfig
from tpcfm.systems.polar_mae.support import load_encoder, pretrained_model_config
from tpcfm.systems.trained import load_model
from tpcfm.tasks.answers import Answer, Embedder, Predictor, Tensors, class_answer, set_answer
from tpcfm.tasks.clusterings import Join, split_edges
from tpcfm.tasks.joining import trees_of
from tpcfm.tasks.support import Collate
from tpcfm.tasks.traceable import GEOMETRY, JOINING, Labelled, NotTraceable, Traceable, labelled_outputs
from tpcfm.train import StepInfo, load_config

TOKENS = {
    "token_offsets": ("bounds",),
    "token_slots": ("longest_tokens",),
    "token_centre": ("tokens", ""),
    "token_points": ("tokens", "", ""),
    "token_valid": ("tokens", ""),
    "nearest": ("points", ""),
    "nearest_weight": ("points", ""),
}
NOT_TRAINING = StepInfo(step=0, epoch=0, seed=0, training=False)


def predictor(folder: Path, store: PreparedStore, device: torch.device) -> Predictor:
    """Return a trained head with its encoder.

    Raises:
        CheckpointError: the head does not fit the groups.
    """
    config = load_config(folder)
    trained, given = config["tokenizer"]["radius"], store.settings["radius"]
    if trained != given:
        raise CheckpointError(f"{folder}: trained on groups of radius {trained} pitches, {store.folder} has {given}")
    model, label = load_model(folder).to(device), config["label"]
    merge_low_rank(model)
    batches: Collate = GroupBatches(points=True)
    edge_head = None
    if held_head := config.get("edge_head"):
        assert isinstance(model, SegmentationModel)
        edge_head = EdgeHead.model_validate(held_head["settings"])
        batches = EdgeBatches(model, edge_head, not config["classes"], device, keep=0)

    @torch.no_grad()
    def answer(batch: Batch, tensors: Tensors) -> dict[str, Answer]:
        found = model(tensors)
        if edge_head is not None and isinstance(found, tuple):
            joins = Join(edge_head.joining, store.detector, trees_of(model))
            events = [joins(event, config["clustering"]) for event in split_edges(batch, found)]
            return {label: Answer(np.concatenate(events))}
        return {label: set_answer(found[-1]) if isinstance(found, list) else class_answer(found)}

    return Predictor(lambda held, rows: batches(held, rows, NOT_TRAINING), answer)


def traceable(folder: Path, store: PreparedStore) -> Traceable | NotTraceable:
    """Return a trained head with its encoder for export.

    Raises:
        CheckpointError: the weights do not fit.
    """
    config, model = load_config(folder), load_model(folder)
    label, inputs = config["label"], dict(TOKENS)
    if config.get("edge_head"):
        if not config["classes"]:
            return NotTraceable(JOINING)
        inputs |= GEOMETRY
    elif config["classes"]:
        inputs |= {"point_xyz": ("points", ""), "point_event": ("points",)}
    else:
        inputs |= {"point_xyz": ("points", ""), "offsets": ("bounds",), "slots": ("longest",)}

    def run(given: dict[str, Tensor]) -> Mapping[str, Tensor | tuple[TrackSet, Padded]]:
        batch: dict[str, Any] = dict(given)
        batch["token_offsets"] = Padded.of(given["token_offsets"], given["token_slots"], given["token_centre"])
        if "offsets" in given:
            batch["offsets"] = Padded.of(given["offsets"], given["slots"], given["point_xyz"])
        found = model(batch)
        return {label: (found[-1], batch["offsets"]) if isinstance(found, list) else found}

    network = Labelled(model, run, list(inputs), store.detector, [label])
    return Traceable(network.eval(), inputs, labelled_outputs([label]))


def embedder(folder: Path, store: PreparedStore, device: torch.device, random: bool = False) -> Embedder:
    """Return the encoder of a pretraining run, or one like it with random weights; rows are tokens, nothing masked, layers its blocks.

    Raises:
        CheckpointError: another architecture, or one that does not fit the groups.
    """
    torch.manual_seed(0)
    encoder, batches = TokenEncoder(pretrained_model_config(folder, store)), GroupBatches()
    if not random:
        load_encoder(encoder, folder)
    encoder = encoder.eval().to(device)

    @torch.no_grad()
    def layers(tensors: Tensors) -> Tensor:
        _, found = encoder(Tokens.from_batch(tensors), layers=range(encoder.config.depth))
        return torch.stack([layer.float() for layer in found])

    return Embedder(
        lambda held, rows: batches(held, rows, NOT_TRAINING),
        layers,
        lambda found: found[-1],
        xyz="centre",
        offsets="token_offsets",
    )


def head_settings(config: Mapping[str, Any], request: HeadRequest) -> tuple[str, SegmentationConfig]:
    """Return recipe and settings of a head on a pretrained encoder, whose ``config.json`` is given."""
    block = SegmentationConfig(
        label=request.label,
        classes=request.classes,
        mode="peft" if request.mode == "frozen" else request.mode,
        tuning=request.tuning,
        n_labels=request.n_labels,
        model=PolarMaeModel.model_validate(config["model"]),
        train=request.train,
        seed=request.seed,
    )
    return "polar_mae.segment", block


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
