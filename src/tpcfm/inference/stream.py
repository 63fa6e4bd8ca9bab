"""Events through a network in bounded memory: packed batches by points, prepared by workers ahead of the network, in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from tpcfm.inference.file_events import FileEvent
from tpcfm.inference.preparation import Preparation
from tpcfm.prepare.packing import Batch
from tpcfm.prepare.store import PreparedStore
from tpcfm.tasks.answers import Rows

BATCH_POINTS = 20_000
"""Points of a packed batch unless another number is asked for; a larger event goes alone."""
Result = TypeVar("Result")


@dataclass(frozen=True)
class Prepared:
    """A batch on its way to the network.

    Attributes:
        events: those read for it, in order; with the prepared row of each, or the reason why there is none.
        batch: the prepared ones, packed; None if there are none.
    """

    events: list[tuple[FileEvent, dict[str, Any] | str]]
    batch: Batch | None

    @property
    def used(self) -> list[tuple[FileEvent, dict[str, Any]]]:
        """The events in the batch."""
        return [(event, row) for event, row in self.events if not isinstance(row, str)]


def by_points(events: Iterable[FileEvent], batch_points: int) -> Iterator[list[FileEvent]]:
    """Yield consecutive events of at most so many points together; a larger event alone."""
    held: list[FileEvent] = []
    used = 0
    for event in events:
        if held and used + event.n_points > batch_points:
            yield held
            held, used = [], 0
        held.append(event)
        used += event.n_points
    if held:
        yield held


def prepare_batch(
    events: Sequence[FileEvent], preparation: Preparation, collate: Callable[[PreparedStore, Rows], Batch]
) -> Prepared:
    """Prepare some events and pack those that the model takes."""
    rows: list[tuple[FileEvent, dict[str, Any] | str]] = [
        (event, event.reason if event.columns is None else preparation(event.columns)) for event in events
    ]
    kept = [row for _, row in rows if not isinstance(row, str)]
    batch = collate(preparation.hold(kept), np.arange(len(kept))) if kept else None
    return Prepared(rows, batch)


def prepared_batches(
    groups: Iterable[list[FileEvent]],
    preparation: Preparation,
    collate: Callable[[PreparedStore, Rows], Batch],
    workers: int,
) -> Iterator[Prepared]:
    """Yield the batches in order, made ``workers`` at a time while the network works on the one before; 0 makes each when it is due.

    At most two batches per worker are held.
    """
    with ExitStack() as stack:
        if not workers:
            yield from (prepare_batch(group, preparation, collate) for group in groups)
            return
        pool = stack.enter_context(ThreadPoolExecutor(workers, thread_name_prefix="prepare"))
        waiting: deque[Future[Prepared]] = deque()
        stack.callback(lambda: [future.cancel() for future in waiting])
        for group in groups:
            waiting.append(pool.submit(prepare_batch, group, preparation, collate))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
