"""Mini-PointNets that embed groups of points (arXiv 2502.02558, Sec. 3), computed on real points only."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tpcfm.nn.norms import PackedBatchNorm
from tpcfm.nn.packed import segment_max
from tpcfm.nn.padded import exporting
from tpcfm.nn.positional import sinusoid


class MiniPointNet(nn.Module):
    """Embed each group of up to K points into one vector.

    Two shared MLPs with batch norm over the real points of the batch; the maximum over a group follows each. The
    second MLP sees [group maximum, point]. Always float32: half precision made training fail in the published work.

    Args:
        channels: channels per point.
        width: embedding width.
        hidden: first hidden width h; the others are 2h and 4h (128 in the paper).
        ordered: add an embedding of the slot number after the first MLP, so that slots can be told apart.
        padded_max: let empty slots take part in the maxima as the released code did (``preset: released``).
    """

    def __init__(
        self, channels: int, width: int, hidden: int = 128, *, ordered: bool = False, padded_max: bool = False
    ) -> None:
        super().__init__()
        self.hidden = hidden
        self.padded_max = padded_max
        self.conv1 = nn.Linear(channels, hidden, bias=False)
        self.norm1 = PackedBatchNorm(hidden)
        self.conv2 = nn.Linear(hidden, 2 * hidden)
        self.order = nn.Linear(2 * hidden, 2 * hidden) if ordered else None
        self.conv3 = nn.Linear(4 * hidden, 4 * hidden, bias=False)
        self.norm2 = PackedBatchNorm(4 * hidden)
        self.conv4 = nn.Linear(4 * hidden, width)

    def forward(self, points: Tensor, valid: Tensor) -> Tensor:
        """Embed groups.

        Args:
            points: ``(T, K, channels)``; the content of empty slots does not matter.
            valid: ``(T, K)`` bool, at least one true per group.

        Returns:
            ``(T, width)`` float32.
        """
        with torch.autocast(points.device.type, enabled=False):
            return (self._embed_slots if exporting() else self._embed)(points.float(), valid)

    def _embed(self, points: Tensor, valid: Tensor) -> Tensor:
        group, slot = valid.nonzero(as_tuple=True)
        counts = valid.sum(1)
        if not len(group):
            return points.new_zeros(0, self.conv4.out_features)
        padded = (counts < valid.shape[1])[:, None] if self.padded_max else None
        local = self.conv2(F.relu(self.norm1(self.conv1(points[group, slot]))))
        if self.order is not None:
            table = F.relu(self.order(sinusoid(torch.arange(valid.shape[1], device=slot.device), 2 * self.hidden)))
            local = local + table[slot]
        pooled = segment_max(local, counts)
        if padded is not None:
            pooled = torch.where(padded, torch.maximum(pooled, self._empty_slot(points, valid)), pooled)
        # conv3 acts on [pooled, local]; its two halves are applied apart so that the pooled half runs once per group.
        left, right = self.conv3.weight.split(2 * self.hidden, dim=1)
        mixed = F.linear(local, right) + F.linear(pooled, left)[group]
        out = segment_max(self.conv4(F.relu(self.norm2(mixed))), counts)
        if padded is not None:
            out = torch.where(padded, torch.maximum(out, self.conv4(F.relu(self.norm2.bias))), out)
        return out

    def _embed_slots(self, points: Tensor, valid: Tensor) -> Tensor:
        """Do the same over all slots, empty ones masked out of the maxima: more arithmetic, shapes that depend on no value."""
        empty = ~valid[..., None]
        padded = empty.any(1) if self.padded_max else None
        local = self.conv2(F.relu(self.norm1(self.conv1(points))))
        if self.order is not None:
            slots = torch.arange(valid.shape[1], device=valid.device)
            local = local + F.relu(self.order(sinusoid(slots, 2 * self.hidden)))
        pooled = local.masked_fill(empty, -torch.inf).amax(1)
        if padded is not None:
            pooled = torch.where(padded, torch.maximum(pooled, self._empty_slot(points, valid)), pooled)
        left, right = self.conv3.weight.split(2 * self.hidden, dim=1)
        mixed = F.linear(local, right) + F.linear(pooled, left)[:, None]
        out = self.conv4(F.relu(self.norm2(mixed))).masked_fill(empty, -torch.inf).amax(1)
        if padded is not None:
            out = torch.where(padded, torch.maximum(out, self.conv4(F.relu(self.norm2.bias))), out)
        return out

    def _empty_slot(self, points: Tensor, valid: Tensor) -> Tensor:
        """Return what an empty slot holds before the first maximum: batch norm leaves it its bare shift (released)."""
        value = self.conv2(F.relu(self.norm1.bias))
        if self.order is None:
            return value
        slots = torch.arange(valid.shape[1], device=valid.device)
        table = value + F.relu(self.order(sinusoid(slots, 2 * self.hidden)))
        return torch.where(valid[..., None], -torch.inf, table).amax(1)
