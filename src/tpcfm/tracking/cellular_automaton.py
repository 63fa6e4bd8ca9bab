"""Seeds of tracks: triplets of points in neighbouring layers, joined into chains by mutual best links.

Each point looks for the pair (one inside, one outside) that bends least through it; a link is kept where both ends chose
it. So chains grow by local decisions only, as in a cellular automaton.
"""

import math

import numpy as np
import numpy.typing as npt

from tpcfm.kernels import njit

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]


@njit(cache=True, nogil=True)
def _reachable(
    points: Array, start: int, stop: int, i: int, max_slope: float, max_pitch: float, found: Index, count: int
) -> int:
    """Append the points in [start, stop) that a track through point ``i`` may reach."""
    for j in range(start, stop):
        dx, dy, dz = points[j, 0] - points[i, 0], points[j, 1] - points[i, 1], points[j, 2] - points[i, 2]
        radial = abs(points[j, 3] - points[i, 3])
        across = math.sqrt(max(dx * dx + dy * dy - radial * radial, 0.0))
        if across < max_slope * radial + 0.1 and abs(dz) < max_pitch * radial + 0.2 and count < len(found):
            found[count] = j
            count += 1
    return count


@njit(cache=True, nogil=True)
def chains(
    points: Array, bounds: Index, max_slope: float, max_pitch: float, min_cosine: float, reach: int
) -> tuple[Index, Index]:
    """Return the seeds of one event.

    Args:
        points: (N, 4) x, y, z, r in cm, sorted by layer.
        bounds: (L+1,) first point of each layer.
        max_slope: largest transverse step across / radial step between two points of a link.
        max_pitch: largest |dz| / radial step.
        min_cosine: smallest cosine of the angle between the two links of a triplet.
        reach: layers between the two points of a link, at most (2 allows one missing layer).

    Returns:
        Points of all chains one after another, inside out, and the (S+1,) boundaries of the chains.
    """
    n, layers = len(points), len(bounds) - 1
    inner, outer = np.full(n, -1), np.full(n, -1)
    below, above = np.empty(256, dtype=np.int64), np.empty(256, dtype=np.int64)
    for layer in range(layers):
        for i in range(bounds[layer], bounds[layer + 1]):
            n_below = n_above = 0
            for step in range(1, reach + 1):
                if layer - step >= 0:
                    n_below = _reachable(
                        points, bounds[layer - step], bounds[layer - step + 1], i, max_slope, max_pitch, below, n_below
                    )
                if layer + step < layers:
                    n_above = _reachable(
                        points, bounds[layer + step], bounds[layer + step + 1], i, max_slope, max_pitch, above, n_above
                    )
            best = np.inf
            for a in range(n_below):
                ux, uy, uz = points[i, 0] - points[below[a], 0], points[i, 1] - points[below[a], 1], 0.0
                uz = points[i, 2] - points[below[a], 2]
                u = math.sqrt(ux * ux + uy * uy + uz * uz)
                for b in range(n_above):
                    vx, vy = points[above[b], 0] - points[i, 0], points[above[b], 1] - points[i, 1]
                    vz = points[above[b], 2] - points[i, 2]
                    v = math.sqrt(vx * vx + vy * vy + vz * vz)
                    cosine = (ux * vx + uy * vy + uz * vz) / (u * v)
                    # Short links first: a missing layer costs as much as a bend of 0.1 rad.
                    cost = 1.0 - cosine + 0.005 * (u + v) / (abs(points[above[b], 3] - points[below[a], 3]) + 0.1)
                    cost += 0.005 * (abs(points[above[b], 3] - points[below[a], 3]))
                    if cosine > min_cosine and cost < best:
                        best, inner[i], outer[i] = cost, below[a], above[b]
    # A link stands where both ends chose it; an end without a triplet of its own accepts.
    up, down = np.full(n, -1), np.full(n, -1)
    for i in range(n):
        j = outer[i]
        if j >= 0 and (inner[j] == i or (inner[j] < 0 and down[j] < 0)):
            up[i], down[j] = j, i
    for i in range(n):
        j = inner[i]
        if j >= 0 and down[i] < 0 and outer[j] < 0 and up[j] < 0:
            up[j], down[i] = i, j
    members, starts = np.empty(n, dtype=np.int64), np.empty(n + 1, dtype=np.int64)
    used, count = 0, 0
    for i in range(n):
        if down[i] < 0 and up[i] >= 0:
            starts[count] = used
            count += 1
            at = i
            while at >= 0:
                members[used] = at
                used += 1
                at = up[at]
    starts[count] = used
    return members[:used], starts[: count + 1]
