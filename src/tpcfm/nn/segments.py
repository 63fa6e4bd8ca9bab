"""Event boundaries of a packed stream, cut into chunks of equal length."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from tpcfm.nn.padded import event_of, exporting

REACH = 3  # rows before its own that a short convolution of length 4 sees


@dataclass(frozen=True)
class Segments:
    """Where events begin in a stream of rows, seen in chunks.

    The stream is filled up to a whole number of chunks; the filling rows form an event of their own, so nothing they
    hold reaches a real event. There is at most one incomplete chunk for the whole stream, however many events it holds.

    Attributes:
        n_rows: rows of the events.
        chunk: rows per chunk, Q.
        index: (K Q,) event number of each row, filling rows included.
        starts: first row of each event that has rows, and of the filling.
        leading: leading[l] are the rows with fewer than l rows of their event before them, l = 0 ... ``REACH``; none in a traced network.
        same: (K, Q, Q) row s may act on row t: same event and not later.
        to_end: (K, Q) the row belongs to the event that the chunk ends with.
        from_start: (K, Q) the row belongs to the event that the chunk before ended with.
        through: (K,) one event covers the whole chunk and the end of the chunk before.
    """

    n_rows: int
    chunk: int
    index: Tensor
    starts: Tensor
    leading: tuple[Tensor, ...]
    same: Tensor
    to_end: Tensor
    from_start: Tensor
    through: Tensor

    @property
    def n_chunks(self) -> int:
        """Number of chunks, K."""
        return self.through.shape[0]

    @property
    def n_filled(self) -> int:
        """Rows with the filling, K Q."""
        return self.n_chunks * self.chunk

    @cached_property
    def ends(self) -> Tensor:
        """Row after the last of each event in ``starts``."""
        return torch.cat([self.starts[1:], self.starts.new_full((1,), self.n_filled)])

    @cached_property
    def mirror(self) -> Tensor:
        """(K Q,) rows of every event in reversed order; the stream ``x[mirror]`` has the same event boundaries."""
        rows = torch.arange(self.n_filled, device=self.index.device)
        event = torch.searchsorted(self.starts, rows, right=True) - 1
        return self.starts[event] + self.ends[event] - 1 - rows


def segments(offsets: Tensor, n_rows: int, chunk: int) -> Segments:
    """Describe a packed stream of ``n_rows`` rows.

    Args:
        offsets: (B+1,) first row of each event, the last entry is ``n_rows``.
        n_rows: rows of all events (known on the host, so that no device has to be asked).
        chunk: rows per chunk.
    """
    device = offsets.device
    n_chunks = (n_rows + chunk - 1) // chunk  # of numbers that are not negative, as formats that truncate need it
    rows = torch.arange(n_chunks * chunk, device=device)
    # Rows past the last event get number B: the filling is one more event.
    traced = exporting()
    index = event_of(offsets, rows) if traced else torch.searchsorted(offsets[1:].contiguous(), rows, right=True)
    chunks = index.view(n_chunks, chunk)
    causal = torch.ones(chunk, chunk, dtype=torch.bool, device=device).tril()
    last = chunks[:, -1:]
    previous = torch.cat([last.new_full((1, 1), -1), last[:-1]])
    from_start = chunks == previous
    changed = torch.ones_like(index, dtype=torch.bool)
    changed[1:] = index[1:] != index[:-1]
    starts = offsets if traced else changed.nonzero().squeeze(1)  # traced events have rows
    return Segments(
        n_rows=n_rows,
        chunk=chunk,
        index=index,
        starts=starts,
        leading=() if traced else tuple(_leading(starts, lag, len(rows)) for lag in range(REACH + 1)),
        same=(chunks[:, :, None] == chunks[:, None, :]) & causal,
        to_end=chunks == last,
        from_start=from_start,
        through=from_start[:, -1],
    )


def _leading(starts: Tensor, lag: int, n_rows: int) -> Tensor:
    # Running into the next event is harmless: its first rows have even fewer rows before them.
    rows = (starts[:, None] + torch.arange(lag, device=starts.device)).flatten()
    return rows[rows < n_rows]
