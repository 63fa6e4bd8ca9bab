"""Noised copies of masked groups as the condition of the decoder: a negative result of arXiv 2502.02558, App. F.

The paper names a diffusion-conditioned mask decoder and no details. Here, as in DiffPMAE (arXiv 2312.03298), the decoder
sees each masked group noised to a level t, beside the encoded visible groups, and predicts the clean points; one level per
event, uniform in (0, 1), cosine schedule (Nichol and Dhariwal, arXiv 2102.09672). Everything else stays as it is.
"""

import math

import torch
from torch import Tensor, nn

from tpcfm.models.polar_mae.tokens import Tokens
from tpcfm.nn.pointnet import MiniPointNet


def noised(points: Tensor, noise: Tensor, level: Tensor) -> Tensor:
    """Return ``sqrt(a) points + sqrt(1 - a) noise`` with ``a = cos(pi t / 2)^2``.

    Args:
        points, noise: ``(M, K, C)``.
        level: ``(M,)`` t in [0, 1]: 0 is the clean group, 1 pure noise.
    """
    angle = (math.pi / 2 * level)[:, None, None]
    return torch.cos(angle) * points + torch.sin(angle) * noise


class NoisedGroups(nn.Module):
    """Embed noised groups and their noise level.

    Args:
        width: embedding width.
        hidden: first hidden width of the mini-PointNet.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.embedding = MiniPointNet(4, width, hidden)
        self.level = nn.Sequential(nn.Linear(1, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, tokens: Tokens, noise: Tensor | None = None, level: Tensor | None = None) -> Tensor:
        """Return ``(M, D)``.

        Args:
            tokens: M masked groups.
            noise: ``(M, K, 4)``; None: 0, the mean.
            level: ``(M,)``; None: 1, so that nothing of the points is seen.
        """
        level = tokens.points.new_ones(len(tokens.points)) if level is None else level
        noise = torch.zeros_like(tokens.points) if noise is None else noise
        embedded = self.embedding(noised(tokens.points, noise, level), tokens.valid)
        return embedded + self.level(level[:, None])
