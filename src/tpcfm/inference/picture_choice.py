"""Which picture `tpcfm show` makes of a model: what a model directory says it is, and what that can show. Imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tpcfm.errors import CheckpointError, ConfigError, DataError
from tpcfm.train import load_config

SEGMENTATION = "polar_mae_segmentation"
ADAPTERS = {
    "fm4npp_tracks": "tracks",
    "fm4npp_pid": "pid",
    "fm4npp_noise": "noise",
    "fm4npp_pid_noise": "pid",
}
"""Architecture of an adapter and the task whose labels it predicts."""
AUTOENCODERS = ("polar_mae", "point_mae")
PICTURES = {
    "prediction": (SEGMENTATION, *ADAPTERS),
    "attention": AUTOENCODERS,
    "reconstruction": AUTOENCODERS,
    "features": (*AUTOENCODERS, "fm4npp"),
    "order": ("fm4npp", *ADAPTERS),
}
"""Pictures and the architectures that can make them."""
MASK_RATIO = 0.6


@dataclass(frozen=True)
class Choice:
    """What to look at: layer and head from 1 and tokens from 0 (attention); masked share and seed (reconstruction)."""

    layer: int | None = None
    head: int | None = None
    tokens: Sequence[int] = ()
    mask_ratio: float = MASK_RATIO
    seed: int = 0


def choose_picture(runs: Sequence[Path], picture: str) -> tuple[str, list[dict[str, Any]]]:
    """Return the picture to make and what the model directories say in their ``config.json``.

    Args:
        runs: model directories.
        picture: one of `PICTURES`, ``segmentation`` (another name of ``prediction``), or "" for what fits the first run.

    Raises:
        ConfigError: a picture that does not exist, or several runs where it shows one.
        CheckpointError: a run that cannot make this picture, or runs whose events are prepared differently.
        DataError: no such run.
    """
    configs = [_config(run) for run in runs]
    picture = _chosen(picture, runs, configs)
    if len(runs) > 1 and picture not in ("prediction", "features"):
        raise ConfigError(f"--run: {len(runs)} runs; the picture {picture!r} shows one")
    made = [{k: c.get(k) for k in ("tokenizer", "serialization", "edges")} for c in configs]
    for run, other in zip(runs[1:], made[1:], strict=True):
        if other != made[0]:
            raise CheckpointError(f"{run}: prepares events in another way than {runs[0]}; show them one by one")
    return picture, configs


def _config(run: Path) -> dict[str, Any]:
    if not run.is_dir():
        raise DataError(f"--run {run}: no such folder; a run lies in results/runs/<id>")
    return load_config(run)


def _chosen(picture: str, runs: Sequence[Path], configs: Sequence[dict[str, Any]]) -> str:
    picture = {"segmentation": "prediction"}.get(picture, picture)
    kinds = [str(config.get("architecture")) for config in configs]
    if not picture:
        fitting = [name for name, architectures in PICTURES.items() if kinds[0] in architectures]
        if not fitting:
            raise CheckpointError(
                f"{runs[0]}: a model of architecture {kinds[0]!r} makes no pictures; where the folder holds a predictions.parquet, "
                "`tpcfm show` draws that file without --run"
            )
        picture = fitting[0]
    if picture not in PICTURES:
        raise ConfigError(f"--picture {picture!r}; allowed: {', '.join(PICTURES)}")
    for run, kind in zip(runs, kinds, strict=True):
        if kind not in PICTURES[picture]:
            possible = ", ".join(name for name, known in PICTURES.items() if kind in known) or "none"
            raise CheckpointError(
                f"{run}: a model of architecture {kind!r} makes no picture {picture!r}; it makes: {possible}"
            )
    return picture
