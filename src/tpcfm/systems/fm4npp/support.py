"""What the FM4NPP recipes share: building, saving and loading the backbone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from tpcfm.detectors.model import Detector
from tpcfm.errors import CheckpointError
from tpcfm.models.fm4npp.backbone import Fm4npp, slots_of
from tpcfm.models.fm4npp.settings import Fm4nppModel
from tpcfm.prepare.sequences.settings import TargetConfig
from tpcfm.prepare.store import PreparedStore
from tpcfm.train import load_config, load_weights

ARCHITECTURE = "fm4npp"
METHOD = "Method: arXiv 2508.14087."


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
        "detector": store.detector.model_dump(mode="json", exclude_defaults=True),
        **made_with(store),
    }


def made_with(store: PreparedStore) -> dict[str, Any]:
    """Return how the sequences of a cache were made: serialization and box edges."""
    return {"serialization": store.settings["serialization"], "edges": store.manifest.get("edges")}


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
    """Make sure that sequences were made in the way a model directory was trained on, be it of another detector.

    Raises:
        CheckpointError: another order, other ranges or scaling of the signal, or other box edges.
    """
    made, given = _seen(config), _seen({"detector": store.manifest["detector"], **made_with(store)})
    changed = {key: (made[key], given[key]) for key in made if made[key] != given[key]}
    edges = changed.pop("edges", None)
    if changed:
        raise CheckpointError(
            f"{folder}: trained on sequences made otherwise than {store.folder} (trained, given): {changed}"
        )
    if edges is not None and edges[0] is not None:
        raise CheckpointError(
            f"{folder}: trained with other box edges than those of {store.folder}, so points would come in another order; "
            "prepare the cache with the edges of the model (edges.json beside its cache, or `edges` in its config.json)"
        )


def _seen(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides how a network sees points, of a ``config.json`` or a cache."""
    # `max_points` is a cut on events, not on how a point is seen.
    order = {key: value for key, value in config["serialization"].items() if key != "max_points"}
    edges = config.get("edges")
    detector = Detector.model_validate(config["detector"])
    return {
        **order,
        "ranges": detector.sequence_ranges(order["preset"]),
        "signal": None if edges is None else edges["signal"],
        "edges": None if edges is None else edges["axes"],
    }
