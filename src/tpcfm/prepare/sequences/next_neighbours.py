"""The k next nearest neighbours of each point: targets of FM4NPP pretraining (arXiv 2508.14087, Sec. 4.1)."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from tpcfm.detectors.model import Detector
from tpcfm.kernels import njit
from tpcfm.prepare.sequences.features import check_wrap, level_index

Candidates = Literal["outer_radius", "later_index"]

_SLACK = 1e-6  # keeps rounding of the column borders from hiding a candidate
_PER_COLUMN = 80  # points per column of the grid that searches fastest (benchmarks/neighbours.py)


def next_neighbours(
    features: npt.NDArray[np.float32],
    k: int,
    detector: Detector,
    *,
    preset: str = "",
    candidates: Candidates = "outer_radius",
    wrap: bool = False,
) -> npt.NDArray[np.int32]:
    """Return the k nearest points further out, for each point of one event.

    The distance is Euclidean in the network coordinates (cylinder: eta, phi, r). Neighbours come by increasing distance, ties by row; slots
    without a candidate hold -1. The result does not depend on the serialization, except through the row numbers.

    Args:
        features: (N, 4) scaled signal and network coordinates (`features.point_features`).
        k: neighbours per point.
        detector, preset: of the features; needed to find the levels.
        candidates: ``outer_radius``: points in a strictly outer level (see `features.level_index`). ``later_index``: points
            later in the order outwards, which includes later ones of the same level (what the published code does).
        wrap: measure azimuth across the -pi/pi seam.

    Returns:
        (N, k) int32 rows.

    Raises:
        ConfigError: ``wrap`` for a box.
    """
    if wrap:
        check_wrap(detector, preset)
    coordinates = np.ascontiguousarray(features[:, 1:4], dtype=np.float32)
    outward = np.lexsort(tuple(features.T))
    if candidates == "outer_radius":
        key = level_index(features[:, 3], detector, preset)
    else:
        key = np.empty(len(features), dtype=np.int32)
        key[outward] = np.arange(len(features), dtype=np.int32)
    return _search(coordinates, key, outward, k, wrap, _grid_size(len(features)))


def _grid_size(n: int) -> int:
    return max(1, min(256, round((n / _PER_COLUMN) ** 0.5)))


@njit(cache=True, nogil=True)
def _search(
    points: npt.NDArray[np.float32],
    key: npt.NDArray[np.int32],
    outward: npt.NDArray[np.int64],
    k: int,
    wrap: bool,
    cells: int,
) -> npt.NDArray[np.int32]:
    """Search columns of an (eta, phi) grid in growing squares; in a column, points lie by increasing radius.

    A column is left when the radial distance alone exceeds the k-th distance, the whole search when the next square of
    columns lies farther than that. Distances are taken in float64, summed as (eta + phi) + r.

    Args:
        points: (N, 3) eta, phi, r.
        key: (N,) a point is a candidate for those of smaller key; keys grow with the radius.
        outward: (N,) rows by increasing radius.
    """
    n = len(points)
    found = np.full((n, k), -1, dtype=np.int32)
    if n == 0:
        return found
    # Columns: eta over the range of the event, phi over its period (outliers are held in the border columns).
    low, high = points[0, 0], points[0, 0]
    for i in range(n):
        low, high = min(low, points[i, 0]), max(high, points[i, 0])
    per_eta = cells / max(np.float64(high) - np.float64(low), 1e-6)
    row_of = np.empty(n, dtype=np.int64)
    start = np.zeros(cells * cells + 1, dtype=np.int64)
    for i in range(n):
        a = min(max(int((np.float64(points[i, 0]) - low) * per_eta), 0), cells - 1)
        b = min(max(int(np.float64(points[i, 1]) * cells), 0), cells - 1)
        row_of[i] = a * cells + b
        start[row_of[i] + 1] += 1
    for c in range(cells * cells):
        start[c + 1] += start[c]
    fill = start[:-1].copy()
    index = np.empty(n, dtype=np.int32)
    eta = np.empty(n, dtype=np.float64)
    phi = np.empty(n, dtype=np.float64)
    rad = np.empty(n, dtype=np.float64)
    for position in range(n):
        i = outward[position]
        slot = fill[row_of[i]]
        fill[row_of[i]] += 1
        index[slot] = i
        eta[slot], phi[slot], rad[slot] = points[i, 0], points[i, 1], points[i, 2]

    width_eta = 1.0 / per_eta
    width_phi = 1.0 / cells
    reach = cells // 2 if wrap else cells - 1  # columns in phi that a search may go to either side
    best = np.empty(k, dtype=np.float64)
    rows = np.empty(k, dtype=np.int32)
    first = start[:-1].copy()  # in each column, the first point whose key is larger than the one being served
    served = 0
    for position in range(n):
        i = outward[position]
        while served < n and key[outward[served]] <= key[i]:
            first[row_of[outward[served]]] += 1
            served += 1
        e, p, r = np.float64(points[i, 0]), np.float64(points[i, 1]), np.float64(points[i, 2])
        a0, b0 = row_of[i] // cells, row_of[i] % cells
        # Depth of the point inside its own column, either way.
        below_eta, above_eta = e - (low + a0 * width_eta), low + (a0 + 1) * width_eta - e
        below_phi, above_phi = p - b0 * width_phi, (b0 + 1) * width_phi - p
        count = 0
        worst = np.inf
        for ring in range(cells):
            far_eta = (ring - 1) * width_eta - _SLACK
            far_phi = (ring - 1) * width_phi - _SLACK
            nearest = min(min(below_eta, above_eta) + far_eta, min(below_phi, above_phi) + far_phi)
            if ring > 0 and nearest > 0.0 and nearest * nearest > worst:
                break
            for a in range(max(a0 - ring, 0), min(a0 + ring, cells - 1) + 1):
                away = 0.0
                if a < a0:
                    away = max(below_eta + (a0 - a - 1) * width_eta - _SLACK, 0.0)
                elif a > a0:
                    away = max(above_eta + (a - a0 - 1) * width_eta - _SLACK, 0.0)
                away *= away
                if away > worst:
                    continue
                stride = 1 if a == a0 - ring or a == a0 + ring or ring == 0 else 2 * ring
                for shift in range(-ring, ring + 1, stride):
                    if shift > reach or shift < -reach:
                        continue
                    b = b0 + shift
                    if wrap:
                        if cells % 2 == 0 and shift == -reach and reach > 0:
                            continue  # the opposite column is the same one to either side
                        b = b % cells
                    elif b < 0 or b >= cells:
                        continue
                    aside = 0.0
                    if shift < 0:
                        aside = max(below_phi + (-shift - 1) * width_phi - _SLACK, 0.0)
                    elif shift > 0:
                        aside = max(above_phi + (shift - 1) * width_phi - _SLACK, 0.0)
                    if wrap and 2 * ring >= cells - 1:
                        aside = 0.0  # around the back, the shorter way may lead over the other side
                    if away + aside * aside > worst:
                        continue
                    column = a * cells + b
                    for slot in range(first[column], start[column + 1]):
                        dr = rad[slot] - r
                        dr *= dr
                        if dr > worst:
                            break
                        dp = abs(phi[slot] - p)
                        if wrap:
                            dp = min(dp, abs(1.0 - dp))
                        de = eta[slot] - e
                        d = (de * de + dp * dp) + dr
                        if d > worst:
                            continue
                        j = index[slot]
                        if count == k and d == worst and j > rows[k - 1]:
                            continue
                        place = count if count < k else k - 1
                        while place > 0 and (d < best[place - 1] or (d == best[place - 1] and j < rows[place - 1])):
                            best[place] = best[place - 1]
                            rows[place] = rows[place - 1]
                            place -= 1
                        best[place] = d
                        rows[place] = j
                        if count < k:
                            count += 1
                        if count == k:
                            worst = best[k - 1]
        for m in range(count):
            found[i, m] = rows[m]
    return found
