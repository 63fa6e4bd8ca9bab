"""k nearest neighbours within a radius, in 2 to some 30 dimensions: the graph operator of all comparison networks.

Points are divided into leaves by a balanced k-d tree; leaf against leaf, the distance of their bounding boxes tells
what need not be looked at. Inside a leaf, distances are taken side by side. Exact; the gain over all pairs comes from
the structure of the points (tracks, embeddings of tracks), and there is none for a shapeless cloud in 24 dimensions.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tpcfm.errors import DataError
from tpcfm.kernels import njit

_LEAF = 48  # points per leaf at most (benchmarks/neighbours.py)


@dataclass(frozen=True)
class NeighbourGraph:
    """Neighbours of each point by increasing distance; empty slots hold -1 and an infinite distance."""

    index: npt.NDArray[np.int32]  # (N, k)
    distance: npt.NDArray[np.float32]  # (N, k)

    def edges(self) -> npt.NDArray[np.int64]:
        """Return directed edges (2, E): row 0 the neighbour (source), row 1 the point (target), grouped by point."""
        point, slot = np.nonzero(self.index >= 0)
        return np.stack([self.index[point, slot].astype(np.int64), point])


def neighbour_graph(
    points: npt.NDArray[np.floating],
    k: int,
    *,
    max_distance: float = float("inf"),
    offsets: npt.NDArray[np.integer] | None = None,
) -> NeighbourGraph:
    """Return the k nearest other points of each point, closer than ``max_distance``.

    Args:
        points: (N, D) coordinates; distances are Euclidean, in float64.
        k: neighbours per point.
        max_distance: exclusive.
        offsets: (B+1,) event boundaries of a packed batch; neighbours are sought within an event.

    Returns:
        Rows in the batch, by increasing distance, ties by row.

    Raises:
        DataError: wrong shape, values that are not finite, offsets that do not fit.
    """
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or k < 1:
        raise DataError(f"neighbour graph: points of shape {points.shape} with k = {k}; expected (N, D) and k > 0")
    if not np.isfinite(points).all():
        raise DataError("neighbour graph: points hold values that are not finite")
    bounds = np.array([0, len(points)]) if offsets is None else np.asarray(offsets)
    if bounds[0] != 0 or bounds[-1] != len(points) or (np.diff(bounds) < 0).any():
        raise DataError(f"neighbour graph: offsets {bounds[0]} to {bounds[-1]} do not divide {len(points)} points")
    index = np.full((len(points), k), -1, dtype=np.int32)
    squared = np.full((len(points), k), np.inf)
    limit = float(max_distance) ** 2
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        if stop - start > 1:
            _nearest(np.ascontiguousarray(points[start:stop]), start, limit, index[start:stop], squared[start:stop])
    return NeighbourGraph(index, np.sqrt(squared).astype(np.float32))


@njit(cache=True, nogil=True)
def _leaves(points: npt.NDArray[np.float64], leaf: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the rows in the order of a balanced k-d tree, and the (L+1,) boundaries of its leaves."""
    n, dims = points.shape
    order = np.arange(n)
    depth = 0
    while (n >> depth) > leaf:
        depth += 1
    bounds = np.array([0, n])
    for _ in range(depth):
        finer = np.empty(2 * len(bounds) - 1, dtype=np.int64)
        for node in range(len(bounds) - 1):
            start, stop = bounds[node], bounds[node + 1]
            widest, spread = 0, -1.0
            for d in range(dims):
                low, high = np.inf, -np.inf
                for position in range(start, stop):
                    value = points[order[position], d]
                    low, high = min(low, value), max(high, value)
                if high - low > spread:
                    widest, spread = d, high - low
            values = np.empty(stop - start)
            for position in range(start, stop):
                values[position - start] = points[order[position], widest]
            order[start:stop] = order[start:stop][np.argsort(values)]
            finer[2 * node], finer[2 * node + 1] = start, (start + stop) // 2
        finer[-1] = n
        bounds = finer
    return order, bounds


@njit(cache=True, nogil=True)
def _nearest(
    points: npt.NDArray[np.float64],
    shift: int,
    limit: float,
    index: npt.NDArray[np.int32],
    squared: npt.NDArray[np.float64],
) -> None:
    """Fill index and squared distance of one event; rows are shifted by ``shift``."""
    n, dims = points.shape
    k = index.shape[1]
    order, bounds = _leaves(points, _LEAF)
    n_leaves = len(bounds) - 1
    across = np.empty((dims, n))  # points side by side, in the order of the leaves
    for position in range(n):
        for d in range(dims):
            across[d, position] = points[order[position], d]
    low, high = np.empty((n_leaves, dims)), np.empty((n_leaves, dims))
    widest_leaf = 0
    for leaf in range(n_leaves):
        widest_leaf = max(widest_leaf, bounds[leaf + 1] - bounds[leaf])
        for d in range(dims):
            low[leaf, d] = across[d, bounds[leaf] : bounds[leaf + 1]].min()
            high[leaf, d] = across[d, bounds[leaf] : bounds[leaf + 1]].max()

    gaps = np.empty(n_leaves)
    distance = np.empty(widest_leaf)
    best, rows = np.empty(k), np.empty(k, dtype=np.int32)
    for home in range(n_leaves):
        for leaf in range(n_leaves):
            gap = 0.0
            for d in range(dims):
                beside = max(low[leaf, d] - high[home, d], low[home, d] - high[leaf, d], 0.0)
                gap += beside * beside
            gaps[leaf] = gap
        by_gap = np.argsort(gaps)
        for position in range(bounds[home], bounds[home + 1]):
            count, worst = 0, limit
            # The own leaf first, since at gap zero it may share its place with others.
            for turn in range(-1, n_leaves):
                leaf = home if turn < 0 else by_gap[turn]
                if turn >= 0:
                    # A part in 1e12 off: gaps and distances are rounded differently.
                    if gaps[leaf] * (1.0 - 1e-12) > worst:
                        break
                    if leaf == home:
                        continue
                    gap = 0.0
                    for d in range(dims):
                        value = across[d, position]
                        beside = max(low[leaf, d] - value, value - high[leaf, d], 0.0)
                        gap += beside * beside
                        if gap * (1.0 - 1e-12) > worst:
                            break
                    if gap * (1.0 - 1e-12) > worst:
                        continue
                start, size = bounds[leaf], bounds[leaf + 1] - bounds[leaf]
                for j in range(size):
                    distance[j] = 0.0
                for d in range(dims):
                    value = across[d, position]
                    for j in range(size):
                        step = across[d, start + j] - value
                        distance[j] += step * step
                for j in range(size):
                    found = distance[j]
                    if found > worst or found >= limit or start + j == position:
                        continue
                    row = np.int32(order[start + j] + shift)
                    if count == k and found == worst and row > rows[k - 1]:
                        continue
                    place = count if count < k else k - 1
                    while place > 0 and (
                        found < best[place - 1] or (found == best[place - 1] and row < rows[place - 1])
                    ):
                        best[place] = best[place - 1]
                        rows[place] = rows[place - 1]
                        place -= 1
                    best[place], rows[place] = found, row
                    if count < k:
                        count += 1
                    if count == k:
                        worst = best[k - 1]
            row = order[position]
            for m in range(count):
                index[row, m], squared[row, m] = rows[m], best[m]
