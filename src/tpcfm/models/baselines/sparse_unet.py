"""Sparse residual U-Net: the supervised baseline (arXiv 1903.05663; design as in arXiv 2102.01033)."""

from collections.abc import Mapping
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tpcfm.nn.norms import PackedBatchNorm
from tpcfm.nn.sparse.convolution import SparseConv
from tpcfm.nn.sparse.pairs import Pairs, pyramid

_SLOPE = 0.33  # of the leaky ReLU below zero


class _NormAct(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = PackedBatchNorm(channels, eps=1e-4, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.norm(x), _SLOPE)


class ResidualBlock(nn.Module):
    """x ← skip(x) + conv(act(norm(conv(act(norm(x))))))."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.skip = nn.Identity() if inputs == outputs else nn.Linear(inputs, outputs, bias=False)
        self.act1, self.conv1 = _NormAct(inputs), SparseConv(inputs, outputs)
        self.act2, self.conv2 = _NormAct(outputs), SparseConv(outputs, outputs)

    def forward(self, x: Tensor, pairs: Pairs) -> Tensor:
        """Map ``(V, inputs)`` to ``(V, outputs)`` on one level."""
        return self.skip(x) + self.conv2(self.act2(self.conv1(self.act1(x), pairs)), pairs)


class _Blocks(nn.ModuleList):
    """Residual blocks of one level, one after another."""

    def forward(self, x: Tensor, pairs: Pairs) -> Tensor:
        for block in self:
            x = block(x, pairs)
        return x


class SparseUNet(nn.Module):
    """Encoder and decoder over a pyramid of sparse voxels with skip connections; per-voxel logits.

    Args:
        classes: number of classes.
        inputs: input channels.
        filters: channels of the finest level; level i has (i + 1) times as many.
        depth: levels.
        repetitions: residual blocks per level, on the way down and on the way up.
    """

    def __init__(
        self, classes: int = 4, inputs: int = 1, *, filters: int = 32, depth: int = 5, repetitions: int = 2
    ) -> None:
        super().__init__()
        planes = [filters * (i + 1) for i in range(depth)]
        self.depth = depth
        self.stem = SparseConv(inputs, filters)
        self.encode = nn.ModuleList(_Blocks(ResidualBlock(p, p) for _ in range(repetitions)) for p in planes)
        self.down_act = nn.ModuleList(_NormAct(p) for p in planes[:-1])
        self.down = nn.ModuleList(SparseConv(p, q, 8) for p, q in pairwise(planes))
        self.up_act = nn.ModuleList(_NormAct(q) for q in planes[1:])
        self.up = nn.ModuleList(SparseConv(q, p, 8) for p, q in pairwise(planes))
        self.decode = nn.ModuleList(
            _Blocks(ResidualBlock(2 * p if i == 0 else p, p) for i in range(repetitions)) for p in planes[:-1]
        )
        self.out_act = _NormAct(filters)
        self.classify = nn.Linear(filters, classes)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return logits of the points, ``(N, classes)``: those of their voxel.

        Args:
            batch: as in `voxels`; ``point_voxel`` ``(N,)`` row of the voxel of each point, if they are not one to one.
        """
        found = self.voxels(batch)
        return found[batch["point_voxel"]] if "point_voxel" in batch else found

    def voxels(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return logits of the voxels, ``(V, classes)``.

        Args:
            batch: ``voxel`` ``(V, 3)`` int64 coordinates in 0..65533, distinct within an event; ``voxel_event``
                ``(V,)``; ``voxel_features`` ``(V, inputs)``.
        """
        with torch.no_grad():
            levels = pyramid(batch["voxel"], batch["voxel_event"], self.depth)
        x = self.stem(batch["voxel_features"], levels[0].same)
        skips = []
        for i, level in enumerate(levels):
            x = self.encode[i](x, level.same)
            if level.down is not None:
                skips.append(x)
                x = self.down[i](self.down_act[i](x), level.down)
        for i in reversed(range(self.depth - 1)):
            level = levels[i]
            assert level.down is not None
            x = self.up[i](self.up_act[i](x), level.down.transposed(len(level.xyz)))
            x = torch.cat([skips[i].to(x.dtype), x], dim=1)
            x = self.decode[i](x, level.same)
        return self.classify(self.out_act(x))
