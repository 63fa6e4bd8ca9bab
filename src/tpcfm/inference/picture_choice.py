"""Which picture `tpcfm show` makes of a model: what a model directory says it is, and what that can show. Imports no torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tpcfm.errors import CheckpointError, ConfigError, DataError
from tpcfm.systems.architectures import PICTURES, architecture_of
from tpcfm.train import load_config

OTHER_NAMES = {"segmentation": "prediction"}
SEVERAL = ("prediction", "features")
"""Pictures that show several runs side by side."""
NAMED = 12


def choose_picture(runs: Sequence[Path], picture: str) -> tuple[str, list[dict[str, Any]]]:
    """Return the picture to make and what the model directories say in their ``config.json``.

    Args:
        runs: model directories.
        picture: one of `PICTURES`, another name of one, or "" for what fits the first run.

    Raises:
        ConfigError: a picture that does not exist, or several runs where it shows one.
        CheckpointError: a run that cannot make this picture, or runs whose events are prepared differently.
        DataError: no such run.
    """
    configs = [_config(run) for run in runs]
    picture = OTHER_NAMES.get(picture, picture)
    if picture and picture not in PICTURES:
        raise ConfigError(f"--picture {picture!r}; allowed: {', '.join(PICTURES)}")
    possible = architecture_of(configs[0], runs[0]).pictures
    if not possible:
        raise CheckpointError(
            f"{runs[0]}: a model of architecture {configs[0]['architecture']!r} makes no pictures; these do: a pretrained backbone "
            "(features), a model that predicts a label (prediction)"
        )
    picture = picture or possible[0]
    for run, config in zip(runs, configs, strict=True):
        architecture_of(config, run, picture)
    if len(runs) > 1 and picture not in SEVERAL:
        raise ConfigError(f"--run: {len(runs)} runs; the picture {picture!r} shows one")
    made = [{k: c.get(k) for k in ("detector", "tokenizer", "serialization", "edges")} for c in configs]
    for run, other in zip(runs[1:], made[1:], strict=True):
        if other != made[0]:
            raise CheckpointError(f"{run}: prepares events in another way than {runs[0]}; show them one by one")
    return picture, configs


def _config(run: Path) -> dict[str, Any]:
    if not run.is_dir():
        beside = sorted(path.parent.name for path in run.parent.glob("*/config.json"))
        few = ", ".join(beside[:NAMED]) + (", ..." if len(beside) > NAMED else "")
        raise DataError(
            f"--run {run}: no such folder; " + (f"there are: {few}" if few else "a run lies in results/runs/<id>")
        )
    return load_config(run)
