"""Compiled passes over the points of a block: check and unpack in one sweep."""

from typing import Any

import numpy as np

from tpcfm.kernels import njit

BAD_COORDINATE = 1
BAD_ENERGY = 2
DUPLICATE = 4


@njit(cache=True, nogil=True)
def unpack_voxels(points: Any, offsets: Any, first_voxel: Any, sides: Any, low: float, high: float, out: Any) -> Any:
    """Check and unpack the points of a block of PILArNet-M events.

    Args:
        points: (N, 8) float32 as published; columns 0 to 2 are voxel coordinates, column 3 is the energy.
        offsets: (B + 1,) int64, first point of each event; at most 32,768 events.
        first_voxel: (3,) int64, smallest coordinates of the lattice.
        sides: (3,) int64, voxels per side, together at most 2**48.
        low: smallest energy allowed.
        high: largest energy allowed.
        out: three arrays (N,) for the coordinates, of the type of the event table; meaningless in flagged events.

    Returns:
        ``(flags, energy)``: per event a sum of `BAD_COORDINATE` (not a whole number in the lattice), `BAD_ENERGY` (not
        finite or out of range) and `DUPLICATE` (a voxel twice); per point float32.
    """
    n_events = len(offsets) - 1
    total = len(points)
    flags = np.zeros(n_events, np.uint8)
    x, y, z = out
    energy = np.empty(total, np.float32)
    longest = 1
    for event in range(n_events):
        longest = max(longest, offsets[event + 1] - offsets[event])
    size = 16
    while size < 2 * longest:
        size *= 2
    table = np.full(size, -1, np.int64)  # hash set of (event, voxel), so that it need not be emptied between events
    x_low, y_low, z_low = first_voxel[0], first_voxel[1], first_voxel[2]
    x_side, y_side, z_side = sides[0], sides[1], sides[2]
    for event in range(n_events):
        first, last = offsets[event], offsets[event + 1]
        need = 16
        while need < 2 * (last - first):
            need *= 2
        mask = need - 1
        stamp = np.int64(event) << 48
        for i in range(first, last):
            a, b, c, e = points[i, 0], points[i, 1], points[i, 2], points[i, 3]
            energy[i] = e
            if not (e >= low and e <= high and e < np.float32(np.inf)):
                flags[event] |= BAD_ENERGY
            if not (abs(a) < 2e9 and abs(b) < 2e9 and abs(c) < 2e9):
                flags[event] |= BAD_COORDINATE
                continue
            i_x, i_y, i_z = np.int64(a), np.int64(b), np.int64(c)
            whole = np.float32(i_x) == a and np.float32(i_y) == b and np.float32(i_z) == c
            i_x, i_y, i_z = i_x - x_low, i_y - y_low, i_z - z_low
            if not (whole and 0 <= i_x < x_side and 0 <= i_y < y_side and 0 <= i_z < z_side):
                flags[event] |= BAD_COORDINATE
                continue
            x[i], y[i], z[i] = i_x + x_low, i_y + y_low, i_z + z_low
            voxel = (i_x * y_side + i_y) * z_side + i_z
            key = stamp | voxel
            slot = ((voxel * 2654435761) >> 8) & mask
            while True:
                held = table[slot]
                if held == key:
                    flags[event] |= DUPLICATE
                    break
                if held >> 48 != event:  # empty, or left by an earlier event
                    table[slot] = key
                    break
                slot = (slot + 1) & mask
    return flags, energy


@njit(cache=True, nogil=True)
def check_spacepoints(points: Any, energies: Any, radii: Any, lengths: Any) -> Any:
    """Check the points of a block of TPCpp-10M events.

    Args:
        points: (N, 4) float32: E, x, y, z.
        energies: smallest and largest E allowed.
        radii: smallest and largest radius allowed.
        lengths: smallest and largest z allowed.

    Returns:
        ``(bad_energy, outside)``, (N,) bool: energy not finite or out of range; position not finite or out of range.
    """
    total = len(points)
    bad_energy = np.zeros(total, np.bool_)
    outside = np.zeros(total, np.bool_)
    inner, outer = radii[0] * radii[0], radii[1] * radii[1]
    for i in range(total):
        energy = np.float64(points[i, 0])
        x, y, z = np.float64(points[i, 1]), np.float64(points[i, 2]), np.float64(points[i, 3])
        square = x * x + y * y
        bad_energy[i] = not (energy >= energies[0] and energy <= energies[1] and abs(energy) < np.inf)
        outside[i] = not (square >= inner and square <= outer and z >= lengths[0] and z <= lengths[1])
    return bad_energy, outside


FLOAT_SHIFT = 20  # of the 23 mantissa bits of a float32: 8 bins per factor of two


