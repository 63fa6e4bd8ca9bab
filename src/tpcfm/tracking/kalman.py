"""Kalman filter along a helix: fit of a chain of points, and following the track from layer to layer.

State and propagation: `tpcfm.tracking.helix_state`. Measured are azimuth and z of a point at its radius.
"""

import math

import numpy as np
import numpy.typing as npt

from tpcfm.kernels import njit
from tpcfm.tracking.helix_state import crossings, to_radius, transport, wrap

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]


@njit(cache=True, nogil=True)
def start_state(points: Array, members: Index, state: Array, covariance: Array) -> bool:
    """Fill the state at the first of a chain of points from the circle through first, middle and last point."""
    a, b, c = members[0], members[len(members) // 2], members[-1]
    ux, uy = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1]
    vx, vy = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1]
    wx, wy = points[c, 0] - points[b, 0], points[c, 1] - points[b, 1]
    u, v, w = math.hypot(ux, uy), math.hypot(vx, vy), math.hypot(wx, wy)
    if u == 0.0 or v == 0.0 or w == 0.0:
        return False
    # Curvature = 4 area / product of the sides; the tangent at the first point differs from the chord by half the arc.
    kappa = 2.0 * (ux * vy - uy * vx) / (u * v * w)
    half = 0.5 * kappa * v
    if abs(half) > 0.95:
        return False
    chord = math.atan2(vy, vx)
    arc = v if abs(half) < 1e-6 else v * math.asin(half) / half
    state[0], state[1] = math.atan2(points[a, 1], points[a, 0]), points[a, 2]
    state[2], state[3], state[4] = wrap(chord - math.asin(half)), kappa, (points[c, 2] - points[a, 2]) / arc
    covariance[:] = 0.0
    for i, sigma in enumerate((0.1 / points[a, 3], 0.3, 0.3 / v + 0.05, 1.0 / (v * v) + 1e-3, 0.5 / v + 0.05)):
        covariance[i, i] = sigma * sigma
    return True


@njit(cache=True, nogil=True)
def _innovation(points: Array, i: int, state: Array, covariance: Array, sigma: Array) -> tuple[float, float, float]:
    """Return residuals in azimuth and z of a point at its own radius, and their chi-square."""
    s_phi, s_z = sigma[0] / points[i, 3], sigma[1]
    d_phi = wrap(math.atan2(points[i, 1], points[i, 0]) - state[0])
    d_z = points[i, 2] - state[1]
    a, b, c = covariance[0, 0] + s_phi * s_phi, covariance[0, 1], covariance[1, 1] + s_z * s_z
    determinant = a * c - b * b
    if determinant <= 0.0:
        return d_phi, d_z, np.inf
    return d_phi, d_z, (c * d_phi * d_phi - 2.0 * b * d_phi * d_z + a * d_z * d_z) / determinant


@njit(cache=True, nogil=True)
def _update(points: Array, i: int, state: Array, covariance: Array, sigma: Array) -> None:
    """Take a point into the state."""
    d_phi, d_z, _ = _innovation(points, i, state, covariance, sigma)
    s_phi = sigma[0] / points[i, 3]
    a, b = covariance[0, 0] + s_phi * s_phi, covariance[0, 1]
    c = covariance[1, 1] + sigma[1] * sigma[1]
    determinant = a * c - b * b
    gain = np.empty((5, 2))
    for row in range(5):
        gain[row, 0] = (covariance[row, 0] * c - covariance[row, 1] * b) / determinant
        gain[row, 1] = (covariance[row, 1] * a - covariance[row, 0] * b) / determinant
    for row in range(5):
        state[row] += gain[row, 0] * d_phi + gain[row, 1] * d_z
    state[0], state[2] = wrap(state[0]), wrap(state[2])
    covariance -= gain @ covariance[:2].copy()
    for row in range(5):  # keeps rounding from making it lopsided
        for column in range(row):
            mean = 0.5 * (covariance[row, column] + covariance[column, row])
            covariance[row, column] = covariance[column, row] = mean
        covariance[row, row] = max(covariance[row, row], 1e-14)


@njit(cache=True, nogil=True)
def _scatter(covariance: Array, state: Array, path: float, sigma: Array) -> None:
    """Add what scattering and energy loss do to the direction and curvature over a path."""
    length = abs(path)
    covariance[2, 2] += sigma[2] * sigma[2] * length
    covariance[4, 4] += sigma[2] * sigma[2] * length * (1.0 + state[4] * state[4]) ** 2
    covariance[3, 3] += (sigma[3] * state[3]) ** 2 * length + 1e-12 * length


