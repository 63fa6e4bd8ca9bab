"""Small liquid-argon-like events, a groups cache of them through the real tokenizer, and tiny configurations."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from event_tables import PILARNET, write_table
from tpcfm.detectors.model import Detector
from tpcfm.models.polar_mae.settings import PolarMaeModel
from tpcfm.plan.run import Run
from tpcfm.prepare.cache import write_manifest
from tpcfm.prepare.groups.batches import Batch
from tpcfm.prepare.groups.cache import write_part
from tpcfm.prepare.groups.settings import TokenizerConfig
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.polar_mae.batches import GroupBatches
from tpcfm.train import StepInfo
from tpcfm.workspace import Workspace

TOKENIZER = TokenizerConfig(min_points=16)
MODEL = PolarMaeModel(width=24, depth=3, heads=2, decoder_depth=1, embed_hidden=8, drop_path=0.1)
TRAIN = {"steps": 4, "batch_size": 3, "learning_rate": 2e-3, "evaluate_every": 2, "log_every": 2, "checkpoint_every": 2}


def toy_event(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A straight track with delta rays, a shower cone and a curled Michel electron, on the 768 lattice."""
    start = rng.uniform(250, 500, 3)
    direction = rng.standard_normal(3)
    direction /= np.linalg.norm(direction)
    track = start + np.arange(0, 90, 0.7)[:, None] * direction
    side = np.cross(direction, rng.standard_normal(3))
    delta = track[40] + np.arange(1, 9, 0.7)[:, None] * side / np.linalg.norm(side)
    angle = np.linspace(0, 4, 25)[:, None]
    michel = track[-1] + 5 * np.hstack([np.sin(angle), 1 - np.cos(angle), angle / 2])
    depth = rng.uniform(0, 50, 150)[:, None]
    shower = start + depth * rng.standard_normal(3) / 2 + rng.standard_normal((150, 3)) * (1 + depth / 12)
    parts = [(shower, 0, 0.8), (track, 1, 1.6), (michel, 2, 2.4), (delta, 3, 3.2)]
    xyz = np.concatenate([p for p, _, _ in parts]).round().astype(np.int16).clip(0, 767)
    semantic = np.concatenate([np.full(len(p), c, np.int8) for p, c, _ in parts])
    energy = np.concatenate([rng.gamma(6, scale / 6, len(p)) + 0.15 for p, _, scale in parts]).astype(np.float32)
    _, first = np.unique(xyz, axis=0, return_index=True)
    xyz, semantic, energy = xyz[first], semantic[first], energy[first]
    return {"x": xyz[:, 0], "y": xyz[:, 1], "z": xyz[:, 2], "energy": energy, "semantic": semantic}


def toy_cache(
    folder: Path,
    events: int = 24,
    seed: int = 0,
    detector: Detector = PILARNET,
    make: Callable[[np.random.Generator], Mapping[str, Any]] = toy_event,
    tokenizer: TokenizerConfig = TOKENIZER,
) -> PreparedStore:
    """Write a groups cache; half of the events train, a quarter each validate and test."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    splits = ("train", "validation", "train", "test")
    made = [{"event_id": f"toy/a/{i}", "split": splits[i % 4], **make(rng)} for i in range(events)]
    write_table(folder / "toy.parquet", detector, made)
    write_part(folder / "toy.parquet", folder / "toy.arrow", tokenizer)
    write_manifest(folder, name="toy")
    return PreparedStore(folder)


def toy_workspace(root: Path, events: int = 24) -> Workspace:
    """A workspace with the toy cache under the name ``toy``."""
    workspace = Workspace(root)
    toy_cache(workspace.cache("toy"), events)
    return workspace


def toy_run(recipe: str, config: dict, **more: object) -> Run:
    """A run on the toy cache."""
    stages = {
        "polar_mae.pretrain": "pretrain",
        "polar_mae.probe": "probe",
        "polar_mae.segment": "finetune",
        "baselines.sparse_unet": "baseline",
    }
    tasks = {"polar_mae.pretrain": "pretrain", "polar_mae.probe": "probe"}
    return Run(
        slug=f"toy-{recipe}".replace("_", "-"),
        stage=stages[recipe],
        family="polar_mae",
        recipe=recipe,
        task=tasks.get(recipe, str(config.get("label", "semantic"))),
        config=config,
        **{"dataset": "toy", "cache": "toy", **more},
    )


def toy_batch(store: PreparedStore, rows: list[int], *, training: bool = False, **options: object) -> Batch:
    """Collate events as the recipes do."""
    info = StepInfo(step=0, epoch=0, seed=5, training=training)
    return GroupBatches(**options)(store, np.array(rows), info)


def tensors(batch: Batch) -> dict[str, torch.Tensor]:
    """The batch as tensors."""
    return {key: torch.from_numpy(value) for key, value in batch.items()}
