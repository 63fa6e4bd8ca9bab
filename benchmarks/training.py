"""The trainer against the least one could write: step overhead, order without an index, checkpoints, live mirroring."""

import logging
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from tpcfm.config.training import TrainConfig
from tpcfm.files import atomic
from tpcfm.train import PackedSource, StepInfo, fit
from tpcfm.train.checkpoint import read, write
from tpcfm.train.sampler import permute
from tpcfm.train.tracking import Mirror

STEPS, EVENTS, POINTS, WIDTH = 40, 16, 900, 128


class _Store:
    """Events of equal length, all in memory, so that only the trainer's own work is compared."""

    def __init__(self) -> None:
        self.lengths = np.full(EVENTS * 4, POINTS)
        rng = np.random.default_rng(0)
        self.points = rng.normal(size=(len(self.lengths), POINTS, 4)).astype(np.float32)


def _collate(store: _Store, rows: np.ndarray, info: StepInfo) -> dict[str, np.ndarray]:
    return {
        "offsets": np.arange(len(rows) + 1, dtype=np.int64) * POINTS,
        "event_key": rows.astype(np.uint64),
        "points": store.points[rows].reshape(-1, 4),
    }


class _Square:
    """Mean squared output per point."""

    weights: ClassVar[dict[str, float]] = {"square": 1.0}

    def counts(self, batch: dict[str, np.ndarray], info: StepInfo) -> dict[str, float]:
        return {"square": float(len(batch["points"]))}

    def sums(self, model: nn.Module, batch: dict[str, torch.Tensor], info: StepInfo) -> dict[str, torch.Tensor]:
        return {"square": model(batch["points"]).square().sum()}


def _model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, 1))


def _config(max_points: int) -> TrainConfig:
    return TrainConfig(
        steps=STEPS, batch_size=EVENTS, max_points=max_points, learning_rate=1e-3, checkpoint_every=STEPS, log_every=10
    )


def _fit(max_points: int, steps: int = STEPS) -> float:
    """Return seconds per step of a whole ``fit``, its last checkpoint left out."""
    config, store = _config(max_points), _Store()
    source = PackedSource(
        store, np.arange(len(store.lengths)), _collate, batch_size=EVENTS, max_points=max_points, seed=0
    )
    times: list[float] = []

    class Timed(_Square):
        def counts(self, batch: dict[str, np.ndarray], info: StepInfo) -> dict[str, float]:
            if len(times) == info.step:
                times.append(time.perf_counter())
            return super().counts(batch, info)

    with tempfile.TemporaryDirectory() as state:
        fit(_model(), Timed(), source, config, state=Path(state), identity={}, seed=0, device="cpu")
    return float(np.median(np.diff(times)))


def _bare() -> float:
    """Return seconds per step of the shortest loop that trains the same model on the same batches."""
    model, store = _model(), _Store()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    times = []
    for step in range(STEPS):
        times.append(time.perf_counter())
        rows = (np.arange(EVENTS) + step) % len(store.lengths)
        points = torch.from_numpy(store.points[rows].reshape(-1, 4))
        optimizer.zero_grad()
        model(points).square().mean().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 3.0)
        optimizer.step()
    return float(np.median(np.diff(times)))


def _peak_mib(work: Callable[[], Any]) -> float:
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def _seconds(work: Callable[[], Any], calls: int = 5) -> float:
    work()
    times = []
    for _ in range(calls):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return min(times)


def rows() -> list[dict[str, Any]]:
    """Return the rows of the benchmark table; a ratio is time over the reference's time."""
    torch.set_num_threads(1)
    found: list[dict[str, Any]] = []

    def add(what: str, size: str, against: str, ratio: float, memory: float = float("nan")) -> None:
        found.append({"what": what, "size": size, "against": against, "ratio": ratio, "memory_mib": memory})

    _fit(10**6), _bare()
    bare = min(_bare() for _ in range(3))
    size = f"{EVENTS} events x {POINTS}"
    add("training step, one micro-batch", size, "bare loop", min(_fit(10**6) for _ in range(3)) / bare)
    add("training step, 4 micro-batches", size, "bare loop", min(_fit(POINTS * EVENTS // 4) for _ in range(3)) / bare)

    events, batch = 10_000_000, np.arange(256)
    one = _seconds(lambda: permute(batch, events, 0, 1), 20)
    shuffle = _seconds(lambda: np.random.default_rng(0).permutation(events), 1)
    memory = _peak_mib(lambda: permute(batch, events, 0, 1))
    add("order of 256 of 10M events", "one batch", "shuffling an index", one / shuffle, memory)

    content = {"format": 1, "model": {str(i): torch.randn(1 << 20) for i in range(16)}}
    raw = b"".join(t.numpy().tobytes() for t in content["model"].values())
    with tempfile.TemporaryDirectory() as name:
        path, plain = Path(name) / "checkpoint.pt", Path(name) / "plain"

        def write_plain() -> None:
            with atomic(plain) as temporary:
                temporary.write_bytes(raw)

        add(
            "checkpoint, atomic",
            "64 MiB",
            "raw bytes, atomic",
            _seconds(lambda: write(path, content)) / _seconds(write_plain),
        )
        add("checkpoint, checked", "64 MiB", "raw read", _seconds(lambda: read(path)) / _seconds(plain.read_bytes))

    logging.getLogger("tpcfm.train").setLevel(logging.ERROR)  # its one warning is expected here
    mirror = Mirror("http://127.0.0.1:9", "none", timeout=0.5)  # the discard port: nobody listens
    row = {"step": 1, "split": "train", "loss": 1.0}
    add("mirroring a row to a dead server", "one row", "a training step", _seconds(lambda: mirror.add(row), 100) / bare)
    return found


if __name__ == "__main__":
    for row in rows():
        print(f"{row['what']:40}{row['size']:>26}  {row['against']:30}{row['ratio']:10.4f}{row['memory_mib']:9.2f} MiB")