@njit(cache=True, nogil=True)
def _move(state: Array, radius: float, target: float, path: float, covariance: Array, sigma: Array) -> bool:
    """Move state and covariance to a radius, at the crossing nearest to ``path``."""
    end, moved = np.empty(5), np.empty((5, 5))
    taken = to_radius(state, radius, target, path, end)
    if math.isnan(taken) or not transport(state, radius, target, taken, end, covariance, moved):
        return False
    state[:], covariance[:] = end, moved
    _scatter(covariance, state, taken, sigma)
    return True


@njit(cache=True, nogil=True)
def fit(points: Array, members: Index, state: Array, covariance: Array, sigma: Array) -> bool:
    """Filter a chain of points in its order, the state standing at the first; it ends at the last."""
    _update(points, members[0], state, covariance, sigma)
    for k in range(1, len(members)):
        i, j = members[k - 1], members[k]
        chord = math.hypot(points[j, 0] - points[i, 0], points[j, 1] - points[i, 1])
        if not _move(state, points[i, 3], points[j, 3], chord, covariance, sigma):
            return False
        _update(points, j, state, covariance, sigma)
    return True


@njit(cache=True, nogil=True)
def follow(
    points: Array,
    bounds: Index,
    radii: Array,
    owner: Index,
    layer: int,
    radius: float,
    state: Array,
    covariance: Array,
    sigma: Array,
    gate: float,
    max_missing: int,
    max_z: float,
    found: Index,
) -> int:
    """Follow a track from a layer in its direction of travel, taking the best point of each layer it crosses.

    Where the helix turns before the next layer, it comes back through the layer it is in. Ends at the inner wall, the
    outer wall, the end plates, or after ``max_missing`` layers in a row without a point.

    Args:
        owner: (N,) track of each point; only points with -1 are taken.
        layer, radius: where the state stands.
        state, covariance: changed in place; they end at the last point taken.
        gate: largest chi-square (two degrees of freedom) of a point.
        found: receives the points.

    Returns:
        Number of points found.
    """
    layers, count, missing = len(radii), 0, 0
    here, here_covariance = state.copy(), covariance.copy()
    paths, trial, trial_covariance = np.empty(2), np.empty(5), np.empty((5, 5))
    while missing <= max_missing and count < len(found):
        outward = math.cos(here[2] - here[0]) > 0.0
        target = layer + 1 if outward else layer - 1
        if target < 0 or target >= layers:
            break
        path = np.inf
        if crossings(here, radius, radii[target], paths) == 2:
            for p in paths:
                if 1e-6 < p < path:
                    path = p
        if path == np.inf and outward:  # turns back: the other crossing of this layer
            target = layer
            if crossings(here, radius, radii[target], paths) == 2:
                path = max(paths[0], paths[1])
            if path < 1e-3:
                path = np.inf
        if path == np.inf or path > 60.0 or abs(here[1] + here[4] * path) > max_z:
            break
        if not _move(here, radius, radii[target], path, here_covariance, sigma):
            break
        layer, radius = target, radii[target]
        best, best_gate = -1, gate
        for i in range(bounds[layer], bounds[layer + 1]):
            if owner[i] >= 0 or abs(points[i, 2] - here[1]) > 10.0:
                continue
            if abs(wrap(math.atan2(points[i, 1], points[i, 0]) - here[0])) * radius > 6.0:
                continue
            chi2 = _innovation(points, i, here, here_covariance, sigma)[2]
            if chi2 < best_gate:
                best, best_gate = i, chi2
        if best < 0:
            missing += 1
            continue
        # Once more at the radius of the point itself, which differs a little from that of the layer.
        trial[:], trial_covariance[:] = here, here_covariance
        if _move(trial, radius, points[best, 3], 0.0, trial_covariance, sigma):
            here[:], here_covariance[:] = trial, trial_covariance
            radius = points[best, 3]
        _update(points, best, here, here_covariance, sigma)
        owner[best] = 1 << 40  # taken, so that a turning track does not meet it again
        found[count] = best
        count += 1
        missing = 0
        state[:], covariance[:] = here, here_covariance
    return count
