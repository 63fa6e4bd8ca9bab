"""Compiled passes over the points of a block: check and unpack in one sweep."""

from typing import Any

import numpy as np

from tpcfm.detectors.pilarnet import EDGE
from tpcfm.kernels import njit

BAD_COORDINATE = 1
BAD_ENERGY = 2
DUPLICATE = 4


@njit(cache=True, nogil=True)
def unpack_voxels(points: Any, offsets: Any) -> Any:
    """Check and unpack the points of a block of PILArNet-M events.

    Args:
        points: (N, 8) float32 as published; columns 0 to 2 are voxel coordinates, column 3 is the energy.
        offsets: (B + 1,) int64, first point of each event.

    Returns:
        ``(flags, x, y, z, energy)``: per event a sum of `BAD_COORDINATE` (not a whole number in the lattice),
        `BAD_ENERGY` (not finite or negative) and `DUPLICATE` (a voxel twice); per point int16 and float32 values,
        meaningless in flagged events.
    """
    n_events = len(offsets) - 1
    total = len(points)
    flags = np.zeros(n_events, np.uint8)
    x = np.empty(total, np.int16)
    y = np.empty(total, np.int16)
    z = np.empty(total, np.int16)
    energy = np.empty(total, np.float32)
    longest = 1
    for event in range(n_events):
        longest = max(longest, offsets[event + 1] - offsets[event])
    size = 16
    while size < 2 * longest:
        size *= 2
    table = np.full(size, -1, np.int64)  # hash set of (event, voxel), so that it need not be emptied between events
    edge = np.float32(EDGE)
    zero = np.float32(0)
    for event in range(n_events):
        first, last = offsets[event], offsets[event + 1]
        need = 16
        while need < 2 * (last - first):
            need *= 2
        mask = need - 1
        stamp = np.int64(event) << 32
        for i in range(first, last):
            a, b, c, e = points[i, 0], points[i, 1], points[i, 2], points[i, 3]
            energy[i] = e
            if not (e >= zero and e < np.float32(np.inf)):
                flags[event] |= BAD_ENERGY
            if not (a >= zero and a < edge and b >= zero and b < edge and c >= zero and c < edge):
                flags[event] |= BAD_COORDINATE
                continue
            i_x, i_y, i_z = np.int64(a), np.int64(b), np.int64(c)
            if np.float32(i_x) != a or np.float32(i_y) != b or np.float32(i_z) != c:
                flags[event] |= BAD_COORDINATE
                continue
            x[i], y[i], z[i] = i_x, i_y, i_z
            voxel = (i_x * EDGE + i_y) * EDGE + i_z
            key = stamp | voxel
            slot = ((voxel * 2654435761) >> 8) & mask
            while True:
                held = table[slot]
                if held == key:
                    flags[event] |= DUPLICATE
                    break
                if held >> 32 != event:  # empty, or left by an earlier event
                    table[slot] = key
                    break
                slot = (slot + 1) & mask
    return flags, x, y, z, energy


@njit(cache=True, nogil=True)
def check_spacepoints(points: Any, r_low: float, r_high: float, z_limit: float) -> Any:
    """Check the points of a block of TPCpp-10M events.

    Args:
        points: (N, 4) float32: E, x, y, z in cm.
        r_low: smallest radius allowed, cm.
        r_high: largest radius allowed, cm.
        z_limit: largest ``|z|`` allowed, cm.

    Returns:
        ``(bad_energy, outside)``, (N,) bool: energy negative or not finite; position not finite or out of range.
    """
    total = len(points)
    bad_energy = np.zeros(total, np.bool_)
    outside = np.zeros(total, np.bool_)
    for i in range(total):
        energy = np.float64(points[i, 0])
        x, y, z = np.float64(points[i, 1]), np.float64(points[i, 2]), np.float64(points[i, 3])
        square = x * x + y * y
        bad_energy[i] = not (energy >= 0 and energy < np.inf)
        outside[i] = not (square >= r_low * r_low and square <= r_high * r_high and abs(z) <= z_limit)
    return bad_energy, outside


