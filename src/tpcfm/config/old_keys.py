"""Keys of the first edition: a configuration that still uses one stops with the new spelling of it."""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from tpcfm.errors import ConfigError

KNOBS = ("max_points", "log_every", "checkpoint_every", "workers", "compile", "activation_checkpointing")
OLD: dict[str, str] = {
    "polar_mae": "systems: {polar_mae: {family: polar_mae, dataset: lartpc, ...}}",
    "fm4npp": "systems: {fm4npp: {family: fm4npp, dataset: collider, pretrain_dataset: collider_pretrain, ...}}",
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


def refuse_old_keys(values: Mapping[str, Any]) -> None:
    """Stop at keys of the first edition.

    Raises:
        ConfigError: names each with its new spelling.
    """
    said = []
    if isinstance(values.get("systems"), list):
        said.append(
            "  systems: a list; now one key for each system: systems: {fm4npp: {family: fm4npp, dataset: collider, ...}}"
        )
    for path in _paths(values):
        spelling = next((new for old, new in OLD.items() if fnmatchcase(path, old)), None)
        parts = path.split(".")
        in_training = parts[0] != "execution" and parts[-2:-1] in (["train"], ["pretrain"])
        if spelling is None and parts[-1] in KNOBS and in_training:
            spelling = f"execution: {{{parts[-1]}: ...}}, for some jobs: execution: {{stages: {{pretrain: {{{parts[-1]}: ...}}}}}}"
        if spelling is not None:
            said.append(f"  {path}: now {spelling}")
    if said:
        lines = "\n".join(said)
        raise ConfigError(f"the configuration has keys of the first edition (CHANGELOG.md, Migration):\n{lines}")


def _paths(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        path = f"{prefix}{key}"
        yield path
        if isinstance(value, Mapping):
            yield from _paths(value, f"{path}.")
