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


class _Loader(yaml.SafeLoader):
    """Refuses a key that a mapping holds twice; YAML's own loader would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[Any, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            name, line = self.construct_object(key), key.start_mark.line + 1  # type: ignore[no-untyped-call]
            if name in lines:
                raise ConfigError(f"line {line}: the key {name!r} stands here again, first in line {lines[name]}")
            lines[name] = line
        return super().construct_mapping(node, deep)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        ConfigError: cannot be read, not text in UTF-8, not YAML, a key twice, or not a mapping.
    """
    try:
        value = yaml.load(Path(path).read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a SafeLoader
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file") from error
    except UnicodeDecodeError as error:
        wrong = error.object[error.start]
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}: line {line}: not UTF-8 (byte 0x{wrong:02x}); save the file as UTF-8") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    except (
        yaml.YAMLError,
        ValueError,
        RecursionError,
    ) as error:  # dates and numbers that are none; thousands of brackets
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: expected a mapping of keys, found {type(value).__name__}")
    return value


def explain(error: ValidationError, root: type | None = None) -> str:
    """Say each violation as ``key: problem (found value)``, one a line; ``root`` is the block that was checked."""
    lines = []
    for item in error.errors():
        keys, block = _place(root, item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            allowed = sorted(getattr(block, "model_fields", {}))
            message = "unknown key" + (f"; allowed here: {', '.join(allowed)}" if allowed else "")
        if not isinstance(item.get("input"), Mapping):  # a whole block is named by its key
            found = repr(item.get("input"))
            message += f" (found {found if len(found) <= 120 else found[:117] + '...'})"
        lines.append("  " + ": ".join(filter(None, [".".join(keys), message])))
    return "\n".join(lines)


def _place(root: Any, location: tuple[int | str, ...]) -> tuple[list[str], Any]:
    """Return the keys that a location goes through, without the tags of unions, and the innermost block that holds the last."""
    keys: list[str] = []
    inside = here = root
    for part in location:
        kinds = [here, *getattr(here, "__args__", ())]
        tagged = next((kind for kind in kinds[1:] if part in _tags(kind)), None)  # of a union; a block has none
        if tagged is not None:
            here = tagged
            continue
        keys.append(str(part))
        inside = next((kind for kind in kinds if hasattr(kind, "model_fields")), None)
        fields = getattr(inside, "model_fields", {})
        if part in fields:
            here = fields[part].annotation
        else:  # an entry of a mapping or list
            here = kinds[-1] if len(kinds) > 1 else None
        while getattr(here, "__metadata__", None):
            here = here.__origin__
    return keys, inside


def _tags(kind: Any) -> set[Any]:
    """Return the values that choose a block among those of a union."""
    fields = getattr(kind, "model_fields", {})
    return {
        value
        for name in ("family", "kind", "shape")
        if name in fields
        for value in getattr(fields[name].annotation, "__args__", ())
    }
