"""Root-mean-square norm in float32."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def rms_norm(x: Tensor, weight: Tensor, eps: float = 1e-5) -> Tensor:
    """Normalise the last axis in float32 at least and return the type of ``x``."""
    kind = torch.promote_types(x.dtype, torch.float32)
    return F.rms_norm(x.to(kind), weight.shape, weight.to(kind), eps).to(x.dtype)


class RMSNorm(nn.Module):
    """Root-mean-square norm with a gain per channel.

    Args:
        width: channels.
        eps: added to the mean square.
    """

    def __init__(self, width: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis."""
        return rms_norm(x, self.weight, self.eps)
