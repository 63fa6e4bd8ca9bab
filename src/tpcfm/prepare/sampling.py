"""Farthest point sampling, exact and deterministic: of seeds among points, and of members within groups.

Ties go to the point that comes first in the canonical (lexicographic) order. Seeds start at the canonical first point.
Groups start at the centre, so that the centre is always kept, and their kept members are listed in canonical order.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from tpcfm.prepare.cells import as_coordinates, canonical_order

Ranks = npt.NDArray[np.int32]


@njit(cache=True, nogil=True)
def _farthest(x, y, z, count, huge):  # type: ignore[no-untyped-def]
    n = x.size
    squared = np.full(n, huge, x.dtype)
    chosen = np.empty(count, np.int32)
    current = np.intp(0)
    for k in range(count):
        chosen[k] = current
        px, py, pz = x[current], y[current], z[current]
        for j in range(n):
            dx = x[j] - px
            dy = y[j] - py
            dz = z[j] - pz
            squared[j] = min(squared[j], dx * dx + dy * dy + dz * dz)
        current = np.argmax(squared)
    return chosen


@njit(cache=True, nogil=True)
def _reduce(xyz, centres, offset, members, cap):  # type: ignore[no-untyped-def]
    groups = centres.size
    new_offset = np.zeros(groups + 1, np.int32)
    largest = 0
    for t in range(groups):
        size = offset[t + 1] - offset[t]
        largest = max(largest, size)
        new_offset[t + 1] = new_offset[t] + min(size, cap)
    kept = np.empty(new_offset[groups], np.int32)
    squared = np.empty(largest, xyz.dtype)
    for t in range(groups):
        begin = offset[t]
        size = offset[t + 1] - begin
        out = new_offset[t]
        if size <= cap:
            kept[out : out + size] = members[begin : begin + size]
            continue
        i = centres[t]
        for j in range(size):
            squared[j] = _square(xyz, members[begin + j], i)
        kept[out] = i
        for k in range(1, cap):
            best = 0
            for j in range(1, size):
                if squared[j] > squared[best]:
                    best = j
            i = members[begin + best]
            kept[out + k] = i
            for j in range(size):
                squared[j] = min(squared[j], _square(xyz, members[begin + j], i))
        kept[out : out + cap].sort()
    return new_offset, kept


@njit(cache=True, nogil=True)
def _square(xyz, i, j):  # type: ignore[no-untyped-def]
    dx = xyz[i, 0] - xyz[j, 0]
    dy = xyz[i, 1] - xyz[j, 1]
    dz = xyz[i, 2] - xyz[j, 2]
    return dx * dx + dy * dy + dz * dz


def farthest_sorted(points: npt.NDArray[Any], count: int) -> Ranks:
    """Return ranks of ``count`` farthest points (all, if fewer) among points in canonical order, in order of choice."""
    count = min(count, len(points))
    if count == 0:
        return np.zeros(0, np.int32)
    x, y, z = np.ascontiguousarray(points.T)
    extent = np.ptp(points, axis=0).astype(np.float64)
    if np.issubdtype(points.dtype, np.integer) and (extent**2).sum() >= 2**31:
        x, y, z = x.astype(np.int64), y.astype(np.int64), z.astype(np.int64)
    huge = np.iinfo(x.dtype).max if np.issubdtype(x.dtype, np.integer) else np.inf
    return _farthest(x, y, z, count, x.dtype.type(huge))  # type: ignore[no-any-return]


def farthest_points(xyz: npt.ArrayLike, count: int) -> npt.NDArray[np.int64]:
    """Choose ``count`` rows of (N, 3) points by farthest point sampling, starting at the lexicographically first."""
    points = as_coordinates(xyz)
    order = canonical_order(points)
    return order[farthest_sorted(points[order], count)].astype(np.int64)


def reduce_groups(
    points: npt.NDArray[Any], centres: Ranks, offset: Ranks, members: Ranks, cap: int
) -> tuple[Ranks, Ranks]:
    """Keep at most ``cap`` members of each group by farthest point sampling from its centre.

    Args:
        points: (N, 3) in canonical order.
        centres: (T,) rank of each centre, a member of its own group.
        offset: (T + 1,) first member of each group.
        members: ranks of the members, ascending in each group.

    Returns:
        ``offset`` and ``members`` of the reduced groups.
    """
    return _reduce(points, centres, offset, members, cap)  # type: ignore[no-any-return]
