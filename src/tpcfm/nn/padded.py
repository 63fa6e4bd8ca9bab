"""Events of a packed batch side by side, padded to the longest: what an exported network uses, whose shapes may not depend on values.

Training and `tpcfm predict` go event by event, or by buckets, and pad next to nothing. There the lengths are numbers on the host; a
traced graph has none. It gets the longest length as the shape of an input instead, so that every other shape follows.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor


def exporting() -> bool:
    """Return whether a network is being traced for export."""
    return torch.compiler.is_exporting()


@dataclass(frozen=True)
class Padded:
    """Where the rows of each event lie, in the packed tensor and side by side; every event has at least one row.

    Attributes:
        offsets: (B + 1,) first row of each event.
        slots: (L,) int64, 0 to L - 1: L is the length of the longest event.
        event: (N,) event of each row.
    """

    offsets: Tensor
    slots: Tensor
    event: Tensor

    @classmethod
    def of(cls, offsets: Tensor, slots: Tensor, like: Tensor) -> "Padded":
        """Make it for packed rows ``like`` (N, ...)."""
        return cls(offsets, slots, event_of(offsets, torch.arange(like.shape[0], device=like.device)))

    @cached_property
    def counts(self) -> Tensor:
        """(B,) rows of each event."""
        return self.offsets[1:] - self.offsets[:-1]

    @cached_property
    def valid(self) -> Tensor:
        """(B, L) bool, slots that hold a row."""
        return self.slots < self.counts[:, None]

    @cached_property
    def _place(self) -> Tensor:
        rows = torch.arange(self.event.shape[0], device=self.event.device)
        return self.event * self.slots.shape[0] + rows - self.offsets[self.event]

    def spread(self, x: Tensor) -> Tensor:
        """(N, ...) to (B, L, ...); empty slots hold some row."""
        rows = torch.where(self.valid, self.offsets[:-1, None] + self.slots, self.offsets[:-1, None])
        return x[rows]

    def join(self, x: Tensor) -> Tensor:
        """(B, L, ...) back to (N, ...)."""
        return x.flatten(0, 1)[self._place]

    def maximum(self, x: Tensor) -> Tensor:
        """Return the largest of each channel over the rows of each event: (N, C) to (B, C)."""
        return self.spread(x).masked_fill(~self.valid[..., None], -torch.inf).amax(1)

    def mean(self, x: Tensor) -> Tensor:
        """Return the mean over the rows of each event: (N, C) to (B, C)."""
        return self.spread(x).masked_fill(~self.valid[..., None], 0.0).sum(1) / self.counts[:, None]

    def attend(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
        """Attend to the rows of each event: query (B, heads, Q, d), key and value (B, heads, L, d), bias (B, Q, L) to (B, heads, Q, d)."""
        mask = self.valid[:, None, None, :]
        if bias is not None:
            mask = bias[:, None].masked_fill(~mask, -torch.inf)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


def event_of(offsets: Tensor, rows: Tensor) -> Tensor:
    """Return the event of each row; past the last event their number."""
    return (rows >= offsets[1:, None]).sum(0)


def lengths_of(offsets: "Tensor | Padded") -> "list[int] | Padded":
    """Return the rows of each event on the host, or what stands for them in a traced network."""
    return offsets if isinstance(offsets, Padded) else offsets.diff().tolist()
