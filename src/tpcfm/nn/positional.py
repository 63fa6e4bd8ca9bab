"""Positional encodings of token centres and slot numbers."""

import torch
from torch import Tensor, nn


class PositionalMLP(nn.Sequential):
    """Embed token centres: linear 3→128, GELU, linear 128→D (arXiv 2502.02558, Sec. 3).

    The paper speaks of three layers, the published number of parameters has room for two linear maps. With three of
    them, another 128→128 with GELU stands between.
    """

    def __init__(self, width: int, hidden: int = 128, layers: int = 2) -> None:
        between = [part for _ in range(layers - 2) for part in (nn.Linear(hidden, hidden), nn.GELU())]
        super().__init__(nn.Linear(3, hidden), nn.GELU(), *between, nn.Linear(hidden, width))


def sinusoid(positions: Tensor, channels: int) -> Tensor:
    """Return ``[sin(n w_i), cos(n w_i)]`` with ``w_i = 10000^(-i / (channels/2 - 1))``.

    Args:
        positions: ``(P,)`` slot numbers n.
        channels: even number of channels.

    Returns:
        ``(P, channels)`` float32.
    """
    half = channels // 2
    rate = 10000.0 ** (-torch.arange(half, device=positions.device, dtype=torch.float32) / max(half - 1, 1))
    angle = positions.float()[:, None] * rate
    return torch.cat([angle.sin(), angle.cos()], dim=1)
