"""Neighbour operators against a full distance matrix with top-k in NumPy, on one core.

The matrix is the fastest plain form known to us: one matrix product in float32, ``argpartition``, then a sort of k.
Events are helices crossing the 48 layers. Times are processor time, the best of several; ratios are taken in one run.
"""

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from tpcfm.detectors.registry import load_detector
from tpcfm.prepare.geometry.neighbour_graph import neighbour_graph
from tpcfm.prepare.sequences.features import level_index, point_features
from tpcfm.prepare.sequences.next_neighbours import next_neighbours

K = 30
SPHENIX = load_detector("sphenix")
LAYER_RADII_CM = np.array(SPHENIX.layers.radii if SPHENIX.layers else [])
PT_PER_RADIUS = SPHENIX.pt_per_radius or 0.0


def helices(n_points: int, seed: int = 0) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return normalised features (N, 4) and track labels of an event of about 48 points per track."""
    rng = np.random.default_rng(seed)
    points, tracks = [], []
    while sum(map(len, tracks)) < n_points:
        radius = (0.15 + rng.exponential(0.4)) / PT_PER_RADIUS
        r = LAYER_RADII_CM[2 * radius > LAYER_RADII_CM]
        turn = 2 * np.arcsin(r / (2 * radius))
        angle = rng.uniform(-np.pi, np.pi) + rng.choice([-1, 1]) * turn / 2 + rng.normal(0, 0.02, len(r)) / r
        z = radius * turn * np.sinh(rng.uniform(-1.1, 1.1)) + rng.normal(0, 0.05, len(r)) + rng.normal(0, 5)
        points.append(np.stack([r * np.cos(angle), r * np.sin(angle), z]))
        tracks.append(np.full(len(r), len(tracks)))
    xyz = np.concatenate(points, axis=1)[:, :n_points].T
    order = rng.permutation(n_points)
    features = point_features(SPHENIX, rng.exponential(250, n_points), xyz)
    return features[order], np.concatenate(tracks)[:n_points][order]


def top_k(squared: npt.NDArray[np.floating], k: int) -> npt.NDArray[np.int64]:
    """Return the columns of the k smallest values of each row, sorted; -1 where infinite."""
    nearest = np.argpartition(squared, k - 1, axis=1)[:, :k]
    values = np.take_along_axis(squared, nearest, 1)
    order = np.argsort(values, axis=1)
    nearest, values = np.take_along_axis(nearest, order, 1), np.take_along_axis(values, order, 1)
    return np.where(np.isfinite(values), nearest, -1)


def all_squared_distances(points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the (N, N) squared distances by one matrix product."""
    norm = (points * points).sum(1)
    squared = points @ points.T
    squared *= -2
    squared += norm[:, None]
    squared += norm[None, :]
    return squared


def matrix_next_neighbours(features: npt.NDArray[np.float32], k: int) -> npt.NDArray[np.int64]:
    """Next neighbours (strictly outer layer) from the full matrix."""
    layers = level_index(features[:, 3], SPHENIX)
    squared = all_squared_distances(np.ascontiguousarray(features[:, 1:]))
    squared[layers[None, :] <= layers[:, None]] = np.inf
    return top_k(squared, k)


def matrix_graph(points: npt.NDArray[np.float32], k: int) -> npt.NDArray[np.int64]:
    """Nearest neighbours from the full matrix."""
    squared = all_squared_distances(points)
    np.fill_diagonal(squared, np.inf)
    return top_k(squared, k)


def seconds(call: Callable[[], object], repeats: int) -> float:
    """Return the least processor time of a call."""
    call()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def peak_mib(call: Callable[[], object]) -> float:
    """Return the largest memory that NumPy held during a call, MiB."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def embedding(
    features: npt.NDArray[np.float32], tracks: npt.NDArray[np.int64], seed: int = 0
) -> npt.NDArray[np.float32]:
    """Return a (N, 24) stand-in for a half-trained embedding: a place per track, and a smooth function of position."""
    rng = np.random.default_rng(seed)
    place = rng.normal(size=(tracks.max() + 1, 24))[tracks]
    smooth = np.tanh(features[:, 1:] @ rng.normal(size=(3, 64))) @ rng.normal(size=(64, 24)) / 8
    return (0.5 * place + smooth).astype(np.float32)


def rows() -> list[dict[str, Any]]:
    """Return one row per comparison: ``what size against ratio memory_mib`` (memory of ours)."""
    with threadpool_limits(1):  # one core for both sides
        return _rows()


def _rows() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def compare(what: str, n: int, ours: Callable[[], object], theirs: Callable[[], object]) -> None:
        repeats = 15 if n < 1000 else 5
        ratio = seconds(theirs, repeats) / seconds(ours, repeats)
        size = f"{n} points"
        against = "distance matrix + top-k (NumPy)"
        found.append({"what": what, "size": size, "against": against, "ratio": ratio, "memory_mib": peak_mib(ours)})

    for n in (860, 3200):
        features, tracks = helices(n)
        compare(
            f"next neighbours, k={K}, outer layer",
            n,
            lambda f=features: next_neighbours(f, K, SPHENIX),
            lambda f=features: matrix_next_neighbours(f, K),
        )
        compare(
            f"next neighbours, k={K}, across the seam",
            n,
            lambda f=features: next_neighbours(f, K, SPHENIX, wrap=True),
            lambda f=features: matrix_next_neighbours(f, K),
        )
        angle = 2 * np.pi * features[:, 2]
        location = np.stack([features[:, 1], np.cos(angle), np.sin(angle), features[:, 3]], axis=1)
        compare(
            "graph, 4 dimensions, k=50, distance < 1",
            n,
            lambda p=location: neighbour_graph(p, 50, max_distance=1.0),
            lambda p=location: matrix_graph(p, 50),
        )
        embedded = embedding(features, tracks)
        compare(
            "graph, 24 dimensions, k=10",
            n,
            lambda p=embedded: neighbour_graph(p, 10),
            lambda p=embedded: matrix_graph(p, 10),
        )
    return found


if __name__ == "__main__":
    for row in rows():
        print("{what:42s} {size:>12s} {ratio:7.1f}x {memory_mib:8.2f} MiB  against {against}".format(**row))
