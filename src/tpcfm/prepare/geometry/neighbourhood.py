"""Members of groups: all points in a ball, or the k nearest, around centres that are points themselves.

Kernels work on a `CellList`: centres and members are ranks in the canonical order.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from tpcfm.kernels import njit
from tpcfm.prepare.geometry.cells import (
    CellList,
    as_coordinates,
    build_cells,
    canonical_order,
    cells_of_about,
    exact,
    reach_of,
    squared_limit,
)

Ranks = npt.NDArray[np.int32]


@njit(cache=True, nogil=True)
def _ball(cells, centres, limit):  # type: ignore[no-untyped-def]
    x, y, z = cells.xyz[0], cells.xyz[1], cells.xyz[2]
    offset = np.zeros(centres.size + 1, np.int32)
    members = np.empty(max(64, 2 * x.size), np.int32)
    used = 0
    for t in range(centres.size):
        i = cells.position[centres[t]]
        c = cells.cell[i]
        px, py, pz = x[i], y[i], z[i]
        candidates = 0
        for run in range(9):
            candidates += cells.last[c, run] - cells.first[c, run]
        if used + candidates > members.size:
            more = np.empty(max(2 * members.size, used + candidates), np.int32)
            more[:used] = members[:used]
            members = more
        begin = used
        for run in range(9):
            for j in range(cells.first[c, run], cells.last[c, run]):
                dx = x[j] - px
                dy = y[j] - py
                dz = z[j] - pz
                if dx * dx + dy * dy + dz * dz < limit:
                    members[used] = cells.rank[j]
                    used += 1
        if used - begin > 64:
            members[begin:used].sort()
        else:  # a few nearly sorted runs: insertion is several times faster than the general sort
            for a in range(begin + 1, used):
                rank = members[a]
                b = a
                while b > begin and members[b - 1] > rank:
                    members[b] = members[b - 1]
                    b -= 1
                members[b] = rank
        offset[t + 1] = used
    return offset, members[:used].copy()


@njit(cache=True, nogil=True)
def _range_of(keys_x, keys_y, keys_z, start, cx, cy, low, high):  # type: ignore[no-untyped-def]
    """Positions of the cells (cx, cy, low..high), by binary search over the sorted cell numbers."""
    bounds = np.empty(2, np.int32)
    for side in range(2):
        target = low if side == 0 else high + 1
        a = 0
        b = keys_x.size
        while a < b:
            middle = (a + b) // 2
            before = keys_x[middle] < cx or (
                keys_x[middle] == cx and (keys_y[middle] < cy or (keys_y[middle] == cy and keys_z[middle] < target))
            )
            if before:
                a = middle + 1
            else:
                b = middle
        bounds[side] = start[a]
    return bounds[0], bounds[1]


@njit(cache=True, nogil=True)
def _nearest(cells, centres, k, edge):  # type: ignore[no-untyped-def]
    """The k nearest points of each centre, ties by rank: cubes of cells grow until the k-th distance is certain."""
    xyz = cells.xyz
    n = xyz.shape[1]
    n_cells = cells.start.size - 1
    # Cell numbers, counted again from the points: the first point of a cell tells which one it is.
    number = np.empty((3, n_cells), np.int64)
    span = 0
    for axis in range(3):
        low = xyz[axis].min()
        for c in range(n_cells):
            number[axis, c] = int((xyz[axis, cells.start[c]] - low) // edge)
        span = max(span, number[axis].max() + 1)
    found = np.empty((centres.size, k), np.int32)
    near = np.empty(n, np.int32)
    square = np.empty(k, xyz.dtype)
    rank = np.empty(k, np.int32)
    for t in range(centres.size):
        i = cells.position[centres[t]]
        c = cells.cell[i]
        half = 1
        while True:
            m = 0
            for cx in range(number[0, c] - half, number[0, c] + half + 1):
                for cy in range(number[1, c] - half, number[1, c] + half + 1):
                    a, b = _range_of(
                        number[0], number[1], number[2], cells.start, cx, cy, number[2, c] - half, number[2, c] + half
                    )
                    for j in range(a, b):
                        near[m] = j
                        m += 1
            complete = half >= span
            kept = 0
            for a in range(m):  # insertion into the k best so far
                j = near[a]
                dx = xyz[0, j] - xyz[0, i]
                dy = xyz[1, j] - xyz[1, i]
                dz = xyz[2, j] - xyz[2, i]
                d = dx * dx + dy * dy + dz * dz
                r = cells.rank[j]
                if kept == k and (d > square[k - 1] or (d == square[k - 1] and r > rank[k - 1])):
                    continue
                at = min(kept, k - 1)
                while at > 0 and (square[at - 1] > d or (square[at - 1] == d and rank[at - 1] > r)):
                    square[at] = square[at - 1]
                    rank[at] = rank[at - 1]
                    at -= 1
                square[at] = d
                rank[at] = r
                kept = min(kept + 1, k)
            sure = half * edge  # nothing outside the cube is nearer than this
            if complete or (kept == k and square[k - 1] <= sure * sure):
                found[t] = rank
                break
            half += 1 + half // 2
    return found


def ball_cells(cells: CellList, centres: Ranks, limit: int | float) -> tuple[Ranks, Ranks]:
    """Return (offset (T+1,), members): ranks with d² < ``limit`` around each centre, ascending; cells must reach it."""
    typed = np.int32(limit) if np.issubdtype(cells.xyz.dtype, np.integer) else float(limit)
    return _ball(cells, centres, typed)  # type: ignore[no-any-return]


def nearest_sorted(points: npt.NDArray[Any], centres: Ranks, k: int) -> Ranks:
    """Return ranks of the ``k`` nearest points (T, min(k, N)) of centres among points in canonical order."""
    integer = np.issubdtype(points.dtype, np.integer)
    if integer:
        points = points.astype(np.int64)  # squared distances across the whole detector
    cells, edge = cells_of_about(points, max(4, k // 4))
    return _nearest(cells, centres, min(k, len(points)), np.int64(edge) if integer else edge)  # type: ignore[no-any-return]


def ball_query(xyz: npt.ArrayLike, centres: npt.ArrayLike, radius: float) -> tuple[Ranks, npt.NDArray[np.int64]]:
    """Find all points strictly closer than ``radius`` to each centre; no cap.

    Args:
        xyz: (N, 3) points; integers are compared exactly.
        centres: (T,) rows of the centres.
        radius: unit of the coordinates.

    Returns:
        ``offset`` (T + 1,) and member rows, per centre in lexicographic order of their coordinates.
    """
    points = as_coordinates(xyz)
    order = canonical_order(points)
    integer = np.issubdtype(points.dtype, np.integer)
    limit = squared_limit(exact(radius), integer)
    cells = build_cells(points[order], reach_of(limit, integer))
    offset, members = ball_cells(cells, ranks_of(order)[np.asarray(centres)], limit)
    return offset, order[members].astype(np.int64)


def nearest(xyz: npt.ArrayLike, centres: npt.ArrayLike, k: int) -> npt.NDArray[np.int64]:
    """Find the ``k`` nearest points of each centre, itself included, ties lexicographic.

    Returns:
        Rows (T, min(k, N)), nearest first.
    """
    points = as_coordinates(xyz)
    order = canonical_order(points)
    found = nearest_sorted(points[order], ranks_of(order)[np.asarray(centres)], k)
    return order[found].astype(np.int64)


def ranks_of(order: Ranks) -> Ranks:
    """Return the rank of each row, the inverse of a canonical order."""
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(order), dtype=order.dtype)
    return ranks
