"""Files of a model directory, and its ``config.json``: what can be asked without torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tpcfm.errors import DataError
from tpcfm.files import read_json

WEIGHTS, CONFIG, CARD, RUN, LOG = "model.safetensors", "config.json", "README.md", "run.json", "log.parquet"
BACKBONE = "backbone"
"""Folder within a model directory that holds the backbone it reads, where the model stands alone."""


def load_config(folder: str | Path) -> dict[str, Any]:
    """Return ``config.json`` of a model directory.

    Raises:
        DataError: missing, not JSON, or not an object.
    """
    path = Path(folder) / CONFIG
    found = read_json(path)
    if not isinstance(found, dict):
        raise DataError(f"{path}: holds a {type(found).__name__}; needed is an object with `architecture`")
    return found


def backbone_folder(folder: str | Path, config: Mapping[str, Any]) -> Path | None:
    """Return where the backbone of a model lies, or should: within its folder, or beside it as a run; None if it reads none."""
    if not config.get("pretrained"):
        return None
    within = Path(folder) / BACKBONE
    return within if within.is_dir() else Path(folder).parent / str(config["pretrained"])
