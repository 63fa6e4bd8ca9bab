"""What a reader hands over: a block of events as they were read, what was found wrong, and the columns to write."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tpcfm.readers.ragged import Index, Mask, Ragged


@dataclass(frozen=True)
class Deviation:
    """One thing wrong with one event.

    Attributes:
        row: number of the event in the raw file.
        column: what it is in, as named in the raw file (``point.x``, ``cluster.size``, ``track_ids`` ...).
        reason: what was found and what was expected.
    """

    row: int
    column: str
    reason: str


@dataclass
class EventBlock:
    """Consecutive events of one raw file.

    Attributes:
        rows: (n,) row numbers in the raw file of the events in ``columns``.
        columns: per table column a `Ragged` of ``n`` events, or None where the file does not carry it.
        deviations: what is wrong, also for events so damaged that they are not in ``rows`` at all.
        seen: number of events of the raw file that this block stands for.
    """

    rows: Index
    columns: dict[str, Ragged | None]
    deviations: list[Deviation] = field(default_factory=list)
    seen: int = 0

    def flag(self, flags: Mask, column: str, reason: str) -> None:
        """Record the same deviation for all events flagged in (n,) ``flags``."""
        self.deviations += [Deviation(int(row), column, reason) for row in self.rows[flags]]

    def flag_values(self, values: Ragged, wrong: npt.ArrayLike, column: str, expected: str) -> None:
        """Record the events that own a wrong value, with how many there are and the first of them.

        Args:
            values: values of the events in ``rows``.
            wrong: (total,) bool.
            column: what the values are in.
            expected: what is allowed.
        """
        places = np.flatnonzero(wrong)
        if len(places) == 0:
            return
        owners = np.searchsorted(values.offsets, places, side="right") - 1
        events, first, counts = np.unique(owners, return_index=True, return_counts=True)
        for event, place, count in zip(events, places[first], counts):
            found = np.atleast_1d(values.values[place])
            shown = ", ".join(
                f"{value:.9g}" if np.issubdtype(found.dtype, np.floating) else str(value) for value in found
            )
            where = place - values.offsets[event]
            reason = f"{count} of {values.lengths[event]} are {expected}; the first is ({shown}) at {where}"
            self.deviations.append(Deviation(int(self.rows[event]), column, reason))

    def good(self) -> "EventBlock":
        """Return the events without a deviation."""
        bad = {deviation.row for deviation in self.deviations}
        keep = np.array([int(row) not in bad for row in self.rows], bool)
        if keep.all():
            return self
        columns = {name: None if column is None else column.select(keep) for name, column in self.columns.items()}
        return EventBlock(self.rows[keep], columns, self.deviations, self.seen)


class Reader(Protocol):
    """A raw file, open for reading as the events of a detector; usable as a context manager.

    Made as ``Reader(path, detector)``. It may have a static ``recognises(path) -> bool``: whether a file is of its format.
    """

    revision: str
    events: int

    def blocks(self) -> Iterator[EventBlock]:
        """Yield all events in file order, checked, with the detector's columns, in blocks of bounded size."""
        ...


def first_reasons(deviations: Iterable[Deviation]) -> dict[int, str]:
    """Return one line per damaged event: its first deviation, and how many more there are."""
    by_row: dict[int, list[Deviation]] = {}
    for deviation in deviations:
        by_row.setdefault(deviation.row, []).append(deviation)
    lines = {}
    for row, found in sorted(by_row.items()):
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        lines[row] = f"{found[0].column}: {found[0].reason}{more}"
    return lines
