"""Pairs of sparse voxels and the convolution over them: sorted coordinate tables, gathers and matrix products; the same code on CPU and CUDA.

A voxel of a batch has one 63-bit key (event, x, y, z), so that neighbours are found by binary search in sorted keys.
A convolution multiplies, for each kernel offset, only the pairs of voxels that exist (submanifold convolution: Graham,
Engelcke, van der Maaten, arXiv 1711.10275).
"""

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

_SIDE = 1 << 16  # coordinates 0..65533 leave a margin of one voxel on either side; 15 bits are left for the event


@dataclass(frozen=True)
class Pairs:
    """Which input voxel meets which output voxel under which kernel offset, grouped by offset.

    Attributes:
        source, target: ``(P,)`` rows of the input and the output.
        counts: pairs per kernel offset, on the host.
        outputs: number of output voxels.
    """

    source: Tensor
    target: Tensor
    counts: tuple[int, ...]
    outputs: int

    def transposed(self, outputs: int) -> "Pairs":
        """Return the pairs of the transposed convolution."""
        return Pairs(self.target, self.source, self.counts, outputs)


@dataclass(frozen=True)
class Level:
    """One resolution of the pyramid: its voxels and the pairs of its convolutions.

    Attributes:
        xyz: ``(V, 3)`` int64 voxel coordinates.
        event: ``(V,)`` event of each voxel.
        same: pairs of the 3×3×3 submanifold convolution.
        down: pairs of the strided 2×2×2 convolution to the next level; None on the last.
    """

    xyz: Tensor
    event: Tensor
    same: Pairs
    down: Pairs | None


def voxel_keys(xyz: Tensor, event: Tensor) -> Tensor:
    """Return one int64 key per voxel, ``(V,)``; coordinates must lie in 0..65533."""
    x, y, z = (xyz.long() + 1).unbind(1)
    return ((event * _SIDE + x) * _SIDE + y) * _SIDE + z


def neighbour_pairs(xyz: Tensor, event: Tensor) -> Pairs:
    """Return the pairs of a 3×3×3 submanifold convolution over distinct voxels."""
    sorted_keys, order = voxel_keys(xyz, event).sort()
    sources, targets, counts = [], [], []
    for dx, dy, dz in product((-1, 0, 1), repeat=3):
        wanted = sorted_keys + ((dx * _SIDE + dy) * _SIDE + dz)
        place = torch.searchsorted(sorted_keys, wanted).clamp_(max=len(sorted_keys) - 1)
        found = (sorted_keys[place] == wanted).nonzero()[:, 0]
        sources.append(order[place[found]])
        targets.append(order[found])
        counts.append(len(found))
    return Pairs(torch.cat(sources), torch.cat(targets), tuple(counts), len(xyz))


def pyramid(xyz: Tensor, event: Tensor, depth: int) -> list[Level]:
    """Halve the resolution ``depth − 1`` times.

    Args:
        xyz: ``(N, 3)`` integer coordinates in 0..65533, distinct within an event.
        event: ``(N,)`` event of each voxel.
        depth: number of levels.
    """
    levels = []
    xyz = xyz.long()
    for number in range(depth):
        same = neighbour_pairs(xyz, event)
        if number == depth - 1:
            levels.append(Level(xyz, event, same, None))
            break
        coarse = torch.div(xyz, 2, rounding_mode="floor")
        keys, parent = torch.unique(voxel_keys(coarse, event), return_inverse=True)
        child = xyz - 2 * coarse
        kernel = (child[:, 0] * 2 + child[:, 1]) * 2 + child[:, 2]
        order = torch.argsort(kernel, stable=True)
        counts = torch.bincount(kernel, minlength=8).tolist()
        levels.append(Level(xyz, event, same, Pairs(order, parent[order], tuple(counts), len(keys))))
        keys, z = keys // _SIDE, keys % _SIDE
        keys, y = keys // _SIDE, keys % _SIDE
        event, x = keys // _SIDE, keys % _SIDE
        xyz = torch.stack([x, y, z], dim=1) - 1
    return levels


def gather_product(
    x: Tensor, weight: Tensor, source: Tensor, target: Tensor, counts: tuple[int, ...], outputs: int
) -> Tensor:
    """Return the convolution in plain torch: gather, one matrix product per offset, add up.

    Args:
        x: ``(V_in, inputs)``.
        weight: ``(offsets, inputs, outputs)``.
        source, target: ``(P,)`` rows of input and output, grouped by offset.
        counts: pairs per offset.
        outputs: number of output voxels.
    """
    gathered = x.index_select(0, source).split(counts)
    kernels = weight.to(x.dtype).unbind(0)
    parts = [part @ kernel for part, kernel in zip(gathered, kernels) if len(part)]
    out = x.new_zeros(outputs, weight.shape[2])
    return out.index_add(0, target, torch.cat(parts).to(out.dtype)) if parts else out
