"""What `tpcfm show --run` draws: one event of any file seen by trained models, as plain arrays and tables."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from tpcfm.detectors.model import ClassLabel
from tpcfm.errors import ConfigError, DataError
from tpcfm.evaluate.embeddings import component_colours
from tpcfm.evaluate.serialized_path import event_paths
from tpcfm.inference.one_event import prepared_event
from tpcfm.inference.picture_choice import Choice, choose_picture
from tpcfm.inference.predict import LABELS, predict_event
from tpcfm.models.fm4npp.settings import Fm4nppModel
from tpcfm.models.polar_mae.token_encoder import TokenEncoder
from tpcfm.prepare.sequences.serialization import BinEdges
from tpcfm.prepare.sequences.settings import TargetConfig
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.fm4npp.backbone_features import equal_mix, event_batch
from tpcfm.systems.fm4npp.support import load_backbone, new_backbone
from tpcfm.systems.polar_mae.attention_map import attention_maps, typical_queries
from tpcfm.systems.polar_mae.batches import GroupBatches
from tpcfm.systems.polar_mae.probe import encode
from tpcfm.systems.polar_mae.reconstruction import load_autoencoder, reconstruct_event
from tpcfm.systems.polar_mae.support import load_encoder, pretrained_model_config


def picture_data(file: Path, row: int, runs: Sequence[Path], picture: str, choice: Choice) -> dict[str, Any]:
    """Return what a picture shows.

    Args:
        file: raw file, event table or folder of a prepared cache.
        row: event.
        runs: model directories; ``prediction`` and ``features`` take several, the others one.
        picture: one of `PICTURES`, ``segmentation`` (another name of ``prediction``), or "" for what fits the first run.
        choice: what to look at.

    Returns:
        ``picture event_id points detector`` and what the picture needs: ``events task``, ``tokens attention``, ``event``, ``tables`` or ``paths``.

    Raises:
        ConfigError: a picture that does not exist, or a layer, head, token or mask ratio out of range.
        CheckpointError: a run that cannot make this picture, or runs whose events are prepared differently.
        DataError: no such file or event.
    """
    picture, configs = choose_picture(runs, picture)
    with tempfile.TemporaryDirectory() as folder:
        store, at = prepared_event(file, row, configs[0], Path(folder))
        makers = {
            "prediction": _prediction,
            "attention": _attention,
            "reconstruction": _reconstruction,
            "features": _features,
            "order": _order,
        }
        found = makers[picture](store, at, runs, configs, choice)
        about = {"picture": picture, "event_id": store.value(at, "event_id"), "points": int(store.lengths[at])}
        return {**about, "detector": store.detector, **found}


def _prediction(
    store: PreparedStore, row: int, runs: Sequence[Path], configs: Sequence[dict[str, Any]], choice: Choice
) -> dict[str, Any]:
    events = {run.name: predict_event(run, store, row) for run in runs}
    tasks = {event["task"] for event in events.values()}
    if len(tasks) > 1:
        raise ConfigError(
            f"--run: the runs predict different things ({', '.join(sorted(tasks))}); show them one by one"
        )
    task = tasks.pop()
    task = {"segmentation": "semantic", **LABELS}.get(task, task)
    label = store.detector.labels[task]
    if isinstance(label, ClassLabel):  # networks number the classes, pictures name the values of the label
        events = {name: {**event, "prediction": label.decode(event["prediction"])} for name, event in events.items()}
    return {"events": events, "task": task}


def _attention(
    store: PreparedStore, row: int, runs: Sequence[Path], configs: Sequence[dict[str, Any]], choice: Choice
) -> dict[str, Any]:
    model = pretrained_model_config(runs[0], store)
    for name, value, count in (("layer", choice.layer, model.depth), ("head", choice.head, model.heads)):
        if value is not None and not 1 <= value <= count:
            raise ConfigError(f"--{name} {value}: this model has 1 to {count}")
    count = len(store.value(row, "group_offset")) - 1
    for token in choice.tokens:
        if not 0 <= token < count:
            raise ConfigError(f"--token {token}: this event has tokens 0 to {count - 1}")
    queries = {f"token {token}": token for token in choice.tokens} or typical_queries(store, row) or {"token 0": 0}
    found = attention_maps(
        runs[0],
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


def _reconstruction(
    store: PreparedStore, row: int, runs: Sequence[Path], configs: Sequence[dict[str, Any]], choice: Choice
) -> dict[str, Any]:
    if not 0 < choice.mask_ratio < 1:
        raise ConfigError(f"--mask-ratio {choice.mask_ratio}: must lie between 0 and 1")
    model = load_autoencoder(runs[0], store)
    collate = GroupBatches(mask_ratio=choice.mask_ratio)
    return {"event": reconstruct_event(model, store, row, collate, choice.seed)}


def _features(
    store: PreparedStore, row: int, runs: Sequence[Path], configs: Sequence[dict[str, Any]], choice: Choice
) -> dict[str, Any]:
    """Colours of the features of every run, after those of random weights of the first run's architecture."""
    torch.manual_seed(0)
    if configs[0]["architecture"] == "fm4npp":
        model = Fm4nppModel.model_validate(configs[0]["model"])
        batch = event_batch(store, [row])
        xyz = batch["xyz"]
        features = {"random": equal_mix(new_backbone(model, TargetConfig(), 0), batch)}
        features |= {run.name: equal_mix(load_backbone(run, store), batch) for run in runs}
        return {"tables": {name: _coloured(xyz, values) for name, values in features.items()}}
    centre = np.asarray(store.value(row, "centre_xyz")).reshape(-1, 3)
    encoders = {"random": TokenEncoder(pretrained_model_config(runs[0], store))}
    for run in runs:
        encoders[run.name] = TokenEncoder(pretrained_model_config(run, store))
        load_encoder(encoders[run.name], run)
    rows = np.array([row])
    tables = {name: _coloured(centre, encode(one.eval(), store, rows).features) for name, one in encoders.items()}
    return {"tables": tables}


def _coloured(xyz: np.ndarray, features: np.ndarray) -> pd.DataFrame:
    colours = component_colours(features, xyz)
    return pd.DataFrame({**dict(zip("xyz", xyz.T, strict=True)), **dict(zip("rgb", colours.T, strict=True))})


def _order(
    store: PreparedStore, row: int, runs: Sequence[Path], configs: Sequence[dict[str, Any]], choice: Choice
) -> dict[str, Any]:
    if not store.manifest.get("edges"):
        raise DataError(f"{store.folder}: holds no box edges, so the raster order cannot be drawn")
    event = store[row]
    table = event_paths(event, BinEdges.from_dict(store.manifest["edges"], source=str(store.folder)), "track")
    same = table.attrs["same_next"] if event["track"] is not None else {}
    return {"paths": table.assign(same_next=table["order"].map(same).astype(float))}
