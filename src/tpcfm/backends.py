"""Optional accelerators: what is installed, which one an operator uses, and what has been used.

Nothing is imported until an operator asks. The choice follows, in this order, :func:`configure` (the command line's ``--backend``), the
variable ``TPCFM_BACKEND``, and the preference below. ``torch`` is always there and never forbidden.
"""

import importlib
import importlib.metadata
import importlib.util
import os
from dataclasses import dataclass
from functools import lru_cache

from tpcfm.errors import ConfigError, MachineError


@dataclass(frozen=True)
class Accelerator:
    """A package that some operators can use."""

    package: str
    module: str
    devices: tuple[str, ...]
    note: str
    by_itself: bool = True
    """False: used only when forced."""


ACCELERATORS = {
    "numba": Accelerator("numba", "numba", ("cpu",), "compiled loops for the Mamba scan on the CPU"),
    "mamba_ssm": Accelerator("mamba-ssm", "mamba_ssm.ops.triton.ssd_combined", ("cuda",), "fused Mamba-2 scan"),
    "causal_conv1d": Accelerator("causal-conv1d", "causal_conv1d", ("cuda",), "fused short convolution"),
    "pytorch3d": Accelerator("pytorch3d", "pytorch3d.ops", ("cuda",), "sampling and neighbour search"),
    "spconv": Accelerator("spconv", "spconv.pytorch", ("cuda",), "sparse convolution"),
    "torch_geometric": Accelerator(
        "torch-geometric", "torch_geometric.nn", ("cpu", "cuda"), "layers of the graph networks", by_itself=False
    ),
}
PREFERENCE = {
    "mamba_scan": ("numba", "mamba_ssm"),
    "bidirectional_scan": ("mamba_ssm",),
    "mamba3_scan": (),
    "short_convolution": ("causal_conv1d",),
    "sparse_convolution": ("spconv",),
    "neighbour_search": ("pytorch3d",),
    "message_passing": ("torch_geometric",),
}
"""Operators and the accelerators that can run them, best first; ``torch`` comes last everywhere."""

_settings: dict[str, set[str]] = {"force": set(), "forbid": set()}
_used: dict[str, str] = {}


def configure(text: str) -> None:
    """Set what may and must be used.

    Args:
        text: "auto", "torch" (no accelerator at all), or names with a sign: "+mamba_ssm" must be used where it applies,
            "-numba" must not be used; several are joined by commas.

    Raises:
        ConfigError: unknown name.
        MachineError: a forced accelerator cannot be imported.
    """
    force: set[str] = set()
    forbid: set[str] = set()
    for word in filter(None, (w.strip() for w in text.split(","))):
        if word == "torch":
            forbid |= set(ACCELERATORS)
        elif word != "auto":
            name = word.lstrip("+-")
            if name not in ACCELERATORS:
                raise ConfigError(
                    f"backend {word!r}: unknown; allowed: auto, torch, +NAME or -NAME of {', '.join(ACCELERATORS)}"
                )
            (forbid if word.startswith("-") else force).add(name)
    for name in force:
        if not importable(name):
            raise MachineError(f"backend {name!r} is forced but cannot be used here: {found(name)}")
    _settings["force"], _settings["forbid"] = force, forbid - force
    _used.clear()


@lru_cache(maxsize=1)
def _from_environment() -> None:
    if text := os.environ.get("TPCFM_BACKEND"):
        configure(text)


@lru_cache
def importable(name: str) -> bool:
    """Return whether an accelerator's operators can be imported."""
    return _import_problem(name) == ""


@lru_cache
def _import_problem(name: str) -> str:
    accelerator = ACCELERATORS[name]
    if importlib.util.find_spec(accelerator.module.partition(".")[0]) is None:
        return "not installed"
    try:
        importlib.import_module(accelerator.module)
    except Exception as error:  # a broken build may raise anything; it must not break the program
        return f"installed but does not import: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
    return ""


def found(name: str) -> str:
    """Return the version of an accelerator, or why it cannot be used."""
    if problem := _import_problem(name):
        return problem
    return importlib.metadata.version(ACCELERATORS[name].package)


def choose(operator: str, device: str) -> str:
    """Return the backend of an operator on a device type ("cpu", "cuda") and remember it.

    Raises:
        ConfigError: unknown operator.
    """
    if operator not in PREFERENCE:
        raise ConfigError(f"operator {operator!r}: unknown; allowed: {', '.join(PREFERENCE)}")
    _from_environment()
    for name in PREFERENCE[operator]:
        if device in ACCELERATORS[name].devices and _allowed(name) and importable(name):
            break
    else:
        name = "torch"
    _used[f"{operator}/{device}"] = name
    return name


def _allowed(name: str) -> bool:
    forced = name in _settings["force"]
    return name not in _settings["forbid"] and (forced or ACCELERATORS[name].by_itself)


def used() -> dict[str, str]:
    """Return what has been chosen so far in this process, by ``operator/device``: for ``run.json``."""
    return dict(_used)


def report() -> list[dict[str, str]]:
    """Return one row per accelerator: ``name``, ``found`` (version or reason), ``used`` (what for and where)."""
    _from_environment()
    rows = []
    for name, accelerator in ACCELERATORS.items():
        operators = [operator for operator, names in PREFERENCE.items() if name in names]
        allowed = importable(name) and _allowed(name)
        where = f"{', '.join(operators)} on {'/'.join(accelerator.devices)}"
        rows.append(
            {"name": name, "found": found(name), "used": where if allowed else f"not used ({where}: PyTorch instead)"}
        )
    return rows
