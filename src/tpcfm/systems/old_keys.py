"""Keys of the first edition: a configuration that still uses one stops with the new spelling of it."""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from tpcfm.config.execution import Knobs
from tpcfm.errors import ConfigError

OLD: dict[str, str] = {
    "polar_mae": "systems: {polar_mae: {family: polar_mae, dataset: KEY, ...}}",
    "fm4npp": "systems: {fm4npp: {family: fm4npp, dataset: KEY, pretrain_dataset: KEY, ...}}",
    "tokenizer_study": "systems: {polar_mae: {tokenizer_study: {...}}}",
    "data.*.name": "the key itself is the name: data: {NAME: {detector: ..., ...}}",
    "*polar_mae.segmentation": "tasks: {semantic: {labels, seeds, train, steps_by_labels}} and heads: {modes, starts, class_weights}",
    "*polar_mae.sparse_unet": "baselines: {sparse_unet: {filters, depth, tasks: {semantic: {labels, seeds, train}}}}",
    "*polar_mae.sparse_unet_filters": "baselines: {sparse_unet: {filters: ...}}",
    "*polar_mae.sparse_unet_depth": "baselines: {sparse_unet: {depth: ...}}",
    "*.adapters.tracks": "tasks: {track: {...}} of the system",
    "*.adapters.pid": "tasks: {pid: {...}} of the system",
    "*.adapters.noise": "tasks: {noise: {...}} of the system",
    "*.joint.pid_weight": "joint: {weights: {pid: ..., noise: ...}}",
    "*.joint.noise_weight": "joint: {weights: {pid: ..., noise: ...}}",
    "*.baselines.point": "baselines: {classes: {models, graph, voxel, tasks: {pid: {...}, noise: {...}}}}",
    "*.baselines.tracks": "baselines: {instances: {models, eggnet, ..., tasks: {track: {...}}}}",
    "*.baselines.*.noise_models": "baselines: {classes: {only: {noise: [...]}}}",
    "*.baselines.*.training": "baselines: {instances: {tasks: {track: {...}}}}",
    "*.max_points_by_size": "execution: {runs: {'*-m6-*': {max_points: ...}}}",
    "*.serialization.scaling": "serialization: {preset: released}; without a preset the detector's own ranges are used",
}
"""Path in the configuration (``*`` stands for anything): new spelling."""
LIST = "one key for each system: systems: {fm4npp: {family: fm4npp, dataset: KEY, ...}}"


def refuse_old_keys(values: Mapping[str, Any]) -> None:
    """Stop at keys of the first edition.

    Raises:
        ConfigError: names each with its new spelling.
    """
    found: dict[str, list[str]] = {}
    if isinstance(values.get("systems"), list):
        found[LIST] = ["systems (a list)"]
    for path in _paths(values):
        if spelling := _spelling(path):
            found.setdefault(spelling, []).append(path)
    said = []
    for new, paths in found.items():
        more = f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""
        said.append(f"  {paths[0]}{more}: now {new}")
    if said:
        head = "the configuration has keys that are spelled otherwise now (CHANGELOG.md, Migration)"
        raise ConfigError("\n".join([f"{head}:", *said]))


def _spelling(path: str) -> str | None:
    """Return the new spelling of a key; None for one that is as it was."""
    *over, last = path.split(".")
    if len(over) == 2 and over[0] == "systems" and last in ("on", "True"):
        return "dataset: KEY (YAML reads `on:` as true)"
    new = next((new for old, new in OLD.items() if fnmatchcase(path, old)), None)
    if (
        new is None
        and last in Knobs.model_fields
        and over[:1] != ["execution"]
        and over[-1:] in (["train"], ["pretrain"])
    ):
        return f"execution: {{{last}: ...}}, for some jobs: execution: {{stages: {{pretrain: {{{last}: ...}}}}}}"
    return new


def _paths(values: Mapping[Any, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        path = f"{prefix}{key}"
        yield path
        if isinstance(value, Mapping):
            yield from _paths(value, f"{path}.")
