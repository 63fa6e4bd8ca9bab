"""Point embedding: energy times a vector plus a position code times a matrix (arXiv 2508.14087, Sec. 4)."""

import torch
from torch import Tensor, nn


def position_code(position: Tensor, frequencies: int) -> Tensor:
    """Return the code of normalised positions: the position itself, then sine and cosine of 2^l times it.

    Args:
        position: (N, 3) in [0, 1].
        frequencies: number of octaves; l runs from 0 (as released; the paper's formula begins at l = 1 and gives no number).

    Returns:
        (N, 3 + 6 x frequencies) float32: the position, then per octave three sines and three cosines.
    """
    octaves = 2.0 ** torch.arange(frequencies, device=position.device, dtype=position.dtype)
    angle = position[:, None, :] * octaves[:, None]
    waves = torch.stack([angle.sin(), angle.cos()], dim=2)
    return torch.cat([position, waves.flatten(1)], dim=1)


class NerfEmbedding(nn.Module):
    """Random projection of (E, eta, phi, r), drawn from N(0, 1), without bias; frozen unless ``trained``.

    Args:
        width: model width D.
        frequencies: octaves of the position code.
        trained: whether the two maps are parameters to train.
    """

    def __init__(self, width: int, frequencies: int = 10, trained: bool = False) -> None:
        super().__init__()
        self.frequencies = frequencies
        self.energy = nn.Parameter(torch.randn(width), requires_grad=trained)
        self.position = nn.Parameter(torch.randn(3 + 6 * frequencies, width), requires_grad=trained)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, 4) features (E, eta, phi, r) to (N, D)."""
        code = position_code(features[:, 1:4], self.frequencies)
        return torch.addmm(features[:, :1] * self.energy, code, self.position)
