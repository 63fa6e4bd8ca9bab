"""A perceptron on the geometry of pairs of near points: do they belong to one object?"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from tpcfm.nn.standardised import Standardised


class EdgePerceptron(nn.Module):
    """Perceptron on standardised features of pairs.

    Args:
        features: of a pair.
        hidden: widths of the hidden layers.
    """

    def __init__(self, features: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.standardised = Standardised(features)
        widths = [features, *hidden]
        layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], 1))

    def forward(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the pairs ``edges`` (2, E) of a batch and the logits (E,) that they belong to one object."""
        return batch["edges"], self.layers(self.standardised(batch["edge_features"]))[:, 0]


class Positions(nn.Module):
    """Stands in the place of a network where points are clustered by position alone; the answer is ``xyz`` in pitches.

    Args:
        pitch: of the detector, in the unit of its coordinates.
    """

    pitch: Tensor

    def __init__(self, pitch: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("pitch", torch.tensor(pitch, dtype=torch.float64))

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return (N, 3)."""
        return batch["xyz"] / self.pitch
