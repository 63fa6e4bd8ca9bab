"""Helix through a point of a cylindrical layer: state, propagation to another radius, transport of the covariance.

State (5,): azimuth of the point (rad), z (cm), azimuth of the direction of travel (rad), signed curvature (1/cm, positive
turns to the left), dz/ds (s: length in the transverse plane). The radius of the point stands beside it.
"""

import math

import numpy as np
import numpy.typing as npt

from tpcfm.kernels import njit

Array = npt.NDArray[np.float64]


@njit(cache=True, nogil=True)
def wrap(angle: float) -> float:
    """Return an angle in [-pi, pi)."""
    return angle - 2.0 * math.pi * math.floor(angle / (2.0 * math.pi) + 0.5)


@njit(cache=True, nogil=True)
def crossings(state: Array, radius: float, target: float, path: Array) -> int:
    """Fill the two path lengths (cm, signed, nearest turn) at which the helix is at the target radius.

    With v = 2 tan(kappa s / 2) / kappa the condition is a quadratic that stays regular for straight tracks.

    Returns:
        2, or 0 if the circle does not reach the radius.
    """
    turn = state[2] - state[0]
    along, aside = radius * math.cos(turn), -radius * math.sin(turn)  # position on direction and its left normal
    kappa, gap = state[3], target * target - radius * radius
    a = 1.0 + aside * kappa - 0.25 * gap * kappa * kappa
    discriminant = along * along + a * gap
    if discriminant < 0.0:
        return 0
    # The stable pair of roots: one by the sum without cancellation, the other by the product.
    q = -(along + math.copysign(math.sqrt(discriminant), along))
    for which in range(2):
        if which == 0:
            v = q / a if abs(a) > 1e-12 else 1e12
        else:
            v = -gap / q if abs(q) > 1e-12 else 0.0
        half = 0.5 * kappa * v
        path[which] = v * (math.atan(half) / half if abs(half) > 1e-6 else 1.0)
    return 2


@njit(cache=True, nogil=True)
def advance(state: Array, radius: float, path: float, out: Array) -> float:
    """Fill the state after ``path`` cm (negative: backwards) and return the radius there."""
    kappa = state[3]
    theta = kappa * path
    if abs(theta) < 1e-6:
        ahead, left = path, 0.5 * kappa * path * path
    else:
        ahead, left = math.sin(theta) / kappa, (1.0 - math.cos(theta)) / kappa
    x = radius * math.cos(state[0]) + ahead * math.cos(state[2]) - left * math.sin(state[2])
    y = radius * math.sin(state[0]) + ahead * math.sin(state[2]) + left * math.cos(state[2])
    out[0], out[1] = math.atan2(y, x), state[1] + state[4] * path
    out[2], out[3], out[4] = wrap(state[2] + theta), kappa, state[4]
    return math.hypot(x, y)


@njit(cache=True, nogil=True)
def to_radius(state: Array, radius: float, target: float, guess: float, out: Array) -> float:
    """Fill the state at the crossing of the target radius nearest to the path length ``guess``; return its path length.

    NaN if the helix does not reach the radius.
    """
    paths = np.empty(2)
    if crossings(state, radius, target, paths) == 0:
        return np.nan
    path = paths[0] if abs(paths[0] - guess) < abs(paths[1] - guess) else paths[1]
    advance(state, radius, path, out)
    return path


@njit(cache=True, nogil=True)
def transport(
    state: Array, radius: float, target: float, path: float, end: Array, covariance: Array, out: Array
) -> bool:
    """Fill the covariance at the end of a step to a radius, by numerical derivatives; False if it is degenerate."""
    jacobian = np.zeros((5, 5))
    moved, stepped = np.empty(5), np.empty(5)
    steps = (1e-5, 1e-4, 1e-5, 1e-7, 1e-5)
    for column in range(5):
        if column == 1:  # nothing else depends on z
            jacobian[1, 1] = 1.0
            continue
        stepped[:] = state
        stepped[column] += steps[column]
        if math.isnan(to_radius(stepped, radius, target, path, moved)):
            return False
        for row in range(5):
            change = moved[row] - end[row]
            jacobian[row, column] = (wrap(change) if row in (0, 2) else change) / steps[column]
    out[:] = jacobian @ covariance @ jacobian.T
    return True


@njit(cache=True, nogil=True)
def reverse(state: Array) -> None:
    """Turn the direction of travel around, in place."""
    state[2] = wrap(state[2] + math.pi)
    state[3] = -state[3]
    state[4] = -state[4]
