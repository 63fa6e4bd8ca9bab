"""Configurations of the repository with changes laid over them, and their plans."""

from pathlib import Path
from typing import Any

from tpcfm.config.text import merge, read_yaml
from tpcfm.plan.table import Plan
from tpcfm.systems.registry import make_plan, validate

ROOT = Path(__file__).resolve().parents[2]


def values(over: dict[str, Any] | None = None, scale: str | None = None) -> dict[str, Any]:
    """Return the plain configuration of a scale (the demo without one) with changes laid over it, as Snakemake does."""
    found = read_yaml(ROOT / "config.yaml")
    if scale:
        found = merge(found, read_yaml(ROOT / f"workflow/scales/{scale}.yaml"))
    return merge(found, over or {})


def planned(over: dict[str, Any] | None = None, scale: str | None = None) -> Plan:
    """Return the plan of such a configuration."""
    return make_plan(validate(values(over, scale)))


def setting(key: str, value: Any) -> dict[str, Any]:
    """Return ``{"a": {"b": value}}`` for the key ``a.b``."""
    for part in reversed(key.split(".")):
        value = {part: value}
    return value
