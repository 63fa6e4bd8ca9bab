"""What is made of an event once and used in every epoch: neighbour graphs, inputs that need neighbours."""

from collections.abc import Callable
from typing import Any

import numpy.typing as npt

from tpcfm.prepare.store import PreparedStore

Arrays = list[npt.NDArray[Any]]
MEMORY_BYTES = 1 << 30  # beyond, arrays are made anew each time


class EventCache:
    """Arrays per event, kept in memory up to a limit. Usable from several loader threads.

    Args:
        make: arrays of the event in a row of a store.
        limit: bytes to keep at most.
    """

    def __init__(self, make: Callable[[PreparedStore, int], Arrays], limit: int = MEMORY_BYTES) -> None:
        self.make, self.limit, self.used = make, limit, 0
        self._kept: dict[tuple[str, int], Arrays] = {}

    def __call__(self, store: PreparedStore, row: int) -> Arrays:
        """Return the arrays of the event in a row; they must not be changed."""
        key = (store.fingerprint, row)
        found = self._kept.get(key)
        if found is None:
            found = self.make(store, row)
            size = sum(array.nbytes for array in found)
            if self.used + size <= self.limit:
                self._kept[key], self.used = found, self.used + size
        return found
