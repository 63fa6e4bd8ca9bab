"""Packed batches: the rows of all events one after another, without padding."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor


@dataclass(frozen=True)
class Packing:
    """Where the rows of each event lie in a packed tensor.

    Attributes:
        lengths: rows per event, on the host.
        device: where the index tensors live.
    """

    lengths: tuple[int, ...]
    device: torch.device

    @classmethod
    def from_offsets(cls, offsets: Tensor) -> "Packing":
        """Make a packing from offsets ``(B + 1,)``; one transfer to the host."""
        values = offsets.tolist()
        return cls(tuple(b - a for a, b in pairwise(values)), offsets.device)

    @property
    def total(self) -> int:
        """Rows of all events."""
        return sum(self.lengths)

    @cached_property
    def event(self) -> Tensor:
        """Event of each row, ``(total,)`` int64."""
        counts = torch.tensor(self.lengths, dtype=torch.int64, device=self.device)
        return torch.repeat_interleave(
            torch.arange(len(self.lengths), device=self.device), counts, output_size=self.total
        )

    @cached_property
    def counts(self) -> Tensor:
        """Rows per event, ``(B,)`` int64 on the device."""
        return torch.tensor(self.lengths, dtype=torch.int64, device=self.device)

    @cached_property
    def buckets(self) -> list[tuple[Tensor, Tensor | None]]:
        """Events of similar length put side by side for batched attention on an accelerator.

        Each bucket is ``(rows, valid)``: row numbers ``(b, L)`` (padding repeats the event's first row) and a mask
        ``(b, L)`` or None if nothing is padded. A bucket grows while padding stays below an eighth of its cells.
        """
        starts = [0]
        for length in self.lengths:
            starts.append(starts[-1] + length)
        order = sorted((i for i, length in enumerate(self.lengths) if length), key=lambda i: self.lengths[i])
        groups: list[list[int]] = []
        used = 0
        for i in order:
            length = self.lengths[i]
            if groups and (len(groups[-1]) + 1) * length * 7 <= (used + length) * 8:
                groups[-1].append(i)
                used += length
            else:
                groups.append([i])
                used = length
        made: list[tuple[Tensor, Tensor | None]] = []
        for group in groups:
            longest = self.lengths[group[-1]]
            first = torch.tensor([starts[i] for i in group], device=self.device)[:, None]
            count = torch.tensor([self.lengths[i] for i in group], device=self.device)[:, None]
            slot = torch.arange(longest, device=self.device)[None, :]
            valid = slot < count
            rows = first + torch.where(valid, slot, 0)
            made.append((rows, None if self.lengths[group[0]] == longest else valid))
        return made

    def subset(self, keep: Tensor) -> "Packing":
        """Return the packing of the rows where ``keep`` ``(total,)`` is true."""
        counts = torch.zeros(len(self.lengths), dtype=torch.int64, device=keep.device).index_add_(
            0, self.event, keep.long()
        )
        return Packing(tuple(counts.tolist()), self.device)


def segment_max(values: Tensor, counts: Tensor) -> Tensor:
    """Return the maximum over consecutive segments.

    Args:
        values: ``(P, C)`` rows, segment after segment.
        counts: ``(S,)`` rows per segment, each at least one, summing to P.

    Returns:
        ``(S, C)``.
    """
    return torch.segment_reduce(values, "max", lengths=counts, axis=0, unsafe=True)


def segment_mean(values: Tensor, counts: Tensor) -> Tensor:
    """Return the mean over consecutive segments; arguments as in :func:`segment_max`."""
    return torch.segment_reduce(values, "mean", lengths=counts, axis=0, unsafe=True)
