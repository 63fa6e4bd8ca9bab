"""Configurations of the repository with changes laid over them, and their plans."""

import atexit
import shutil
import tempfile
from pathlib import Path
from typing import Any

from releases import paper_lists
from tpcfm.config.text import merge, read_yaml
from tpcfm.plan.table import Plan
from tpcfm.systems.registry import make_plan, validate

LISTS = Path(tempfile.mkdtemp(prefix="tpcfm-lists-"))
"""Where the lists of the public releases lie that the paper's plan needs."""
atexit.register(shutil.rmtree, LISTS, ignore_errors=True)
ROOT = Path(__file__).resolve().parents[2]


def values(over: dict[str, Any] | None = None, scale: str | tuple[str, ...] | None = None) -> dict[str, Any]:
    """Return the plain configuration of a scale (the demo without one) with changes laid over it, as Snakemake does."""
    found = read_yaml(ROOT / "config.yaml")
    for name in (scale,) if isinstance(scale, str) else scale or ():
        found = merge(found, read_yaml(ROOT / f"workflow/scales/{name}.yaml"))
    if scale == "paper":
        found = merge(found, paper_lists(LISTS))
    return merge(found, over or {})


def planned(over: dict[str, Any] | None = None, scale: str | tuple[str, ...] | None = None) -> Plan:
    """Return the plan of such a configuration."""
    return make_plan(validate(values(over, scale)))


def setting(key: str, value: Any) -> dict[str, Any]:
    """Return ``{"a": {"b": value}}`` for the key ``a.b``."""
    for part in reversed(key.split(".")):
        value = {part: value}
    return value