FLOAT_SHIFT = 20  # of the 23 mantissa bits of a float32: 8 bins per factor of two


@njit(cache=True, nogil=True)
def float_moments(values: Any, first_bin: int, n_bins: int) -> Any:
    """Histogram and moments of non-negative float32 values in one sweep.

    Bins come straight from the bits of the number: 8 per factor of two, of equal width within it.

    Args:
        values: (N,) float32.
        first_bin: bits (shifted right by `FLOAT_SHIFT`) of the lower edge of the first bin.
        n_bins: number of bins; two more count what lies below and above.

    Returns:
        ``(counts (n_bins + 2,) int64, sum, sum of squares, smallest, largest)``.
    """
    counts = np.zeros(n_bins + 2, np.int64)
    total = 0.0
    squares = 0.0
    low = np.inf
    high = -np.inf
    bits = values.view(np.uint32)
    for i in range(len(values)):
        value = np.float64(values[i])
        total += value
        squares += value * value
        low = min(low, value)
        high = max(high, value)
        place: Any = np.int64(bits[i] >> np.uint32(FLOAT_SHIFT)) - first_bin + 1
        place = min(max(place, 0), n_bins + 1)
        counts[place] += 1
    return counts, total, squares, low, high


@njit(cache=True, nogil=True)
def radius_moments(x: Any, y: Any, first_edge: float, width: float, n_bins: int) -> Any:
    """Histogram and moments of the distance from the beam, in bins of equal width.

    Args:
        x: (N,) cm.
        y: (N,) cm.
        first_edge: lower edge of the first bin, cm.
        width: of a bin, cm.
        n_bins: number of bins; two more count what lies below and above.

    Returns:
        ``(counts (n_bins + 2,) int64, sum, sum of squares, smallest, largest)``.
    """
    counts = np.zeros(n_bins + 2, np.int64)
    total = 0.0
    squares = 0.0
    low = np.inf
    high = -np.inf
    for i in range(len(x)):
        square = np.float64(x[i]) * x[i] + np.float64(y[i]) * y[i]
        value = np.sqrt(square)
        total += value
        squares += square
        low = min(low, value)
        high = max(high, value)
        place: Any = np.int64(np.floor((value - first_edge) / width)) + 1
        place = min(max(place, 0), n_bins + 1)
        counts[place] += 1
    return counts, total, squares, low, high


@njit(cache=True, nogil=True)
def count_kept(energy: Any, semantic: Any, offsets: Any, threshold: float, low_energy: int) -> Any:
    """Count the points that pass the cuts of PoLAr-MAE: not low energy, and energy strictly above the threshold.

    Args:
        energy: (N,) MeV.
        semantic: (N,) int8 classes below ``low_energy``, or ``low_energy``.
        offsets: (B + 1,) first point of each event.
        threshold: MeV.
        low_energy: class of the low-energy deposits.

    Returns:
        ``(per_event (B,) int64, per_class (low_energy,) int64)``.
    """
    per_event = np.zeros(len(offsets) - 1, np.int64)
    per_class = np.zeros(low_energy, np.int64)
    for event in range(len(offsets) - 1):
        for i in range(offsets[event], offsets[event + 1]):
            if semantic[i] != low_energy and energy[i] > threshold:
                per_event[event] += 1
                per_class[semantic[i]] += 1
    return per_event, per_class


@njit(cache=True, nogil=True)
def count_values(values: Any, first: int, n_values: int) -> Any:
    """Count how often each of ``n_values`` consecutive whole numbers from ``first`` on occurs in (N,) values."""
    counts = np.zeros(n_values, np.int64)
    for i in range(len(values)):
        counts[np.int64(values[i]) - first] += 1
    return counts
