"""Random draws keyed by what they are for, never by the order in which batches or ranks come."""

from functools import lru_cache

import numpy as np

from tpcfm.files import key64

_MASK = (1 << 64) - 1


@lru_cache(maxsize=1024)
def _purpose_key(purpose: str) -> int:
    return key64(purpose)


def keyed_generator(seed: int, epoch: int, event_key: int, purpose: str) -> np.random.Generator:
    """Return the random generator of one event in one epoch for one purpose.

    Philox (counter-based; Salmon et al., SC11): event and purpose are its key, epoch and seed the high words of its
    counter, so streams of different arguments never overlap within 2^128 blocks.

    Args:
        seed: seed of the run.
        epoch: pass over the data, from 0.
        event_key: 64-bit key of the event (``event_key`` of a batch).
        purpose: what is drawn, for example "mask" or "rotation"; other purposes draw independently.
    """
    key = np.array([int(event_key) & _MASK, _purpose_key(purpose)], dtype=np.uint64)
    counter = np.array([0, 0, int(epoch) & _MASK, int(seed) & _MASK], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))
