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
_ABOVE = 1.0 + 1e-12  # gaps and distances are rounded differently


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
def _smallest_first(values, rows, n, k):  # type: ignore[no-untyped-def]
    """Bring the k smallest of the first n values to the front, ties by row; return the largest of them.

    Quickselect; the partition has no branch, since none could be foreseen.
    """
    low, high = 0, n - 1
    while low < high:
        a, b, c = values[low], values[(low + high) // 2], values[high]
        middle = (
            low if (b <= a <= c) or (c <= a <= b) else (high if (a <= c <= b) or (b <= c <= a) else (low + high) // 2)
        )
        value, row = values[middle], rows[middle]
        values[middle], rows[middle] = values[high], rows[high]
        place = low
        for i in range(low, high):
            here, whose = values[i], rows[i]
            values[i], rows[i] = values[place], rows[place]
            values[place], rows[place] = here, whose
            place += (here < value) | ((here == value) & (whose < row))
        values[high], rows[high] = values[place], rows[place]
        values[place], rows[place] = value, row
        if place == k - 1:
            break
        if place < k - 1:
            low = place + 1
        else:
            high = place - 1
    return values[k - 1]


@njit(cache=True, nogil=True)
def _leaves(points: npt.NDArray[np.float64], leaf: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the rows in the order of a balanced k-d tree, and the (L+1,) boundaries of its leaves; L is a power of two."""
    n, dims = points.shape
    order = np.arange(n)
    values = np.empty(n)
    bounds = np.array([0, n])
    while n > leaf * (len(bounds) - 1):
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
            for position in range(start, stop):
                values[position] = points[order[position], widest]
            half = (start + stop) // 2
            if half > start:
                _smallest_first(values[start:stop], order[start:stop], stop - start, half - start)
            finer[2 * node], finer[2 * node + 1] = start, half
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
    # Boxes of all nodes: node i holds the nodes 2 i and 2 i + 1, leaf l is node n_leaves + l.
    low, high = np.empty((2 * n_leaves, dims)), np.empty((2 * n_leaves, dims))
    widest = 0
    for leaf in range(n_leaves):
        widest = max(widest, bounds[leaf + 1] - bounds[leaf])
        for d in range(dims):
            inside = across[d, bounds[leaf] : bounds[leaf + 1]]
            low[n_leaves + leaf, d], high[n_leaves + leaf, d] = inside.min(), inside.max()
    for node in range(n_leaves - 1, 0, -1):
        for d in range(dims):
            low[node, d] = min(low[2 * node, d], low[2 * node + 1, d])
            high[node, d] = max(high[2 * node, d], high[2 * node + 1, d])

    # Around each leaf, the smallest node with more than k points tells how far the k nearest can be.
    around = 1
    while around < n_leaves and n // n_leaves * around < k + 1:
        around *= 2
    best, rows, distance = np.empty(k), np.empty(k, dtype=np.int64), np.empty(widest)
    stack = np.empty(64, dtype=np.int64)
    near, gaps = np.empty(n_leaves, dtype=np.int64), np.empty(n_leaves)
    for home in range(n_leaves):
        here, block = n_leaves + home, (n_leaves + home) // around
        reach = 0.0
        for d in range(dims):
            across_block = max(high[block, d] - low[here, d], high[here, d] - low[block, d])
            reach += across_block * across_block
        reach = limit if n <= k else min(limit, reach * _ABOVE)

        found, top = 0, 1
        stack[0] = 1
        while top > 0:
            top -= 1
            node = stack[top]
            gap = 0.0
            for d in range(dims):
                beside = max(low[node, d] - high[here, d], low[here, d] - high[node, d], 0.0)
                gap += beside * beside
            if gap > reach * _ABOVE:
                continue
            if node < n_leaves:
                stack[top], stack[top + 1] = 2 * node, 2 * node + 1
                top += 2
            elif node != here:
                near[found], gaps[found] = node, gap
                found += 1
        by_gap = np.argsort(gaps[:found])

        for position in range(bounds[home], bounds[home + 1]):
            count, worst = 0, limit
            # The own leaf first, since at gap zero it may share its place with others.
            for turn in range(-1, found):
                node = here if turn < 0 else near[by_gap[turn]]
                if turn >= 0:
                    if gaps[by_gap[turn]] > worst * _ABOVE:
                        break
                    gap = 0.0
                    for d in range(dims):
                        value = across[d, position]
                        beside = max(low[node, d] - value, value - high[node, d], 0.0)
                        gap += beside * beside
                        if gap > worst * _ABOVE:
                            break
                    if gap > worst * _ABOVE:
                        continue
                start = bounds[node - n_leaves]
                size = bounds[node - n_leaves + 1] - start
                for j in range(size):
                    distance[j] = 0.0
                for d in range(dims):
                    value = across[d, position]
                    for j in range(size):
                        step = across[d, start + j] - value
                        distance[j] += step * step
                for j in range(size):
                    other = distance[j]
                    if other > worst or other >= limit or start + j == position:
                        continue
                    row = order[start + j]
                    if count == k and other == worst and row > rows[k - 1]:
                        continue
                    place = count if count < k else k - 1
                    while place > 0 and (
                        other < best[place - 1] or (other == best[place - 1] and row < rows[place - 1])
                    ):
                        best[place] = best[place - 1]
                        rows[place] = rows[place - 1]
                        place -= 1
                    best[place], rows[place] = other, row
                    if count < k:
                        count += 1
                    if count == k:
                        worst = best[k - 1]
            row = order[position]
            for m in range(count):
                index[row, m], squared[row, m] = rows[m] + shift, best[m]
