"""Numbers that say whether two pieces of an event belong to one object: gap, directions, votes of near pairs, signal, circle and helix."""

import math

import numpy as np

from tpcfm.detectors.model import Detector
from tpcfm.kernels import njit
from tpcfm.prepare.geometry.circle_fit import SUMS, circle_sums, fit_circle, fit_helix, off_circle

OF_PIECES = (
    "points_low", "points_high", "gap", "straight_low", "straight_high", "parallel", "miss_low", "miss_high", "end_low", "end_high",
    "vote_high", "vote_mean", "votes", "votes_per_point", "nearer_low", "nearer_high",
)  # fmt: skip
OF_SIGNAL = ("signal_difference", "signal_significance")
OF_HELIX = (
    "gap_r", "gap_z", "r", "abs_z", "overlap_r", "pointing_difference",
    "other_off_circle_low", "other_off_circle_high", "radii", "centres", "bends", "slopes", "dips", "own_off_circle", "own_off_helix",
    "off_circle", "off_circle_high", "off_helix", "from_axis", "bend", "dip", "from_axis_low", "from_axis_high", "more_off_circle", "more_off_helix",
)  # fmt: skip
FITTED = 4
"""Points of a piece that has a circle."""
SUMMARY = SUMS + 11
_A, _B, _R, _OFF, _SLOPE, _ACROSS, _LOW, _HIGH, _AXIS, _MEAN, _DEVIATION = range(SUMS, SUMMARY)
NEAR_CIRCLE = 2.0
"""log2 of the distance from a common circle, in pitches, beyond which two pieces have no common helix."""
FAR, NO_VOTE = 10.0, -15.0
"""What stands where there is no circle, and where no near pair lies between two pieces."""


def piece_names(detector: Detector) -> list[str]:
    """Return the names of the features of two pieces in order."""
    return [*OF_PIECES, *OF_SIGNAL * (detector.main_signal is not None), *OF_HELIX * detector.cylindrical]


@njit(cache=True, nogil=True)
def _log(value):  # type: ignore[no-untyped-def]
    return math.log2(max(value, 1e-2))


@njit(cache=True, nogil=True)
def summarise(xyz, signal, tangent, points, bent):  # type: ignore[no-untyped-def]
    """Return what is known of one piece (SUMMARY,): sums, circle, distances from circle and helix, slope, range of r, signal."""
    found = np.zeros(SUMMARY)
    found[:SUMS] = circle_sums(xyz, points)
    found[_R], found[_AXIS], found[_LOW] = -1.0, 80.0, 1e9
    for i in points:
        found[_MEAN] += signal[i] / len(points)
        r = math.hypot(xyz[i, 0], xyz[i, 1])
        found[_LOW], found[_HIGH] = min(found[_LOW], r), max(found[_HIGH], r)
    for i in points:
        found[_DEVIATION] += (signal[i] - found[_MEAN]) ** 2 / len(points)
    if bent and len(points) >= FITTED:
        a, b, radius = fit_circle(found[:SUMS])
        found[_A], found[_B], found[_R] = a, b, radius
        found[_OFF] = off_circle(xyz, points, a, b, radius)
        found[_ACROSS], found[_SLOPE] = fit_helix(xyz, points, tangent, a, b, radius)
        found[_AXIS] = abs(math.hypot(a, b) - radius)
    return found


@njit(cache=True, nogil=True)
def _of_helix(xyz, tangent, one, other, first, second, p, q, f):  # type: ignore[no-untyped-def]
    """Fill the features of circle and helix (len(OF_HELIX),) of two pieces; p and q are their nearest points."""
    rp, rq = math.hypot(xyz[p, 0], xyz[p, 1]), math.hypot(xyz[q, 0], xyz[q, 1])
    f[0], f[1] = _log(abs(rp - rq)), _log(abs(xyz[p, 2] - xyz[q, 2]))
    f[2], f[3] = (rp + rq) / 2, abs(xyz[p, 2] + xyz[q, 2]) / 2
    shorter = max(1.0, min(first[_HIGH] - first[_LOW], second[_HIGH] - second[_LOW]))
    f[4] = (min(first[_HIGH], second[_HIGH]) - max(first[_LOW], second[_LOW])) / shorter
    f[5] = _log(100 * abs(xyz[p, 2] / max(rp, 1e-3) - xyz[q, 2] / max(rq, 1e-3)))
    f[6:13] = FAR
    f[15:19] = FAR
    if first[_R] > 0 and second[_R] > 0:
        there = off_circle(xyz, one, second[_A], second[_B], second[_R])
        back = off_circle(xyz, other, first[_A], first[_B], first[_R])
        f[6], f[7] = _log(min(there, back)), _log(max(there, back))
        f[8] = _log(100 * abs(first[_R] - second[_R]) / (first[_R] + second[_R]))
        f[9] = _log(100 * math.hypot(first[_A] - second[_A], first[_B] - second[_B]) / (first[_R] + second[_R]))
        f[10] = _log(1000 * abs(1 / first[_R] - 1 / second[_R]))
        f[11] = _log(10 * abs(first[_SLOPE] - second[_SLOPE]))
        f[12] = _log(10 * abs(math.atan(first[_SLOPE]) - math.atan(second[_SLOPE])))
    elif first[_R] > 0:
        f[6] = f[7] = _log(off_circle(xyz, other, first[_A], first[_B], first[_R]))
    elif second[_R] > 0:
        f[6] = f[7] = _log(off_circle(xyz, one, second[_A], second[_B], second[_R]))
    fitted = first[_R] > 0 or second[_R] > 0
    if fitted:
        f[13], f[14] = _log(max(first[_OFF], second[_OFF])), _log(max(first[_ACROSS], second[_ACROSS]))
    if len(one) + len(other) >= FITTED:
        a, b, radius = fit_circle(first[:SUMS] + second[:SUMS])
        off_one, off_other = off_circle(xyz, one, a, b, radius), off_circle(xyz, other, a, b, radius)
        total = off_one**2 * len(one) + off_other**2 * len(other)
        f[15], f[16] = _log(math.sqrt(total / (len(one) + len(other)))), _log(max(off_one, off_other))
        f[18], f[19] = _log(abs(math.hypot(a, b) - radius)), _log(1000 / radius)
        f[17], f[20] = FAR, 0.0
        if f[15] < NEAR_CIRCLE:  # a helix takes most of the time, and these two have none
            across, slope = fit_helix(xyz, np.concatenate((one, other)), tangent, a, b, radius)
            f[17], f[20] = _log(across), math.atan(abs(slope))
    f[21], f[22] = _log(min(first[_AXIS], second[_AXIS])), _log(max(first[_AXIS], second[_AXIS]))
    if fitted:
        f[23], f[24] = f[15] - f[13], f[17] - f[14]


