"""Features less their mean, over their deviation: both of training events, kept with the weights."""

import torch
from torch import Tensor, nn

MOST = 5.0  # deviations


class Standardised(nn.Module):
    """Standardise features; beyond five deviations they are cut.

    Args:
        features: number of them.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))

    def take(self, features: Tensor) -> None:
        """Take mean and deviation of features (N, F)."""
        self.mean.copy_(features.mean(0))
        self.scale.copy_(features.std(0).clamp_min(1e-3))

    def forward(self, features: Tensor) -> Tensor:
        """Return the standardised features (N, F)."""
        return ((features - self.mean) / self.scale).clamp(-MOST, MOST)
