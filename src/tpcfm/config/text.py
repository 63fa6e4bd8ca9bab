"""YAML files and what pydantic says of them, in words: a wrong key or value with its name, the value given and what is allowed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from tpcfm.errors import ConfigError


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay ``over`` on ``base``: mappings are merged key by key, everything else is replaced (as Snakemake does)."""
    merged = dict(base)
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        ConfigError: no such file, not YAML, or not a mapping.
    """
    try:
        value = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: expected a mapping of keys, found {type(value).__name__}")
    return value


def explain(error: ValidationError, root: type | None = None) -> str:
    """Say each violation as ``key: problem (found value)``, one a line."""
    lines = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"]) or "(whole configuration)"
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            allowed = _allowed_keys(root, item["loc"][:-1]) if root else []
            message = "unknown key" + (f"; allowed here: {', '.join(allowed)}" if allowed else "")
        found = repr(item.get("input"))
        lines.append(f"  {key}: {message} (found {found if len(found) <= 120 else found[:117] + '...'})")
    return "\n".join(lines)


def _allowed_keys(root: type, path: tuple[Any, ...]) -> list[str]:
    """Return the field names of the block that lies at ``path`` below ``root``."""
    block: Any = root
    for part in path:
        fields = getattr(block, "model_fields", {})
        if part not in fields:
            return []
        candidates = [fields[part].annotation, *getattr(fields[part].annotation, "__args__", ())]
        block = next((c for c in candidates if hasattr(c, "model_fields")), None)
    return sorted(getattr(block, "model_fields", {}))
