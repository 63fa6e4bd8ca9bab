"""From tokens to points: interpolation of token features and the per-point head (arXiv 2502.02558, Sec. 4)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tpcfm.nn.norms import PackedBatchNorm
from tpcfm.nn.packed import Packing, segment_max, segment_mean
from tpcfm.nn.padded import Padded


class PointUpsampler(nn.Module):
    """Interpolate token features at the points, append the position, two shared layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Linear(width + 3, width, bias=False)
        self.norm1 = PackedBatchNorm(width)
        self.conv2 = nn.Linear(width, width, bias=False)
        self.norm2 = PackedBatchNorm(width)

    def forward(self, features: Tensor, nearest: Tensor, weight: Tensor, xyz: Tensor) -> Tensor:
        """Return point features.

        Args:
            features: ``(T, D)`` token features.
            nearest: ``(N, k)`` rows of the nearest tokens of each point.
            weight: ``(N, k)`` their weights, summing to 1.
            xyz: ``(N, 3)`` scaled coordinates.

        Returns:
            ``(N, D)``.
        """
        mixed = torch.einsum("nkd,nk->nd", features[nearest], weight.to(features.dtype))
        x = F.relu(self.norm1(self.conv1(torch.cat([mixed, xyz.to(mixed.dtype)], dim=1))))
        return F.relu(self.norm2(self.conv2(x)))


class PointHead(nn.Module):
    """Classify points from their own and their event's features.

    Args:
        width: width of point and token features.
        classes: number of classes.
        hidden: first hidden width; the second is half of it.
        dropout: dropout after the first layer.
    """

    def __init__(self, width: int, classes: int, hidden: int = 512, dropout: float = 0.5) -> None:
        super().__init__()
        self.width = width
        self.conv1 = nn.Linear(3 * width, hidden, bias=False)
        self.norm1 = PackedBatchNorm(hidden)
        self.conv2 = nn.Linear(hidden, hidden // 2, bias=False)
        self.norm2 = PackedBatchNorm(hidden // 2)
        self.conv3 = nn.Linear(hidden // 2, classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, points: Tensor, tokens: Tensor, packing: Packing | Padded, point_event: Tensor) -> Tensor:
        """Return logits ``(N, classes)``.

        Args:
            points: ``(N, D)`` point features.
            tokens: ``(T, D)`` token features; their maximum and mean over each event are appended to its points.
            packing: tokens of each event, at least one each.
            point_event: ``(N,)`` event of each point.
        """
        tokens = tokens.float()
        if isinstance(packing, Padded):
            largest, mean = packing.maximum(tokens), packing.mean(tokens)
        else:
            largest, mean = segment_max(tokens, packing.counts), segment_mean(tokens, packing.counts)
        summary = torch.cat([largest, mean], dim=1)
        # conv1 acts on [point, maximum, mean]; the part of the event is computed once per event.
        own, shared = self.conv1.weight.split([self.width, 2 * self.width], dim=1)
        x = F.linear(points, own) + F.linear(summary, shared)[point_event]
        x = self.dropout(F.relu(self.norm1(x)))
        return self.conv3(F.relu(self.norm2(self.conv2(x))))
