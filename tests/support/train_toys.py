"""Small parts for the trainer's tests: a store, a model with dropout, an objective with two terms."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tpcfm.config.training import TrainConfig
from tpcfm.files import key64
from tpcfm.train import PackedSource, StepInfo, fit, keyed_generator


class ToyStore:
    """Events of 3 to 40 points with four features and one label per point."""

    def __init__(self, events: int = 24, seed: int = 0) -> None:
        generator = np.random.default_rng(seed)
        self.lengths = generator.integers(3, 40, events)
        self.points = [generator.normal(size=(n, 4)).astype(np.float32) for n in self.lengths]
        self.labels = [(p.sum(1) > 0).astype(np.int64) for p in self.points]

    def __len__(self) -> int:
        return len(self.lengths)

    def event_ids(self, rows: np.ndarray) -> list[str]:
        return [f"toy/part/{int(r)}" for r in rows]


def collate(store: ToyStore, rows: np.ndarray, info: StepInfo | None = None) -> dict[str, np.ndarray]:
    """Pack events; each is shifted by a keyed draw."""
    keys = [key64(i) for i in store.event_ids(rows)]
    seed, epoch = (info.seed, info.epoch) if info else (0, 0)
    shifts = [keyed_generator(seed, epoch, k, "shift").normal(scale=0.1, size=4).astype(np.float32) for k in keys]
    return {
        "offsets": np.concatenate([[0], np.cumsum(store.lengths[rows])]).astype(np.int64),
        "event_key": np.array(keys, dtype=np.uint64),
        "points": np.concatenate([store.points[r] + s for r, s in zip(rows, shifts)]),
        "label": np.concatenate([store.labels[r] for r in rows]),
    }


class ToyObjective:
    """Mean cross-entropy per point and mean squared output per event."""

    weights = {"entropy": 1.0, "size": 0.1}

    def counts(self, batch: dict[str, np.ndarray], info: StepInfo) -> dict[str, float]:
        return {"entropy": len(batch["label"]), "size": len(batch["offsets"]) - 1}

    def sums(self, model: nn.Module, batch: dict[str, torch.Tensor], info: StepInfo) -> dict[str, torch.Tensor]:
        out = model(batch["points"])
        entropy = nn.functional.cross_entropy(out.float(), batch["label"], reduction="sum")
        return {"entropy": entropy, "size": out.float().square().sum() / 30}


def toy_model(seed: int = 0, dropout: float = 0.2, width: int = 16) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, width), nn.LayerNorm(width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, 2))


def toy_config(**changes: Any) -> TrainConfig:
    base = {"steps": 6, "batch_size": 8, "max_points": 60, "learning_rate": 1e-2, "log_every": 1, "checkpoint_every": 2}
    return TrainConfig(**{**base, **changes})


def toy_source(config: TrainConfig, store: ToyStore | None = None, seed: int = 3) -> PackedSource:
    store = store or ToyStore()
    return PackedSource(
        store,
        np.arange(len(store)),
        collate,
        batch_size=config.batch_size,
        max_points=config.max_points,
        seed=seed,
        workers=config.workers,
    )


def toy_fit(state: Path, config: TrainConfig, model: nn.Module | None = None, **more: Any) -> tuple[nn.Module, Any]:
    """Train the toy; return the model and the result."""
    model = toy_model() if model is None else model
    options = {"identity": {"config_hash": "c0ffee", "data": "f00d"}, "seed": 3, "device": "cpu", **more}
    source = options.pop("source", None) or toy_source(config)
    result = fit(model, options.pop("objective", ToyObjective()), source, config, state=state, **options)
    return model, result


def same_bits(a: nn.Module, b: nn.Module) -> bool:
    """Whether two models have equal weights, bit by bit."""
    left, right = a.state_dict(), b.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)
