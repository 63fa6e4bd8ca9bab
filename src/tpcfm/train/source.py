"""Training data: global batches divided over ranks and into micro-batches of a bounded number of points."""

import heapq
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from tpcfm.errors import ConfigError, DataError
from tpcfm.losses.objective import Batch, StepInfo
from tpcfm.train.sampler import EpochSampler

MicroBatches = list[tuple[StepInfo, Batch]]


class PackedSource:
    """Packed micro-batches in an order that is a pure function of (seed, step, rank, world).

    The events of a step depend on seed and step alone; the number of ranks only decides who computes which of them.
    Events are dealt to ranks and packed into micro-batches by their number of points (largest first), which balances
    the work and bounds memory; batches are packed, so no sorting by length across steps is needed. An event above
    ``max_points`` makes a micro-batch of its own. All events of a micro-batch belong to one epoch.
    """

    def __init__(
        self,
        store: Any,
        rows: Any,
        collate: Callable[[Any, np.ndarray, StepInfo], Batch],
        *,
        batch_size: int,
        max_points: int,
        seed: int,
        workers: int = 0,
        even: bool = False,
    ) -> None:
        """Describe the data.

        Args:
            store: a prepared cache, or anything with ``lengths`` (points per event) that ``collate`` understands.
            rows: row numbers of the training events in the store.
            collate: ``collate(store, rows, info) -> batch``; called from loader threads, so it must not draw from
                global generators (``keyed_generator`` is right).
            batch_size: events per optimiser step over all ranks.
            max_points: points per micro-batch.
            seed: names the order.
            workers: loader threads; 0 loads in the training thread.
            even: give every rank equally many micro-batches (``fit`` asks for it where batch statistics are shared).

        Raises:
            DataError: no rows.
        """
        self.store = store
        self.rows = np.asarray(rows, dtype=np.int64)
        if not len(self.rows):
            raise DataError(
                "training data: no events (0 rows in the training split); check splits, cuts and label counts"
            )
        self.collate = collate
        self.max_points = max_points
        self.seed = seed
        self.workers = workers
        self.even = even
        self.sampler = EpochSampler(len(self.rows), batch_size, seed)
        self._lengths = np.asarray(store.lengths)

    def epoch(self, step: int) -> int:
        """Return the epoch of the first event of a step."""
        return self.sampler.epoch(step)

    def step_rows(self, step: int) -> np.ndarray:
        """Return the store rows of a step's global batch, in stream order."""
        return np.concatenate([self.rows[numbers] for _, numbers in self.sampler.batch(step)])

    def plan(self, step: int, rank: int = 0, world: int = 1) -> list[tuple[StepInfo, np.ndarray]]:
        """Return the micro-batches of a rank as (info, store rows), without loading anything."""
        items = []
        for epoch, numbers in self.sampler.batch(step):
            rows = self.rows[numbers]
            items += [(-int(n), epoch, i, int(row)) for i, (n, row) in enumerate(zip(self._lengths[rows], rows))]
        items.sort()  # longest first; ties by epoch and place in the stream, so the result is unique
        load = [(0, r) for r in range(world)]
        shares: list[dict[int, list[tuple[int, int]]]] = [{} for _ in range(world)]
        for negative, epoch, _, row in items:
            points, r = heapq.heappop(load)
            heapq.heappush(load, (points - negative, r))
            shares[r].setdefault(epoch, []).append((-negative, row))
        bins = [
            [(epoch, rows) for epoch in sorted(shares[r]) for rows in _pack(shares[r][epoch], self.max_points)]
            for r in (range(world) if self.even else [rank])
        ]
        mine = bins[rank if self.even else 0]
        if self.even:
            most = max(map(len, bins))
            mine = [_split(b, most, step, world) for b in bins][rank]  # all, so that every rank sees an impossible one
        return [
            (StepInfo(step, epoch, self.seed, True), np.array(sorted(rows), dtype=np.int64)) for epoch, rows in mine
        ]

    def micro_batches(self, step: int, rank: int = 0, world: int = 1) -> Iterator[tuple[StepInfo, Batch]]:
        """Yield (info, batch) for each micro-batch of a rank; none where a rank has no events in this step."""
        for info, rows in self.plan(step, rank, world):
            yield info, self.collate(self.store, rows, info)

    def stream(self, start: int, stop: int, rank: int = 0, world: int = 1) -> Generator[MicroBatches, None, None]:
        """Yield the micro-batches of the steps [start, stop), prepared ahead by ``workers`` threads, in order."""
        if self.workers == 0:
            for step in range(start, stop):
                yield list(self.micro_batches(step, rank, world))
            return
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="tpcfm-loader")
        try:
            pending: deque[list[tuple[StepInfo, Future[Batch]]]] = deque()
            ahead = start
            for _ in range(start, stop):
                while ahead < stop and len(pending) <= self.workers:
                    plan = self.plan(ahead, rank, world)
                    pending.append([(i, pool.submit(self.collate, self.store, rows, i)) for i, rows in plan])
                    ahead += 1
                yield [(info, future.result()) for info, future in pending.popleft()]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _pack(items: list[tuple[int, int]], budget: int) -> list[list[int]]:
    """First-fit decreasing: (points, row) pairs, longest first, into bins of at most ``budget`` points."""
    bins: list[list[int]] = []
    room: list[int] = []
    for points, row in items:
        for i, left in enumerate(room):
            if points <= left:
                bins[i].append(row)
                room[i] -= points
                break
        else:
            bins.append([row])
            room.append(budget - points)
    return bins


def _split(bins: list[tuple[int, list[int]]], wanted: int, step: int, world: int) -> list[tuple[int, list[int]]]:
    """Halve the fullest bins until there are ``wanted``.

    Raises:
        ConfigError: fewer events than bins.
    """
    bins = list(bins)
    while len(bins) < wanted:
        i = max(range(len(bins)), key=lambda j: len(bins[j][1]), default=-1)
        if i < 0 or len(bins[i][1]) < 2:
            raise ConfigError(
                f"step {step}: a rank of {world} has too few events for {wanted} micro-batches, and batch normalisation"
                " needs equally many on all; raise train.batch_size or train.max_points, or use fewer ranks"
            )
        epoch, rows = bins.pop(i)
        bins[i:i] = [(epoch, rows[::2]), (epoch, rows[1::2])]
    return bins
