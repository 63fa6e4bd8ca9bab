"""Sizes of networks that differ from the published ones, which are the defaults of their settings."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from tpcfm.models.baselines.settings import GraphNetConfig, VoxelUNetConfig
from tpcfm.models.baselines.track_settings import EggNetConfig, ExaTrkxConfig, HeptConfig
from tpcfm.models.fm4npp.settings import AdapterConfig

BLOCKS: dict[str, type[BaseModel]] = {
    "graph": GraphNetConfig,
    "voxel": VoxelUNetConfig,
    "eggnet": EggNetConfig,
    "exatrkx": ExaTrkxConfig,
    "hept": HeptConfig,
}
NOT_SIZES = ("eps", "thresholds", "min_cluster", "min_samples", "stage_steps")


def reduced(config: Mapping[str, Any]) -> str:
    """Name the sizes of a run that differ from the paper's: ``width 64 (256)``.

    Args:
        config: settings of the run.
    """
    found = [(config[name], kind) for name, kind in BLOCKS.items() if config.get(name)]
    fields: list[str] = []
    if not found and "outputs" in config:
        found, fields = (
            [(config, AdapterConfig)],
            ["width", "queries"] if 0 in config["outputs"].values() else ["width"],
        )
    parts = []
    for values, kind in found:
        usual = {name: field.get_default(call_default_factory=True) for name, field in kind.model_fields.items()}
        for name in fields or [n for n in usual if n not in NOT_SIZES]:
            ours, paper = (list(v) if isinstance(v, tuple | list) else v for v in (values[name], usual[name]))
            if ours != paper:
                parts.append(f"{name.replace('_', ' ')} {ours} ({paper})")
    return ", ".join(parts)
