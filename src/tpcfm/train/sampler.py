"""The order of events: a permutation per epoch that is a pure function of (seed, epoch), without an index in memory."""

import numpy as np

from tpcfm.files import key64

_ROUNDS = 8


def _mix(value: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser: a bijection of 64-bit words in which every input bit moves every output bit."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def permute(positions: np.ndarray, size: int, seed: int, epoch: int) -> np.ndarray:
    """Return where a pseudo-random permutation of ``range(size)`` sends the given positions.

    A balanced Feistel network over the smallest even number of bits that holds ``size``, walked along its cycle until
    the value is in range (cycle walking; Black and Rogaway, CT-RSA 2002). Costs memory for the asked positions only,
    so a hundred million events need no shuffled index on any rank.

    Args:
        positions: integers in [0, size), any shape.
        size: number of events, at least 1.
        seed, epoch: name the permutation.
    """
    positions = np.asarray(positions)
    if size < 1 or (positions.size and (positions.min() < 0 or positions.max() >= size)):
        raise IndexError(f"positions must lie in [0, {size}), got {positions.min()} to {positions.max()}")
    half = max((int(size - 1).bit_length() + 1) // 2, 1)
    low = np.uint64((1 << half) - 1)
    keys = [np.uint64(key64(f"order:{epoch}:{i}", seed)) for i in range(_ROUNDS)]

    def encipher(value: np.ndarray) -> np.ndarray:
        left, right = value >> np.uint64(half), value & low
        for key in keys:
            left, right = right, left ^ (_mix(right + key) & low)
        return (left << np.uint64(half)) | right

    with np.errstate(over="ignore"):
        out = encipher(positions.astype(np.uint64).ravel())
        while (outside := np.flatnonzero(out >= size)).size:
            out[outside] = encipher(out[outside])
    return out.astype(np.int64).reshape(positions.shape)


class EpochSampler:
    """Global batches of exactly ``batch_size`` events from an endless stream of reshuffled epochs.

    Event number p of the stream belongs to epoch ``p // size``. A batch may therefore hold the end of one epoch and
    the start of the next: every event comes once per epoch, none is dropped, no batch is short, and with fewer events
        than the
    batch size a batch simply holds several epochs (an epoch never has zero steps).
    """

    def __init__(self, size: int, batch_size: int, seed: int) -> None:
        self.size = size
        self.batch_size = batch_size
        self.seed = seed

    def epoch(self, step: int) -> int:
        """Return the epoch of the first event of a step."""
        return step * self.batch_size // self.size

    def batch(self, step: int) -> list[tuple[int, np.ndarray]]:
        """Return the event numbers of a step as (epoch, numbers in [0, size)) segments, in order."""
        first, last = step * self.batch_size, (step + 1) * self.batch_size
        segments = []
        while first < last:
            epoch = first // self.size
            end = min(last, (epoch + 1) * self.size)
            positions = np.arange(first, end) - epoch * self.size
            segments.append((epoch, permute(positions, self.size, self.seed, epoch)))
            first = end
        return segments
