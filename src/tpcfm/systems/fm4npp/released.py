"""Turn a published FM4NPP checkpoint and its box edges into a model directory."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from tpcfm.detectors.registry import load_detector
from tpcfm.errors import CheckpointError, DataError
from tpcfm.files import read_json
from tpcfm.models.fm4npp.backbone import Fm4npp
from tpcfm.prepare.sequences.serialization import BoxEdges
from tpcfm.prepare.sequences.settings import RELEASED_SERIALIZATION, TargetConfig
from tpcfm.systems.fm4npp.released_weights import from_released, infer_config, unwrap
from tpcfm.systems.fm4npp.support import ARCHITECTURE
from tpcfm.train import save_model


def import_released(checkpoint: Path, edges: Path, folder: Path) -> Fm4npp:
    """Read a published checkpoint (nothing in it is executed) and write it as a model directory with ``released`` settings.

    Args:
        checkpoint: ``.ckpt``/``.pt`` (tensors only are unpickled) or ``.safetensors``.
        edges: the box edges it was trained with, in the format of a cache's ``edges.json``. They are not optional: edges
            derived anew from other data would feed the model points in another order, with no error to be seen.
        folder: the model directory to write.

    Raises:
        ConfigError: the edges are of a detector that is not known here.
        DataError: the edges file is missing, is none, or was fitted for other features or boxes.
        CheckpointError: the checkpoint is damaged or of another layout.
    """
    if not edges.is_file():
        raise DataError(
            f"{edges}: no such file; the box edges of the checkpoint are needed, they are never derived anew"
        )
    serialization = RELEASED_SERIALIZATION
    try:
        fitted = read_json(edges)
        read = BoxEdges.from_dict(fitted, source=str(edges))
        read.check(serialization, source=str(edges))
    except DataError as error:
        raise DataError(f"{error}. Needed are the box edges that the checkpoint was trained with") from error
    detector = load_detector(read.detector).with_scaling(read.signal)
    model, slots = _read(checkpoint)
    targets = TargetConfig(k=slots, candidates="later_index")
    save_model(
        folder,
        model,
        config={
            "architecture": ARCHITECTURE,
            "model": model.config.model_dump(mode="json"),
            "targets": targets.model_dump(mode="json"),
            "serialization": serialization.model_dump(mode="json"),
            "edges": fitted,
            "detector": detector.model_dump(mode="json", exclude_defaults=True),
        },
        card=f"# FM4NPP backbone, imported\n\nWidth {model.config.width}, from `{checkpoint.name}` (arXiv 2508.14087).",
        run={"imported": checkpoint.name},
        history=[],
    )
    return model


def _read(checkpoint: Path) -> tuple[Fm4npp, int]:
    """Return the backbone in a published checkpoint, and the points that it predicts at every point."""
    try:
        content = (
            load_file(checkpoint)
            if checkpoint.suffix == ".safetensors"
            else torch.load(checkpoint, "cpu", weights_only=True)
        )
    except FileNotFoundError as error:
        raise CheckpointError(f"{checkpoint}: no such file") from error
    except Exception as error:  # readers of zip, pickle and tensors raise a dozen different classes
        raise CheckpointError(f"{checkpoint}: {_unreadable(checkpoint, str(error))}") from error
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"{checkpoint}: holds a {type(content).__name__}; needed are weights by name (a state dict)"
        )
    try:
        state = from_released(unwrap(content))
        config, slots = infer_config(state)
        model = Fm4npp(config, slots)
        model.load_state_dict(state)
    except CheckpointError as error:
        raise CheckpointError(
            f"{checkpoint}: {error}. Is it a published FM4NPP checkpoint? PoLAr-MAE weights: `tpcfm import-polar-mae`"
        ) from error
    except (RuntimeError, ValidationError) as error:  # names or shapes of single weights
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{checkpoint}: the weights do not make an FM4NPP backbone: {reason}") from error
    return model, slots


def _unreadable(checkpoint: Path, error: str) -> str:
    """Say why a file was not read, without what PyTorch advises: to run what is in it."""
    if asked := re.search(r"Unsupported global: GLOBAL (\S+)", error):
        return f"cannot be read without executing code: it asks for {asked.group(1)}; needed is a file of tensors alone"
    if checkpoint.suffix == ".safetensors":
        return f"not a readable safetensors file: {error.splitlines()[0]}"
    return "not a PyTorch checkpoint (*.ckpt, *.pt) nor a .safetensors file, or damaged"
