"""Centrality-based non-maximum suppression, C-NMS (arXiv 2502.02558, Algorithm 1 and App. B).

A candidate's centrality is the number of candidates closer than 2 f r, itself included, without any cap. In order of
falling centrality (ties: lexicographic in x, y, z) each candidate still alive becomes a centre and removes all others
closer than 2 f r. Hence no two centres are closer than 2 f r, and every candidate is a centre or within 2 f r of one.

The released code caps the neighbour lists: then centrality is at most the cap, a centre removes only the first neighbours of its list, and
neither guarantee holds in dense places. Its lists follow storage order, ours the lexicographic one.
"""

import numpy as np
import numpy.typing as npt

from tpcfm.kernels import njit
from tpcfm.prepare.geometry.cells import (
    CellList,
    as_coordinates,
    build_cells,
    canonical_order,
    exact,
    reach_of,
    squared_limit,
)


@njit(cache=True, nogil=True)
def _centrality(cells, limit):  # type: ignore[no-untyped-def]
    """Number of points with d² < limit around each position, (N,) int32."""
    x, y, z = cells.xyz[0], cells.xyz[1], cells.xyz[2]
    n_cells = cells.start.size - 1
    most = 0
    for c in range(n_cells):
        total = 0
        for run in range(9):
            total += cells.last[c, run] - cells.first[c, run]
        most = max(most, total)
    near = np.empty((3, most), cells.xyz.dtype)
    bx, by, bz = near[0], near[1], near[2]
    counts = np.empty(x.size, np.int32)
    for c in range(n_cells):
        m = 0
        for run in range(9):
            for j in range(cells.first[c, run], cells.last[c, run]):
                bx[m] = x[j]
                by[m] = y[j]
                bz[m] = z[j]
                m += 1
        for i in range(cells.start[c], cells.start[c + 1]):
            px, py, pz = x[i], y[i], z[i]
            count = np.int32(0)
            for j in range(m):
                dx = bx[j] - px
                dy = by[j] - py
                dz = bz[j] - pz
                count += np.int32(dx * dx + dy * dy + dz * dz < limit)
            counts[i] = count
    return counts


@njit(cache=True, nogil=True)
def _suppress(cells, counts, limit, cap):  # type: ignore[no-untyped-def]
    """Ranks of the centres, by falling centrality, ties by rank; only the first ``cap`` neighbours are removed (0: all)."""
    x, y, z = cells.xyz[0], cells.xyz[1], cells.xyz[2]
    n = x.size
    most = 0
    longest = 0
    for i in range(n):
        longest = max(longest, counts[i])
    full = counts
    if cap > 0:
        counts = np.minimum(counts, np.int32(cap))
    for i in range(n):
        most = max(most, counts[i])
    near = np.empty(longest, np.int64)
    begin = np.zeros(most + 2, np.int32)
    for i in range(n):
        begin[most - counts[i] + 1] += 1
    for k in range(most + 1):
        begin[k + 1] += begin[k]
    order = np.empty(n, np.int32)
    for rank in range(n):  # stable: equal centralities stay in canonical order
        i = cells.position[rank]
        k = most - counts[i]
        order[begin[k]] = i
        begin[k] += 1

    alive = np.ones(n, np.bool_)
    centres = np.empty(n, np.int32)
    kept = 0
    for k in range(n):
        i = order[k]
        if not alive[i]:
            continue
        centres[kept] = cells.rank[i]
        kept += 1
        px, py, pz = x[i], y[i], z[i]
        c = cells.cell[i]
        found = 0
        for run in range(9):
            for j in range(cells.first[c, run], cells.last[c, run]):
                dx = x[j] - px
                dy = y[j] - py
                dz = z[j] - pz
                if dx * dx + dy * dy + dz * dz < limit:
                    if cap > 0 and full[i] > cap:
                        near[found] = cells.rank[j]
                        found += 1
                    else:
                        alive[j] = False
        if found:
            near[:found].sort()
            for k_near in range(cap):
                alive[cells.position[near[k_near]]] = False
    return centres[:kept].copy()


def suppress_cells(cells: CellList, limit: int | float, cap: int = 0) -> npt.NDArray[np.int32]:
    """Return ranks of the centres for a squared suppression distance ``limit``; the cell list must reach that far.

    ``cap`` limits the neighbours that count and are removed (0: all).
    """
    typed = np.int32(limit) if np.issubdtype(cells.xyz.dtype, np.integer) else float(limit)
    return _suppress(cells, _centrality(cells, typed), typed, cap)


def suppress(xyz: npt.ArrayLike, radius: float, overlap: float, cap: int = 0) -> npt.NDArray[np.int64]:
    """Choose centres among candidates by C-NMS.

    Args:
        xyz: (N, 3) candidates; integers are compared exactly on the lattice.
        radius: group radius r, unit of the coordinates.
        overlap: factor f; candidates closer than 2 f r (strictly) exclude each other.
        cap: neighbours that count and are removed, the first in lexicographic order; 0 for all.

    Returns:
        Rows of the centres, by falling centrality.
    """
    points = as_coordinates(xyz)
    if len(points) == 0:
        return np.zeros(0, np.int64)
    order = canonical_order(points)
    distance = 2 * exact(overlap) * exact(radius)
    integer = np.issubdtype(points.dtype, np.integer)
    limit = squared_limit(distance, integer)
    cells = build_cells(points[order], reach_of(limit, integer))
    return order[suppress_cells(cells, limit, cap)].astype(np.int64)
