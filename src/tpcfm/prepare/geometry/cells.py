"""Neighbour search on a cell list: cost linear in the number of points at fixed density.

Points are first put into *canonical order*, lexicographic in (x, y, z): every tie in this package is broken by it, so a
permutation of the input changes nothing but row numbers. Coordinates are either integers (voxels: exact arithmetic) or
floats (any detector); kernels are compiled for both from the same text.
"""

import math
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tpcfm.errors import DataError
from tpcfm.kernels import njit

Ints = npt.NDArray[np.int64]
Coordinates = npt.NDArray[Any]
"""(N, 3) coordinates: int32 (lattice) or float64."""

_MOST_CELLS = 1 << 20  # per axis, so that three cell numbers fit into one 64-bit key


class CellList(NamedTuple):
    """Points sorted by cell. "Position" is a place in this order, "rank" a place in the canonical order."""

    xyz: Coordinates  # (3, N) by position
    rank: npt.NDArray[np.int32]  # (N,) rank of each position
    position: npt.NDArray[np.int32]  # (N,) position of each rank
    cell: npt.NDArray[np.int32]  # (N,) cell of each position
    start: npt.NDArray[np.int32]  # (C + 1,) first position of each cell
    first: npt.NDArray[np.int32]  # (C, 9) the 27 cells around a cell are nine runs of positions,
    last: npt.NDArray[np.int32]  # (C, 9) each from `first` up to, not including, `last`


def as_coordinates(xyz: npt.ArrayLike) -> Coordinates:
    """Return (N, 3) coordinates as int32 if they are integers, else as float64.

    Raises:
        DataError: wrong shape, values that are not finite, integers beyond 30 bits.
    """
    array = np.asarray(xyz)
    if array.ndim != 2 or array.shape[1] != 3:
        raise DataError(f"coordinates of shape {array.shape}; expected (points, 3)")
    if np.issubdtype(array.dtype, np.integer):
        if array.size and max(abs(int(array.min())), abs(int(array.max()))) >= 1 << 30:
            raise DataError("integer coordinates beyond 30 bits; give them as floats")
        return np.ascontiguousarray(array, np.int32)
    array = np.ascontiguousarray(array, np.float64)
    if not np.isfinite(array).all():
        raise DataError("coordinates that are not finite")
    return array


def reach_of(limit: int | float, integer: bool) -> float:
    """Return how far apart along an axis two points with d² < ``limit`` can be."""
    return math.isqrt(int(limit) - 1) if integer else math.sqrt(limit)


def squared_limit(distance: Fraction, integer: bool) -> int | float:
    """Return L such that, for squared distances d² of the given kind, d² < L says exactly d² < ``distance``²."""
    squared = distance * distance
    if integer and squared > 1 << 27:
        raise DataError(
            f"distance of {float(distance)} lattice units; at most 11,585, or give the coordinates as floats"
        )
    return math.ceil(squared) if integer else float(squared)


def exact(value: float) -> Fraction:
    """Return the decimal number that a person wrote, exactly: 2 · 0.7 · 5 is 7, not 7.000000000000001."""
    return Fraction(repr(float(value)))


@njit(cache=True, nogil=True)
def _sort_digit(values, order):  # type: ignore[no-untyped-def]
    """Stable sort of ``order`` by non-negative integers ``values`` (radix of 11 bits)."""
    n = order.size
    top = 0
    for i in range(n):
        if values[i] > top:
            top = values[i]
    other = np.empty_like(order)
    count = np.empty(2049, np.int32)
    shift = 0
    while True:
        count[:] = 0
        for i in range(n):
            count[((values[order[i]] >> shift) & 2047) + 1] += 1
        for digit in range(2048):
            count[digit + 1] += count[digit]
        for i in range(n):
            digit = (values[order[i]] >> shift) & 2047
            other[count[digit]] = order[i]
            count[digit] += 1
        order, other = other, order
        shift += 11
        if (top >> shift) == 0:
            return order


@njit(cache=True, nogil=True)
def _lexicographic(xyz):  # type: ignore[no-untyped-def]
    order = np.arange(xyz.shape[0]).astype(np.int32)
    for axis in (2, 1, 0):
        low = xyz[0, axis]
        for i in range(xyz.shape[0]):
            low = min(low, xyz[i, axis])
        order = _sort_digit((xyz[:, axis] - low).astype(np.int64), order)
    return order


