"""Tokenizer: C-NMS and ball query on cell lists against the same in all pairs, and cost against event size."""

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from tpcfm.prepare.groups.grouping import group
from tpcfm.prepare.groups.settings import TokenizerConfig
from tpcfm.prepare.groups.tokenizer_throughput import event_of_size

RADIUS, OVERLAP = 5.0, 0.73
SIZES = (1000, 2000, 5000, 10_000, 20_000, 50_000)


def made_event(seed: int = 0) -> np.ndarray:
    """Return about 2,000 lattice points with the density of a liquid-argon event: thin tracks and a few showers."""
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(6):
        direction = rng.normal(size=3)
        along = np.arange(0, 250, 0.8)[:, None] * direction / np.linalg.norm(direction)
        parts.append(rng.uniform(200, 568, 3) + along + rng.normal(0, 0.6, along.shape))
    for _ in range(2):
        depth = rng.gamma(3, 12, (250, 1))
        direction = rng.normal(size=3)
        spread = rng.normal(0, 0.15, (250, 3)) * depth
        parts.append(rng.uniform(200, 568, 3) + depth * direction / np.linalg.norm(direction) + spread)
    voxels = np.rint(np.concatenate(parts)).astype(np.int32)
    return np.unique(np.clip(voxels, 0, 767), axis=0)


def all_pairs(xyz: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """C-NMS and ball query from the matrix of all distances, in torch: rows of the centres, (T, N) membership."""
    points = torch.from_numpy(xyz).float()
    norm = (points * points).sum(1)
    squared = points @ points.T  # the fastest form; exact in float32 for coordinates of one detector (below 2**24)
    squared *= -2
    squared += norm[:, None]
    squared += norm
    near = squared < (2 * RADIUS * OVERLAP) ** 2
    order = torch.argsort(near.sum(1), descending=True, stable=True)  # rows are in lexicographic order already
    alive = torch.ones(len(points), dtype=torch.bool)
    centres = []
    for i in order.tolist():
        if alive[i]:
            centres.append(i)
            alive &= ~near[i]
    rows = torch.tensor(centres)
    return rows, squared[rows] < RADIUS**2


def seconds(work: Callable[[], Any], calls: int) -> float:
    """Return the best processor time of several calls, after one to warm up: other jobs do not count."""
    work()
    times = []
    for _ in range(calls):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def peak_mib(work: Callable[[], Any]) -> float:
    """Return the peak of what one call allocates through NumPy and Python, MiB."""
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def rows() -> list[dict[str, Any]]:
    """Return the rows of the benchmark table."""
    torch.set_num_threads(1)
    events = [made_event(seed) for seed in range(8)]
    config = TokenizerConfig(radius=RADIUS, overlap=OVERLAP)
    event = np.unique(np.concatenate(events[:4]), axis=0)
    event = event[np.sort(np.random.default_rng(0).permutation(len(event))[:5000])]
    groups = group(event, config)
    reference, member = all_pairs(event)
    if not np.array_equal(groups.centre, reference.numpy()) or not np.array_equal(groups.size, member.sum(1).numpy()):
        raise AssertionError("cell list and all pairs disagree")
    fast, slow = seconds(lambda: group(event, config), 30), seconds(lambda: all_pairs(event), 3)
    found = [
        {
            "what": "C-NMS + ball query + reduction to 32",
            "size": "5000 points",
            "against": "all pairs in torch, no reduction",
            "ratio": slow / fast,
            "memory_mib": peak_mib(lambda: group(event, config)),
        }
    ]
    per_point = {}
    for size in SIZES:
        sized = event_of_size(events, size)
        per_point[size] = seconds(lambda: group(sized, config), 10) / size  # noqa: B023 - called before the next turn
        found.append(
            {
                "what": "tokenizer, time per point (1: linear)",
                "size": f"{size} points",
                "against": f"{SIZES[0]} points",
                "ratio": per_point[size] / per_point[SIZES[0]],
                "memory_mib": peak_mib(lambda: group(sized, config)),  # noqa: B023 - called before the next turn
            }
        )
    return found


if __name__ == "__main__":
    for row in rows():
        print(f"{row['what']:42}{row['size']:>14}  {row['against']:32}{row['ratio']:8.2f}{row['memory_mib']:9.1f} MiB")
