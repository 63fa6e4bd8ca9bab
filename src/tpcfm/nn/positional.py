"""Positional encodings of token centres and slot numbers."""

import torch
from torch import Tensor, nn


class PositionalMLP(nn.Sequential):
    """Embed token centres: linear 3→128, GELU, linear 128→D (arXiv 2502.02558, Sec. 3)."""

    def __init__(self, width: int, hidden: int = 128) -> None:
        super().__init__(nn.Linear(3, hidden), nn.GELU(), nn.Linear(hidden, width))


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
