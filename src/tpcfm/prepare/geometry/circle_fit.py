"""Circles through points that a field has bent, and the helix along them: kernels on raw sums, so that two fits are joined by adding."""

import math

import numpy as np

from tpcfm.kernels import njit

SUMS = 9
"""Of a set of points: number, x, y, xx, xy, yy, xw, yw, ww with w = xx + yy."""
_STEPS = 24  # of the search for a slope, on either side of the first guess


@njit(cache=True, nogil=True)
def circle_sums(xyz, points):  # type: ignore[no-untyped-def]
    """Return the sums (SUMS,) of some points (rows of ``xyz``, (N, 3))."""
    found = np.zeros(SUMS)
    for i in points:
        x, y = xyz[i, 0], xyz[i, 1]
        w = x * x + y * y
        for k, term in enumerate((1.0, x, y, x * x, x * y, y * y, x * w, y * w, w * w)):
            found[k] += term
    return found


@njit(cache=True, nogil=True)
def fit_circle(sums):  # type: ignore[no-untyped-def]
    """Return centre and radius (a, b, R) of the circle through at least three points, from their sums.

    Taubin's fit, IEEE Trans. PAMI 13, 1115 (1991): Newton's method on its characteristic equation, from 0.
    """
    n, mx, my = sums[0], sums[1] / sums[0], sums[2] / sums[0]
    c = mx * mx + my * my
    # Moments about the mean, with z = (x - mx)^2 + (y - my)^2.
    xx, xy, yy = sums[3] / n - mx * mx, sums[4] / n - mx * my, sums[5] / n - my * my
    z = sums[3] + sums[5] - 2 * mx * sums[1] - 2 * my * sums[2] + n * c
    xz = (sums[6] - 2 * mx * sums[3] - 2 * my * sums[4] + c * sums[1] - mx * z) / n
    yz = (sums[7] - 2 * mx * sums[4] - 2 * my * sums[5] + c * sums[2] - my * z) / n
    zz = sums[8] + 4 * mx * mx * sums[3] + 4 * my * my * sums[5] + n * c * c + 8 * mx * my * sums[4]
    zz += 2 * c * (sums[3] + sums[5]) - 4 * mx * sums[6] - 4 * my * sums[7] - 4 * c * (mx * sums[1] + my * sums[2])
    zz /= n
    mean, area = xx + yy, xx * yy - xy * xy
    spread = zz - mean * mean
    a2, a3 = -3 * mean * mean - zz, 4 * mean
    a1 = spread * mean + 4 * area * mean - xz * xz - yz * yz
    a0 = xz * (xz * yy - yz * xy) + yz * (yz * xx - xz * xy) - spread * area
    root, value = 0.0, a0
    for _ in range(30):
        slope = a1 + root * (2 * a2 + 3 * a3 * root)
        if slope == 0.0:
            break
        further = root - value / slope
        if further == root or not math.isfinite(further):
            break
        found = a0 + further * (a1 + further * (a2 + further * a3))
        if abs(found) >= abs(value):
            break
        root, value = further, found
    determinant = root * root - root * mean + area
    if abs(determinant) < 1e-12:
        determinant = 1e-12
    a = (xz * (yy - root) - yz * xy) / determinant / 2
    b = (yz * (xx - root) - xz * xy) / determinant / 2
    return a + mx, b + my, math.sqrt(a * a + b * b + mean)


@njit(cache=True, nogil=True)
def off_circle(xyz, points, a, b, radius):  # type: ignore[no-untyped-def]
    """Return the root-mean-square distance of points from a circle."""
    total = 0.0
    for i in points:
        total += (math.hypot(xyz[i, 0] - a, xyz[i, 1] - b) - radius) ** 2
    return math.sqrt(total / len(points))


@njit(cache=True, nogil=True)
def fit_helix(xyz, points, tangent, a, b, radius):  # type: ignore[no-untyped-def]
    """Return how far points on a circle are from a helix (root mean square, across it), and its slope dz/ds.

    The phase of a point about the centre is known up to whole turns. A first slope comes from the unit tangents (N, 3; either sign) of
    the points; around it the one is taken under which the phases agree best, then a straight line is fitted, residuals taken to the
    nearest turn.
    """
    n = len(points)
    phase, z = np.empty(n), np.empty(n)
    up, along = 0.0, 1e-9
    for j, i in enumerate(points):
        x, y = xyz[i, 0] - a, xyz[i, 1] - b
        share = (tangent[i, 1] * x - tangent[i, 0] * y) / (math.hypot(x, y) + 1e-9)
        up += tangent[i, 2] * share
        along += share * share
        phase[j], z[j] = math.atan2(y, x), xyz[i, 2]
    length = max(z.max() - z.min(), 1.0)
    z -= 0.5 * (z.max() + z.min())
    slope = up / along
    if abs(slope) < 1e-3:
        slope = 1e-3
    turn = 1.0 / (slope * radius)  # phase per unit of z
    reach = 0.3 * abs(turn) + 3.0 / length
    steps = int(min(_STEPS, math.ceil(reach * length / 0.7)))
    best, at, first = -1.0, turn, 0.0
    for step in range(-steps, steps + 1):
        tried = turn + step * reach / steps
        c, s = 0.0, 0.0
        for j in range(n):
            c += math.cos(phase[j] - tried * z[j])
            s += math.sin(phase[j] - tried * z[j])
        if c * c + s * s > best:
            best, at, first = c * c + s * s, tried, math.atan2(s, c)
    rest = np.empty(n)
    for again in range(3):
        for j in range(n):
            t = phase[j] - at * z[j] - first
            rest[j] = t - 2 * math.pi * math.floor(t / (2 * math.pi) + 0.5)
        sz, szz, st, stz = z.sum(), (z * z).sum(), rest.sum(), (rest * z).sum()
        determinant = n * szz - sz * sz
        if again < 2 and determinant > 1e-6:
            change = (n * stz - sz * st) / determinant
            at += change
            first += (st - change * sz) / n
    slope = 1.0 / (radius * (at if abs(at) > 1e-9 else 1e-9))
    across = abs(slope) / math.sqrt(1 + slope * slope)
    return radius * math.sqrt((rest * rest).mean()) * across, slope
