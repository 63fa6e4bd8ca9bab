"""Stochastic depth whose draws come from outside, keyed by seed, epoch and event."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def drop_path_factors(generators: Sequence[np.random.Generator], depth: int, rate: float) -> NDArray[np.float32] | None:
    """Draw the factors that residual branches are multiplied by.

    The rate grows linearly from 0 to ``rate`` over the blocks; each block has two branches (attention, MLP).

    Args:
        generators: one generator per event.
        depth: number of blocks.
        rate: drop probability of the last block.

    Returns:
        ``(depth, 2, B)``: 0 where the branch is dropped, 1 / (1 - p) where it is kept; None for a zero rate.
    """
    if rate == 0 or not generators:
        return None
    dropped = np.linspace(0, rate, depth)[:, None, None]
    draws = np.stack([g.random((depth, 2)) for g in generators], axis=-1)
    return np.where(draws < dropped, 0, 1 / (1 - dropped)).astype(np.float32)
