"""Histograms with moments that can be merged: the building block of the statistics of a dataset."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tpcfm.errors import DataError
from tpcfm.readers.kernels import FLOAT_SHIFT, float_moments, radius_moments
from tpcfm.readers.ragged import Index, Mask

BINS_PER_OCTAVE = 1 << (23 - FLOAT_SHIFT)


def octave_edges(first: int, last: int) -> list[float]:
    """Return box edges from 2**first to 2**last, 8 bins of equal width per factor of two (exact in float32)."""
    steps = [
        2.0**power * (1 + part / BINS_PER_OCTAVE) for power in range(first, last) for part in range(BINS_PER_OCTAVE)
    ]
    return [*steps, 2.0**last]


def integer_edges(largest: int) -> list[float]:
    """Return box edges with one bin per whole number from 0 to ``largest``."""
    return [number - 0.5 for number in range(largest + 2)]


@dataclass
class Histogram:
    """Counts in fixed bins, with number, sum, sum of squares, smallest and largest of the values.

    Attributes:
        edges: ascending box edges.
        counts: (len(edges) + 1,) values below the first edge, in each bin, and from the last edge on.
    """

    edges: list[float]
    counts: npt.NDArray[np.int64] = field(init=False)
    n: int = 0
    total: float = 0.0
    squares: float = 0.0
    low: float = float("inf")
    high: float = float("-inf")

    def __post_init__(self) -> None:
        self.counts = np.zeros(len(self.edges) + 1, np.int64)

    def add(self, values: npt.ArrayLike) -> None:
        """Add values of any number type."""
        array = np.asarray(values)
        if array.size == 0:
            return
        places = np.searchsorted(self.edges, array, side="right")
        self.counts += np.bincount(places, minlength=len(self.counts))
        real = array.astype(np.float64)
        self._moments(len(array), float(real.sum()), float(np.square(real).sum()), float(real.min()), float(real.max()))

    def add_float32(self, values: npt.NDArray[np.float32], offsets: Index, chosen: Mask) -> tuple[int, float, float]:
        """Add float32 values of some events to a histogram with `octave_edges`, faster than `add`.

        Args:
            values: (N,); zero and negative ones count as below the first bin.
            offsets: (n + 1,) first value of each event.
            chosen: (n,) some of the events.

        Returns:
            Number, sum and sum of squares of the values of the chosen events.
        """
        first = int(np.float32(self.edges[0]).view(np.uint32)) >> FLOAT_SHIFT
        flat = np.ascontiguousarray(values, np.float32)
        counts, moments, of_chosen = float_moments(flat, offsets, chosen, first, len(self.edges) - 1)
        self.counts += counts
        self._moments(len(flat), *moments)
        return int(of_chosen[0]), float(of_chosen[1]), float(of_chosen[2])

    def add_radius(self, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> None:
        """Add ``hypot(x, y)`` of (N,) values to a histogram with bins of equal width, faster than `add`."""
        if len(x):
            width = self.edges[1] - self.edges[0]
            counts, moments = radius_moments(x, y, self.edges[0], width, len(self.edges) - 1)
            self.counts += counts
            self._moments(len(x), *moments)

    def _moments(self, n: int, total: float, squares: float, low: float, high: float) -> None:
        self.n += n
        self.total += total
        self.squares += squares
        self.low, self.high = min(self.low, low), max(self.high, high)

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers: counts with what lies outside, n, sum, squares, min, max, and derived mean and std."""
        mean = self.total / self.n if self.n else None
        std = None if mean is None else max(self.squares / self.n - mean**2, 0.0) ** 0.5
        return {
            "edges": self.edges,
            "counts": self.counts[1:-1].tolist(),
            "below": int(self.counts[0]),
            "above": int(self.counts[-1]),
            "n": self.n,
            "sum": self.total,
            "squares": self.squares,
            "min": self.low if self.n else None,
            "max": self.high if self.n else None,
            "mean": mean,
            "std": std,
        }

    def merge_json(self, other: dict[str, Any]) -> None:
        """Add what `to_json` gave of another histogram.

        Raises:
            DataError: its bins are others.
        """
        if other["edges"] != self.edges:
            raise DataError("histograms have different bins: they come from different versions; ingest the parts again")
        self.counts += np.array([other["below"], *other["counts"], other["above"]], np.int64)
        if other["n"]:
            self._moments(other["n"], other["sum"], other["squares"], other["min"], other["max"])
