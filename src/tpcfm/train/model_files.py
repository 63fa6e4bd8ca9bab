"""Files of a model directory, and its ``config.json``: what can be asked without torch."""

from pathlib import Path
from typing import Any

from tpcfm.errors import DataError
from tpcfm.files import read_json

WEIGHTS, CONFIG, CARD, RUN, LOG = "model.safetensors", "config.json", "README.md", "run.json", "log.parquet"


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
