"""The model directory: weights, architecture, card, provenance and log; written atomically, read without unpickling."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tpcfm.errors import CheckpointError
from tpcfm.files import atomic, short_hash, write_json, write_text
from tpcfm.train.distributed import is_main
from tpcfm.train.model_files import CARD, CONFIG, LOG, RUN, WEIGHTS
from tpcfm.train.provenance import provenance


def save_model(
    folder: str | Path,
    model: nn.Module,
    *,
    config: Mapping[str, Any],
    card: str,
    run: Mapping[str, Any],
    history: Iterable[Mapping[str, Any]],
) -> None:
    """Write ``model.safetensors``, ``config.json``, ``README.md``, ``run.json`` and ``log.parquet``.

    Each file appears whole or not at all, and the weights come last, so a folder with weights is complete. Under
    torchrun only the first process writes.

    Args:
        folder: made if need be.
        model: all parameters and persistent buffers are written, contiguous, in their own types.
        config: what it takes to build the model again (architecture, normalisation, box edges, detector); JSON-able.
        card: the model card, Markdown.
        run: the resolved run, timings, data fingerprints; versions, hardware, code revision and hash are added.
        history: rows of the training log (``FitResult.history``).

    Raises:
        CheckpointError: a weight is not finite; nothing is written.
    """
    if not is_main():
        return
    folder = Path(folder)
    # Tied weights share storage, which the format refuses: each name gets its own copy.
    tensors = {name: t.detach().cpu().contiguous().clone() for name, t in model.state_dict().items()}
    _refuse_infinite(folder / WEIGHTS, tensors)
    write_json(folder / CONFIG, dict(config))
    write_text(folder / CARD, card if card.endswith("\n") else card + "\n")
    write_json(folder / RUN, {**provenance(), "config_hash": short_hash(dict(config)), **run})
    with atomic(folder / LOG) as temporary:
        history_frame(history).to_parquet(temporary, index=False)
    with atomic(folder / WEIGHTS) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})


def _refuse_infinite(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    bad = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if bad:
        raise CheckpointError(
            f"{path}: {len(bad)} of {len(tensors)} weights hold values that are not finite: {', '.join(bad[:3])}"
        )


def history_frame(history: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return the log as a frame: ``step`` int64, ``split`` text, every other value float64 (NaN where a row lacks
    it)."""
    frame = pd.DataFrame(list(history))
    if frame.empty:
        frame = pd.DataFrame({"step": [], "split": []})
    frame["step"] = frame["step"].astype("int64")
    frame["split"] = frame["split"].astype("str")
    values = [c for c in frame.columns if c not in ("step", "split")]
    frame[values] = frame[values].apply(pd.to_numeric, errors="raise").astype("float64")
    return frame[["step", "split", *sorted(values)]]


def load_weights(
    model: nn.Module, folder: str | Path, *, prefix: str = "", strict: bool = True, renewed: Sequence[str] = ()
) -> list[str]:
    """Load the weights of a model directory into a model, in place.

    Args:
        model: already built with the directory's config.
        folder: the model directory.
        prefix: load only weights whose name starts with it, the prefix removed (``"encoder."`` takes the encoder).
        strict: every weight of the model must be found, and none may be left over.
        renewed: prefixes of weights that may be missing, left over or of another shape; the model's own are kept.

    Returns:
        Names of the model's weights that were not taken from the file (empty when strict and nothing is renewed).

    Raises:
        CheckpointError: no such file, damaged, values that are not finite, or names and shapes do not fit.
    """
    path = Path(folder) / WEIGHTS
    if not path.is_file():
        raise CheckpointError(f"{path}: no weights here; has the run finished?")
    try:
        tensors = load_file(path)
    except Exception as error:  # safetensors raises its own, undocumented classes
        raise CheckpointError(f"{path}: damaged weights: {error}") from error
    _refuse_infinite(path, tensors)
    if prefix:
        tensors = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
    own = model.state_dict()
    new = {n for n in own if n.startswith(tuple(renewed)) and (n not in tensors or tensors[n].shape != own[n].shape)}
    own = {n: t for n, t in own.items() if n not in new}
    tensors = {n: t for n, t in tensors.items() if n in own or not n.startswith(tuple(renewed))}
    unknown = sorted(set(tensors) - set(own))
    missing = sorted(set(own) - set(tensors))
    shapes = [
        f"{n}: file {tuple(t.shape)}, model {tuple(own[n].shape)}"
        for n, t in tensors.items()
        if n in own and t.shape != own[n].shape
    ]
    if shapes or not tensors or (strict and (unknown or missing)):
        raise CheckpointError(
            f"{path}: the weights do not fit the model"
            + (f"; shapes differ: {'; '.join(shapes[:3])}" if shapes else "")
            + (f"; not in the model: {unknown[:3]}" if unknown and strict else "")
            + (f"; not in the file: {missing[:3]}" if missing and strict else "")
            + (f"; nothing under {prefix!r}" if not tensors else "")
        )
    with torch.no_grad():
        model.load_state_dict({n: t for n, t in tensors.items() if n in own}, strict=False)
    return sorted({*missing, *new})
