"""Farthest point sampling, exact and deterministic: of seeds among points, and of members within groups.

Ties go to the point that comes first in the canonical (lexicographic) order. Seeds start at the canonical first point.
Groups start at the centre, so that the centre is always kept, and their kept members are listed in canonical order.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from tpcfm.kernels import njit
from tpcfm.prepare.geometry.cells import as_coordinates, canonical_order, cells_of_about

Ranks = npt.NDArray[np.int32]

_POINTS_PER_CELL = 64  # aimed at; only speed depends on it


@njit(cache=True, nogil=True)
def _farthest(cells, count, huge):  # type: ignore[no-untyped-def]
    """Ranks of farthest points from rank 0 on.

    A new point changes the distances of a cell only if it is nearer to the cell's box than the farthest point in it: all
    other cells are skipped, which changes nothing in the result.
    """
    xyz = cells.xyz
    n = xyz.shape[1]
    n_cells = cells.start.size - 1
    low = np.empty((3, n_cells), xyz.dtype)
    high = np.empty((3, n_cells), xyz.dtype)
    for c in range(n_cells):
        for axis in range(3):
            inside = xyz[axis, cells.start[c] : cells.start[c + 1]]
            low[axis, c] = inside.min()
            high[axis, c] = inside.max()
    squared = np.full(n, huge, xyz.dtype)
    farthest = np.full(
        n_cells, huge, xyz.dtype
    )  # of each cell: largest distance so far, and the first rank that has it
    leader = np.zeros(n_cells, np.int32)
    chosen = np.empty(count, np.int32)
    current = 0
    for k in range(count):
        chosen[k] = current
        at = cells.position[current]
        px, py, pz = xyz[0, at], xyz[1, at], xyz[2, at]
        best = 0
        for c in range(n_cells):
            dx = max(low[0, c] - px, px - high[0, c], 0)
            dy = max(low[1, c] - py, py - high[1, c], 0)
            dz = max(low[2, c] - pz, pz - high[2, c], 0)
            if dx * dx + dy * dy + dz * dz < farthest[c]:
                far = px * 0 - 1
                first = 0
                for i in range(cells.start[c], cells.start[c + 1]):
                    dx = xyz[0, i] - px
                    dy = xyz[1, i] - py
                    dz = xyz[2, i] - pz
                    squared[i] = min(squared[i], dx * dx + dy * dy + dz * dz)
                    if squared[i] > far:  # within a cell, ranks ascend with positions
                        far = squared[i]
                        first = cells.rank[i]
                farthest[c] = far
                leader[c] = first
            if farthest[c] > farthest[best] or (farthest[c] == farthest[best] and leader[c] < leader[best]):
                best = c
        current = leader[best]
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


@njit(cache=True, nogil=True)
def _truncate(centres, offset, members, cap):  # type: ignore[no-untyped-def]
    groups = centres.size
    new_offset = np.zeros(groups + 1, np.int32)
    for t in range(groups):
        new_offset[t + 1] = new_offset[t] + min(offset[t + 1] - offset[t], cap)
    kept = np.empty(new_offset[groups], np.int32)
    for t in range(groups):
        size = new_offset[t + 1] - new_offset[t]
        chosen = kept[new_offset[t] : new_offset[t + 1]]
        chosen[:] = members[offset[t] : offset[t] + size]
        if chosen[size - 1] < centres[t]:  # its centre stays
            chosen[size - 1] = centres[t]
    return new_offset, kept


def truncate_groups(centres: Ranks, offset: Ranks, members: Ranks, cap: int) -> tuple[Ranks, Ranks]:
    """Keep the first ``cap`` members of each group in canonical order, its centre always (a cap before the reduction)."""
    return _truncate(centres, offset, members, cap)  # type: ignore[no-any-return]


def largest_members(
    energy: npt.NDArray[np.floating[Any]], offset: Ranks, members: Ranks, cap: int
) -> tuple[Ranks, Ranks]:
    """Keep the ``cap`` members of each group with the largest energies, ties to the canonical first.

    Args:
        energy: (N,) in canonical order.
        offset, members: groups, members ascending.

    Returns:
        ``offset`` and ``members`` (ascending) of the reduced groups.
    """
    group = np.repeat(np.arange(len(offset) - 1), np.diff(offset))
    order = np.lexsort((members, -energy[members], group))
    place = np.arange(len(members)) - np.repeat(offset[:-1], np.diff(offset))
    kept = np.sort(order[place < cap])
    counts = np.minimum(np.diff(offset), cap)
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int32), members[kept]


def farthest_sorted(points: npt.NDArray[Any], count: int) -> Ranks:
    """Return ranks of ``count`` farthest points (all, if fewer) among points in canonical order, in order of choice."""
    count = min(count, len(points))
    if count == 0:
        return np.zeros(0, np.int32)
    integer = np.issubdtype(points.dtype, np.integer)
    if integer and (np.ptp(points, axis=0).astype(np.float64) ** 2).sum() >= 2**31:
        points = points.astype(np.int64)  # squared distances across the whole detector
    cells = cells_of_about(points, _POINTS_PER_CELL)[0]
    huge = np.iinfo(points.dtype).max if integer else np.inf
    return _farthest(cells, count, points.dtype.type(huge))  # type: ignore[no-any-return]


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