def canonical_order(xyz: Coordinates) -> npt.NDArray[np.int32]:
    """Return the rows of ``xyz`` (N, 3) in lexicographic order of (x, y, z); equal points stay in storage order."""
    if len(xyz) == 0:
        return np.zeros(0, np.int32)
    if np.issubdtype(xyz.dtype, np.integer):
        return _lexicographic(xyz)
    return np.lexsort((xyz[:, 2], xyz[:, 1], xyz[:, 0])).astype(np.int32)


@njit(cache=True, nogil=True)
def _build(xyz, edge):  # type: ignore[no-untyped-def]
    n = xyz.shape[0]
    number = np.empty((3, n), np.int64)
    size = np.empty(3, np.int64)
    for axis in range(3):
        low = xyz[0, axis]
        high = xyz[0, axis]
        for i in range(n):
            low = min(low, xyz[i, axis])
            high = max(high, xyz[i, axis])
        for i in range(n):
            number[axis, i] = int((xyz[i, axis] - low) // edge)
        size[axis] = int((high - low) // edge) + 3  # an empty layer on both sides: no run wraps around
    order = np.arange(n).astype(np.int32)
    for axis in (2, 1, 0):
        order = _sort_digit(number[axis], order)

    points = np.empty((3, n), xyz.dtype)
    position = np.empty(n, np.int32)
    cell = np.empty(n, np.int32)
    keys = np.empty(n, np.int64)
    start = np.empty(n + 1, np.int32)
    cells = 0
    for at in range(n):
        i = order[at]
        position[i] = at
        for axis in range(3):
            points[axis, at] = xyz[i, axis]
        key = ((number[0, i] + 1) * size[1] + number[1, i] + 1) * size[2] + number[2, i] + 1
        if cells == 0 or keys[cells - 1] != key:
            keys[cells] = key
            start[cells] = at
            cells += 1
        cell[at] = cells - 1
    start[cells] = n
    keys = keys[:cells]
    start = start[: cells + 1].copy()

    # Keys ascend, so for each offset in (x, y) the run of three cells in z moves forward only: two pointers, no search.
    first = np.empty((cells, 9), np.int32)
    last = np.empty((cells, 9), np.int32)
    run = 0
    for dx in range(-1, 2):
        for dy in range(-1, 2):
            shift = (dx * size[1] + dy) * size[2]
            a = 0
            b = 0
            for c in range(cells):
                while a < cells and keys[a] < keys[c] + shift - 1:
                    a += 1
                while b < cells and keys[b] <= keys[c] + shift + 1:
                    b += 1
                first[c, run] = start[a]
                last[c, run] = start[b]
            run += 1
    return points, order, position, cell, start, first, last


def build_cells(xyz: Coordinates, reach: float) -> CellList:
    """Sort points (N, 3) in canonical order into cells such that all within ``reach`` lie in the 27 cells around.

    Args:
        xyz: at least one point, integers or floats, in canonical order.
        reach: largest distance asked for later, in the unit of the coordinates.
    """
    return _cells(xyz, _edge(xyz, reach))


def cells_of_about(xyz: Coordinates, count: int) -> tuple[CellList, float]:
    """Sort points in canonical order into cells of at least ``count`` points on average; return them and their edge.

    For searches whose reach is not known beforehand: only their speed depends on the edge.
    """
    extent = float(np.ptp(xyz, axis=0).max()) or 1.0
    edge = _edge(xyz, extent * count / len(xyz))  # right for a single straight track; too small otherwise
    while True:
        cells = _cells(xyz, edge)
        if len(xyz) >= count * (len(cells.start) - 1) or edge > extent:
            return cells, edge
        edge *= 2


def _edge(xyz: Coordinates, reach: float) -> float:
    if np.issubdtype(xyz.dtype, np.integer):
        return max(1, math.ceil(reach), math.ceil(float(np.ptp(xyz, axis=0).max()) / _MOST_CELLS))
    # A hair wider than asked: rounding in the cell number must not put a neighbour two cells away.
    return max(float(reach) * (1 + 1e-9), float(np.ptp(xyz, axis=0).max()) / _MOST_CELLS)


def _cells(xyz: Coordinates, edge: float) -> CellList:
    return CellList(*_build(xyz, xyz.dtype.type(edge)))
