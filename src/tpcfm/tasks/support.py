"""What recipes share: choosing events, batches, identity, weights to start from, rows of metrics, model card."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from tpcfm import backends
from tpcfm.config.training import TrainConfig
from tpcfm.errors import CheckpointError, DataError
from tpcfm.files import sha256
from tpcfm.plan.run import Run
from tpcfm.prepare.groups.batches import Batch
from tpcfm.prepare.store import PreparedStore
from tpcfm.train import PackedSource, StepInfo, load_config, load_weights
from tpcfm.workspace import Workspace

Rows = npt.NDArray[np.int64]
Collate = Callable[[PreparedStore, Rows, StepInfo], Batch]
LOG = logging.getLogger(__name__)


def choose_device(device: str | None) -> torch.device:
    """Return the device asked for, else this rank's CUDA device, else the CPU."""
    if device:
        return torch.device(device)
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def events_of(store: PreparedStore, split: str) -> Rows:
    """Return the rows of a split.

    Raises:
        DataError: it has none.
    """
    rows = np.asarray(store.rows(split), dtype=np.int64)
    if not len(rows):
        raise DataError(f"{store.folder}: no events in split {split!r}; prepare more events or change the split shares")
    return rows


def spread(rows: Rows, count: int) -> Rows:
    """Return at most ``count`` rows at even distances, so that every file contributes."""
    return rows if len(rows) <= count else rows[np.linspace(0, len(rows) - 1, count).round().astype(np.int64)]


def packed_source(store: PreparedStore, rows: Rows, collate: Collate, train: TrainConfig, seed: int) -> PackedSource:
    """Return the training batches of some events, as the settings of a training say."""
    return PackedSource(
        store,
        rows,
        collate,
        batch_size=train.batch_size,
        max_points=train.max_points,
        seed=seed,
        workers=train.workers,
    )


def evaluation_batches(
    store: PreparedStore, rows: Rows, collate: Collate, max_points: int, seed: int
) -> Iterator[tuple[StepInfo, Batch]]:
    """Yield batches of consecutive events, at most ``max_points`` points each (a larger event alone), not augmented."""
    info = StepInfo(step=0, epoch=0, seed=seed, training=False)
    start, used = 0, 0
    for stop, points in enumerate(store.lengths[rows]):
        if stop > start and used + points > max_points:
            yield info, collate(store, rows[start:stop], info)
            start, used = stop, 0
        used += int(points)
    if start < len(rows):
        yield info, collate(store, rows[start:], info)


def identity(run: Run, store: PreparedStore, workspace: Workspace) -> dict[str, Any]:
    """Return what names a training: recipe, resolved run, fingerprint of its data, weights it starts from."""
    start = None
    if run.pretrained is not None:
        weights = workspace.run(run.pretrained) / "model.safetensors"
        if not weights.is_file():
            raise CheckpointError(f"{weights}: no weights here; run {run.pretrained} must finish first")
        start = sha256(weights)
    return {"recipe": run.recipe, "run": run.hash, "data": store.fingerprint, "start": start}


def start_weights(model: nn.Module, folder: Path, architectures: Sequence[str], renewed: Sequence[str]) -> None:
    """Load the weights of another pretrained run, perhaps on another detector, to train on from them.

    Args:
        model: new weights.
        folder: model directory of the other run.
        architectures: kinds of model directories that fit.
        renewed: prefixes of weights that stay new where their shapes differ, or the other run lacks them.

    Raises:
        CheckpointError: another architecture, or other weights that do not fit.
    """
    found = load_config(folder).get("architecture")
    if found not in architectures:
        raise CheckpointError(f"{folder}: a model of architecture {found!r}; needed is {' or '.join(architectures)}")
    left = load_weights(model, folder, renewed=renewed)
    LOG.info("weights of %s, but %s", folder.name, f"new ones for {', '.join(left)}" if left else "nothing new")


def run_columns(run: Run) -> dict[str, Any]:
    """Return the columns of the metrics table that say which run a row belongs to."""
    return {"run": run.id, "system": run.system, "family": run.family, "dataset": run.dataset}


def metric_rows(
    run: Run,
    values: Mapping[str, float],
    intervals: Mapping[str, tuple[float, float]] | None = None,
    *,
    task: str,
    split: str,
    name: str = "",
    n_labels: int = -1,
) -> list[dict[str, Any]]:
    """Return rows of the metrics table, with 95 % intervals by metric where there are any; ``name`` is a class."""
    common = {**run_columns(run), "task": task, "split": split, "class": name, "n_labels": n_labels, "seed": run.seed}
    nothing = (float("nan"), float("nan"))
    return [
        {**common, "metric": metric, "value": value, "low": low, "high": high}
        for metric, value in values.items()
        for low, high in [(intervals or {}).get(metric, nothing)]
    ]


def run_record(run: Run, store: PreparedStore, seconds: float) -> dict[str, Any]:
    """Return what goes into ``run.json`` beside versions and machine."""
    return {
        "run": run.model_dump(mode="json"),
        "seconds": seconds,
        "data": store.fingerprint,
        "backends": backends.used(),
    }


def card_values(rows: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Return what a card lists of a metrics table: overall values by task and metric, with the split if it is not the test.

    One metric can stand there for two splits (the calibrated Rand index: of the validation events it was tuned on, and of the test).
    """
    values = {}
    for row in rows:
        if not row.get("class"):
            split = f"{row['split']} " if row["split"] not in ("", "test") else ""
            values[f"{row['task']} {split}{row['metric'].removeprefix(split.strip() + '_')}"] = row["value"]
    return values


def model_card(
    title: str, run: Run, store: PreparedStore, model: nn.Module, values: Mapping[str, float], what: str = ""
) -> str:
    """Return a model card in Markdown: what it is, what made it, what it reached, how to load it."""
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    table = "\n".join(f"| {name} | {value:.5g} |" for name, value in values.items())
    return f"""# {title}

Run `{run.id}` of recipe `{run.recipe}`, {trained:,} trained parameters, made by tpcfm on dataset `{run.dataset}` of the detector
`{store.detector.name}` ({store.manifest["kind"]} cache `{run.cache}`, {len(store)} events, fingerprint `{store.fingerprint[:12]}`),
seed {run.seed}. {what}

| value | |
|---|---|
{table}

`config.json` holds the architecture, the detector and how its events are prepared, `model.safetensors` the weights; `run.json` says
with which versions, backends, machine and data they were made.
"""