@njit(cache=True, nogil=True)
def pair_features(xyz, tangent, offset, order, start, size, summary, gap, end, votes, pairs, signals, helix):  # type: ignore[no-untyped-def]
    """Return features (E, len(OF_PIECES) + signals + helix) of pairs of pieces; exchanging the two changes nothing.

    log2 of the numbers of points and of the gap; cosines of the gap with the tangents at its ends, between these, and how far the line
    along one passes the other; how much an end is an end; log-odds of the near pairs between the pieces (largest, mean, number, number per
    point of the smaller); pieces nearer to one than the other is. With a signal: difference of the means, and over its error. In a
    cylinder: steps in r and z, common range of r, difference of z / r; distances of one from the circle of the other, differences of
    radius, centre, bend and slope, distances of both from their own and from a common circle and helix, of circles from the axis.

    Args:
        xyz, tangent: (N, 3), in pitches.
        offset: (N,) distance of a point from the mean of its neighbours in the piece over their spread.
        order, start, size: points of each piece, (N,), (P,), (P,).
        summary: (P, SUMMARY), see `summarise`.
        gap, end: (P, P) smallest distance, and the point of the first that is nearest to the second.
        votes: (3, P, P) largest, sum and number of the log-odds.
        pairs: (E, 2).
        signals, helix: numbers of these features, or 0.
    """
    found = np.zeros((len(pairs), len(OF_PIECES) + signals + helix))
    for e in range(len(pairs)):
        a, b = pairs[e]
        f, first, second = found[e], summary[a], summary[b]
        one, other = order[start[a] : start[a] + size[a]], order[start[b] : start[b] + size[b]]
        p, q, distance = end[a, b], end[b, a], float(gap[a, b])
        few = min(size[a], size[b])
        f[0], f[1], f[2] = math.log2(few), math.log2(max(size[a], size[b])), _log(distance)
        there, back, parallel = 0.0, 0.0, 0.0
        for k in range(3):
            step = (xyz[q, k] - xyz[p, k]) / max(distance, 1e-9)
            there += step * tangent[p, k]
            back += step * tangent[q, k]
            parallel += tangent[p, k] * tangent[q, k]
        low, high = min(abs(there), abs(back)), max(abs(there), abs(back))
        f[3], f[4], f[5] = low, high, abs(parallel)
        f[6] = _log(distance * math.sqrt(max(1 - high * high, 0.0)))
        f[7] = _log(distance * math.sqrt(max(1 - low * low, 0.0)))
        f[8], f[9] = min(offset[p], offset[q]), max(offset[p], offset[q])
        number = votes[2, a, b]
        f[10], f[11] = votes[0, a, b], votes[1, a, b] / number if number > 0 else NO_VOTE
        f[12], f[13] = math.log2(1 + number), number / few
        nearer_a, nearer_b = 0, 0
        for k in range(len(gap)):
            nearer_a += gap[a, k] < gap[a, b]
            nearer_b += gap[b, k] < gap[a, b]
        f[14], f[15] = min(nearer_a, nearer_b), max(nearer_a, nearer_b)
        if signals:
            f[16] = abs(first[_MEAN] - second[_MEAN])
            error = (first[_DEVIATION] + 0.01) / size[a] + (second[_DEVIATION] + 0.01) / size[b]
            f[17] = f[16] / math.sqrt(error)
        if helix:
            _of_helix(xyz, tangent, one, other, first, second, p, q, f[len(OF_PIECES) + signals :])
    return found