@njit(cache=True, nogil=True)
def float_moments(values: Any, offsets: Any, chosen: Any, first_bin: int, n_bins: int) -> Any:
    """Histogram and moments of float32 values in one sweep, and the moments of those of some events.

    Bins come straight from the bits of the number: 8 per factor of two, of equal width within it.

    Args:
        values: (N,) float32; zero and negative ones count as below the first bin.
        offsets: (B + 1,) first value of each event.
        chosen: (B,) bool, events of the second set of moments.
        first_bin: bits (shifted right by `FLOAT_SHIFT`) of the lower edge of the first bin.
        n_bins: number of bins; two more count what lies below and above.

    Returns:
        ``(counts (n_bins + 2,) int64, (sum, sum of squares, smallest, largest), (number, sum, sum of squares) of the chosen)``.
    """
    counts = np.zeros(n_bins + 2, np.int64)
    total, squares, low, high = 0.0, 0.0, np.inf, -np.inf
    n_chosen, total_chosen, squares_chosen = 0, 0.0, 0.0
    bits = values.view(np.uint32)
    for event in range(len(offsets) - 1):
        own, own_squares = 0.0, 0.0
        for i in range(offsets[event], offsets[event + 1]):
            value = np.float64(values[i])
            own += value
            own_squares += value * value
            low = min(low, value)
            high = max(high, value)
            place: Any = np.int64(bits[i] >> np.uint32(FLOAT_SHIFT)) - first_bin + 1
            if value <= 0:
                place = 0
            place = min(max(place, 0), n_bins + 1)
            counts[place] += 1
        total += own
        squares += own_squares
        if chosen[event]:
            n_chosen += offsets[event + 1] - offsets[event]
            total_chosen += own
            squares_chosen += own_squares
    return counts, (total, squares, low, high), (n_chosen, total_chosen, squares_chosen)


@njit(cache=True, nogil=True)
def radius_moments(x: Any, y: Any, first_edge: float, width: float, n_bins: int) -> Any:
    """Histogram and moments of the distance from the z axis, in bins of equal width.

    Args:
        x: (N,).
        y: (N,).
        first_edge: lower edge of the first bin.
        width: of a bin.
        n_bins: number of bins; two more count what lies below and above.

    Returns:
        ``(counts (n_bins + 2,) int64, (sum, sum of squares, smallest, largest))``.
    """
    counts = np.zeros(n_bins + 2, np.int64)
    total, squares, low, high = 0.0, 0.0, np.inf, -np.inf
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
    return counts, (total, squares, low, high)


@njit(cache=True, nogil=True)
def object_sizes(ids: Any, offsets: Any, background: Any, smallest: int, largest: int) -> Any:
    """Count the objects of each event and the points of each object.

    Args:
        ids: (N,) whole numbers, any range.
        offsets: (B + 1,) first point of each event.
        background: (K,) ids that are no object.
        smallest: of all ids.
        largest: of all ids.

    Returns:
        ``(sizes (objects,) int64, per_event (B,) int64)``.
    """
    sizes = np.empty(len(ids), np.int64)
    per_event = np.zeros(len(offsets) - 1, np.int64)
    table = np.zeros(4096, np.int64)
    found = 0
    for event in range(len(offsets) - 1):
        first, last = offsets[event], offsets[event + 1]
        if first == last:
            continue
        before = found
        low, high = np.int64(smallest), np.int64(largest)
        if not 0 <= high - low < 512:  # else it does not pay to look at the range of this event alone
            low, high = np.int64(ids[first]), np.int64(ids[first])
            for i in range(first, last):
                low = min(low, np.int64(ids[i]))
                high = max(high, np.int64(ids[i]))
        span = high - low + 1
        if 0 < span <= 4096 + 2 * (last - first):
            if span > len(table):
                table = np.zeros(2 * span, np.int64)
            start = first
            for i in range(
                first + 1, last
            ):  # by runs: labels change rarely, and one counter must not be hit point by point
                if ids[i] != ids[start]:
                    table[np.int64(ids[start]) - low] += i - start
                    start = i
            table[np.int64(ids[start]) - low] += last - start
            for value in background:
                if low <= value <= high:
                    table[value - low] = 0
            for k in range(span):
                if table[k]:
                    sizes[found] = table[k]
                    table[k] = 0
                    found += 1
        else:  # wild ids: sorted, equal ones are neighbours
            ordered = np.sort(ids[first:last])
            start = 0
            for i in range(1, len(ordered) + 1):
                if i == len(ordered) or ordered[i] != ordered[start]:
                    is_object = True
                    for value in background:
                        is_object = is_object and ordered[start] != value
                    if is_object:
                        sizes[found] = i - start
                        found += 1
                    start = i
        per_event[event] = found - before
    return sizes[:found], per_event
