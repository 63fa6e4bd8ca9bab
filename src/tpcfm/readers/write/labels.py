"""Labels of the events of one file as a stream, taken so many points or so many events at a time."""

from collections.abc import Iterator, Mapping

import numpy as np

from tpcfm.errors import DataError
from tpcfm.readers.ragged import Array, Ragged, offsets_of, ragged

EventLabels = Mapping[str, Array]
"""Per label (N,) values of one event, in the order of its points in the file."""


class LabelStream:
    """Labels of a file, event by event in its order; bounded memory.

    Args:
        events: of the file.
        kinds: element type of each label.
        source: the file, for messages.
    """

    def __init__(self, events: Iterator[EventLabels], kinds: Mapping[str, str], source: object) -> None:
        self.kinds = {name: np.dtype(kind) for name, kind in kinds.items()}
        self._events, self._source = events, source
        self._held: dict[str, Array] = {name: np.zeros(0, kind) for name, kind in self.kinds.items()}

    def points(self, rows: int) -> dict[str, Array]:
        """Return the labels of the next points.

        Raises:
            DataError: there are fewer.
        """
        pieces: dict[str, list[Array]] = {name: [held] for name, held in self._held.items()}
        there = len(next(iter(self._held.values())))
        while there < rows:
            event = next(self._events, None)
            if event is None:
                raise self._wrong(f"{rows - there} points fewer than the file has")
            for name, values in pieces.items():
                values.append(np.asarray(event[name], self.kinds[name]))
            there += len(next(iter(pieces.values()))[-1])
        joined = {name: np.concatenate(values) for name, values in pieces.items()}
        self._held = {name: values[rows:] for name, values in joined.items()}
        return {name: values[:rows] for name, values in joined.items()}

    def events(self, rows: int) -> dict[str, Ragged]:
        """Return the labels of the next events.

        Raises:
            DataError: there are fewer.
        """
        taken: list[EventLabels] = []
        for _ in range(rows):
            event = next(self._events, None)
            if event is None:
                raise self._wrong(f"{rows - len(taken)} events fewer than the file has")
            taken.append(event)
        empty = offsets_of([0] * rows)
        return {
            name: ragged([np.asarray(event[name], kind) for event in taken])
            if taken
            else Ragged(empty, np.zeros(0, kind))
            for name, kind in self.kinds.items()
        }

    def finish(self) -> None:
        """Make sure that nothing is left.

        Raises:
            DataError: there are more events or points than the file has.
        """
        left = next(self._events, None)
        if left is not None or len(next(iter(self._held.values()))):
            raise self._wrong("more points than the file has")

    def _wrong(self, what: str) -> DataError:
        return DataError(
            f"{self._source}: the labels are of {what}; some of its events are too damaged to tell how many points they have"
        )
