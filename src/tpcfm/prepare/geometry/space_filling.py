"""Hilbert and Morton codes of three-dimensional integer coordinates (Skilling, AIP Conf. Proc. 707, 381, 2004)."""

import numpy as np
import numpy.typing as npt

from tpcfm.kernels import njit

BITS = 16
PER_UNIT = 10_000  # lattice steps per unit of a normalised coordinate


def lattice(coordinates: npt.NDArray[np.floating], bits: int = BITS) -> npt.NDArray[np.uint32]:
    """Return (N, 3) lattice coordinates: multiplied by 1e4, truncated, and held inside ``bits`` bits."""
    steps = np.trunc(np.asarray(coordinates, dtype=np.float64) * PER_UNIT)
    return np.clip(steps, 0, 2**bits - 1).astype(np.uint32)


@njit(cache=True, nogil=True)
def hilbert_code(cells: npt.NDArray[np.uint32], bits: int) -> npt.NDArray[np.uint64]:
    """Return the position of each cell along the three-dimensional Hilbert curve.

    Args:
        cells: (N, 3) unsigned coordinates below ``2**bits``; the first axis is the most significant.
        bits: bits per axis, at most 21.
    """
    codes = np.empty(len(cells), dtype=np.uint64)
    axes = np.empty(3, dtype=np.int64)
    for row in range(len(cells)):
        for axis in range(3):
            axes[axis] = np.int64(cells[row, axis])
        # Undo the excess rotations and reflections, from the coarsest bit to the finest.
        bit = np.int64(1) << (bits - 1)
        while bit > 1:
            low = bit - 1
            for axis in range(3):
                if axes[axis] & bit:
                    axes[0] ^= low
                else:
                    swap = (axes[0] ^ axes[axis]) & low
                    axes[0] ^= swap
                    axes[axis] ^= swap
            bit >>= 1
        # Gray code across the axes.
        axes[1] ^= axes[0]
        axes[2] ^= axes[1]
        parity = np.int64(0)
        bit = np.int64(1) << (bits - 1)
        while bit > 1:
            if axes[2] & bit:
                parity ^= bit - 1
            bit >>= 1
        code = np.int64(0)
        for level in range(bits - 1, -1, -1):
            for axis in range(3):
                code = (code << 1) | (((axes[axis] ^ parity) >> level) & 1)
        codes[row] = np.uint64(code)
    return codes


@njit(cache=True, nogil=True)
def morton_code(cells: npt.NDArray[np.uint32], bits: int) -> npt.NDArray[np.uint64]:
    """Return the bit-interleaved (Z-order) code of each cell; the first axis is the most significant."""
    codes = np.empty(len(cells), dtype=np.uint64)
    for row in range(len(cells)):
        code = np.int64(0)
        for level in range(bits - 1, -1, -1):
            for axis in range(3):
                code = (code << 1) | ((np.int64(cells[row, axis]) >> level) & 1)
        codes[row] = np.uint64(code)
    return codes
