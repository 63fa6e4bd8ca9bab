"""What the FM4NPP recipes share: building, saving and loading the backbone, the model card."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tpcfm import backends
from tpcfm.errors import CheckpointError
from tpcfm.models.fm4npp.backbone import Fm4npp, slots_of
from tpcfm.models.fm4npp.settings import Fm4nppModel
from tpcfm.plan.run import Run
from tpcfm.prepare.sequences.settings import TargetConfig
from tpcfm.prepare.store import PreparedStore
from tpcfm.train import load_config, load_weights

ARCHITECTURE = "fm4npp"


def new_backbone(model: Fm4nppModel, targets: TargetConfig, seed: int) -> Fm4npp:
    """Return a backbone with weights drawn from a seed."""
    torch.manual_seed(seed)
    return Fm4npp(model, slots_of(targets))


def backbone_config(model: Fm4nppModel, targets: TargetConfig, store: PreparedStore) -> dict[str, Any]:
    """Return what it takes to build the backbone again and to feed it: architecture, order, scaling, box edges."""
    return {
        "architecture": ARCHITECTURE,
        "model": model.model_dump(mode="json"),
        "targets": targets.model_dump(mode="json"),
        "serialization": store.settings["serialization"],
        "edges": store.manifest.get("edges"),
        "detector": "sphenix",
    }


def load_backbone(folder: Path, store: PreparedStore | None = None) -> Fm4npp:
    """Build the backbone of a model directory and load its weights.

    Args:
        folder: model directory of a pretrained run.
        store: the sequences it is to read; their order, scaling and box edges must be those of its training.

    Raises:
        CheckpointError: another architecture, weights that do not fit, or sequences made in another way.
    """
    config = load_config(folder)
    if config.get("architecture") != ARCHITECTURE:
        raise CheckpointError(
            f"{folder}: a model of architecture {config.get('architecture')!r}; needed is {ARCHITECTURE!r}"
        )
    if store is not None:
        check_sequences(folder, config, store)
    targets = TargetConfig.model_validate(config["targets"])
    model = Fm4npp(Fm4nppModel.model_validate(config["model"]), slots_of(targets))
    load_weights(model, folder)
    return model


def check_sequences(folder: Path, config: Mapping[str, Any], store: PreparedStore) -> None:
    """Make sure that sequences were made in the way a model directory was trained on.

    Raises:
        CheckpointError: another order, scaling or other box edges.
    """
    made, given = dict(config["serialization"]), dict(store.settings["serialization"])
    for settings in (made, given):
        settings.pop("max_points", None)  # a cut on events, not on how a point is seen
    if made != given:
        changed = {key: (made.get(key), given.get(key)) for key in {*made, *given} if made.get(key) != given.get(key)}
        raise CheckpointError(
            f"{folder}: trained on sequences made otherwise than {store.folder} (trained, given): {changed}"
        )
    if config.get("edges") is not None and config["edges"] != store.manifest.get("edges"):
        raise CheckpointError(
            f"{folder}: trained with other box edges than those of {store.folder}, so points would come in another order; "
            "prepare the cache with the edges of the model (edges.json beside its cache, or `edges` in its config.json)"
        )


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
    title: str, run: Run, store: PreparedStore, model: nn.Module, values: Mapping[str, float], what: str
) -> str:
    """Return a model card in Markdown: what it is, what made it, what it reached."""
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    table = "\n".join(f"| {name} | {value:.5g} |" for name, value in values.items())
    return f"""# {title}

Run `{run.id}` of recipe `{run.recipe}`, {trained:,} trained parameters, made by tpcfm on dataset `{run.dataset}`
(sequences cache `{run.cache}`, {len(store)} events, fingerprint `{store.fingerprint[:12]}`), seed {run.seed}.
Method: arXiv 2508.14087. {what}

| value | |
|---|---|
{table}

`config.json` holds architecture, order, scaling and box edges, `model.safetensors` the weights; `run.json` says with which
versions, backends, machine and data they were made.
"""
