"""What `tpcfm show --run` draws: one event of any file seen by trained models, as plain arrays and tables."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pandas as pd

from tpcfm.detectors.model import Detector
from tpcfm.errors import ConfigError, DataError
from tpcfm.evaluate.embeddings import component_colours
from tpcfm.evaluate.serialized_path import event_paths
from tpcfm.inference.one_event import prepared_event
from tpcfm.inference.picture_choice import choose_picture
from tpcfm.inference.predict import predict_event, predicted_labels
from tpcfm.inference.trained import CPU, embedded
from tpcfm.prepare.sequences.serialization import BoxEdges
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.architectures import Choice, architecture_of


def picture_data(
    file: Path, row: int, runs: Sequence[Path], picture: str, choice: Choice, detector: Detector | None = None
) -> dict[str, Any]:
    """Return what a picture shows.

    Args:
        file: raw file, event table or folder of a prepared cache.
        row: event.
        runs: model directories; ``prediction`` and ``features`` take several, the others one.
        picture: one of `PICTURES`, another name of one, or "" for what fits the first run.
        choice: what to look at.
        detector: whose reader opens a raw file, if not that of the model.

    Returns:
        ``picture event_id points detector`` and what the picture needs: ``events task``, ``tokens attention``, ``event``, ``tables`` or ``paths``.

    Raises:
        ConfigError: a picture that does not exist, or a label, layer, head, token or mask ratio out of range.
        CheckpointError: a run that cannot make this picture, or runs whose events are prepared differently.
        DataError: no such file or event.
    """
    picture, configs = choose_picture(runs, picture)
    store, at = prepared_event(file, row, configs[0], detector)
    about = {"picture": picture, "event_id": store.value(at, "event_id"), "points": int(store.lengths[at])}
    about["detector"] = store.detector
    if picture == "prediction":
        return about | _prediction(store, at, runs, choice.label)
    if picture == "features":
        return about | {"tables": _features(store, at, runs, configs)}
    if picture == "order":
        return about | {"paths": _order(store, at)}
    maker = getattr(architecture_of(configs[0], runs[0]).module, picture)
    return {**about, **maker(runs[0], store, at, choice)}


def _prediction(store: PreparedStore, row: int, runs: Sequence[Path], label: str | None) -> dict[str, Any]:
    labels = {run: predicted_labels(run) for run in runs}
    common = [name for name in labels[runs[0]] if all(name in found for found in labels.values())]
    if not common:
        every = ", ".join(sorted({name for found in labels.values() for name in found}))
        raise ConfigError(f"--run: the runs predict different things ({every}); show them one by one")
    if label is not None and label not in common:
        raise ConfigError(f"--color {label}: not predicted by all of these runs; allowed: {', '.join(common)}")
    task = label or common[0]
    return {"events": {run.name: predict_event(run, store, row, task) for run in runs}, "task": task}


def _features(
    store: PreparedStore, row: int, runs: Sequence[Path], configs: Sequence[dict[str, Any]]
) -> dict[str, pd.DataFrame]:
    """Return colours of the features of every run, after those of random weights of the first run's architecture."""
    modules = [architecture_of(config, run).module for run, config in zip(runs, configs, strict=True)]
    models = {"random": modules[0].embedder(runs[0], store, CPU, random=True)}
    models |= {run.name: module.embedder(run, store, CPU) for run, module in zip(runs, modules, strict=True)}
    tables = {}
    for name, model in models.items():
        layers, xyz = embedded(model, store, row)
        tables[name] = _coloured(xyz.numpy(), model.summary(layers).numpy())
    return tables


def _coloured(xyz: npt.NDArray[Any], features: npt.NDArray[Any]) -> pd.DataFrame:
    colours = component_colours(features, xyz)
    return pd.DataFrame({**dict(zip("xyz", xyz.T, strict=True)), **dict(zip("rgb", colours.T, strict=True))})


def _order(store: PreparedStore, row: int) -> pd.DataFrame:
    if not store.manifest.get("edges"):
        raise DataError(f"{store.folder}: holds no box edges, so the raster order cannot be drawn")
    event = store[row]
    label = next(iter(store.detector.instances()), "")
    table = event_paths(event, BoxEdges.from_dict(store.manifest["edges"], source=str(store.folder)), label)
    same = table.attrs["same_next"] if event.get(label) is not None else {}
    return table.assign(same_next=table["order"].map(same).astype(float))
