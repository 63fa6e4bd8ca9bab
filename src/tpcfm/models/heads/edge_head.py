"""Edge convolutions over frozen features and local geometry: classes of points, or pairs of points that belong together.

Messages between near points as in Wang et al., ACM Trans. Graph. 38, 146 (2019), split so that the products are taken per point; pairs
classified from both ends as in Exa.TrkX (arXiv 2103.06995).
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tpcfm.models.baselines.rows import RowNumbers
from tpcfm.models.heads.settings import EdgeHead
from tpcfm.nn.standardised import Standardised

OF_STEP = 4  # direction over (1 + distance), and log (1 + distance)


class EdgeConvolution(nn.Module):
    """Adds to each point the largest of what its neighbours and the steps to them say."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.own, self.other = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.step = nn.Linear(OF_STEP, width, bias=False)
        self.out = nn.Sequential(nn.ReLU(), nn.Linear(width, width))

    def forward(self, x: Tensor, rows: RowNumbers, steps: Tensor) -> Tensor:
        """Return (N, W); ``rows`` are the neighbours (N k), ``steps`` (N, k, OF_STEP) lead to them."""
        normal = self.norm(x)
        heard = rows.take(self.other(normal)).view(x.shape[0], -1, x.shape[1]) + self.step(steps)
        return x + self.out(self.own(normal) + heard.max(1).values)


class EdgeHeadNetwork(nn.Module):
    """The head.

    Args:
        features: frozen features of a point; 0 for local geometry alone.
        geometry, pair_geometry: numbers of local geometry of a point and of a pair.
        classes: of every label; 0 for instances, which stand alone.
        config: sizes.
    """

    def __init__(
        self, features: int, geometry: int, pair_geometry: int, classes: Mapping[str, int], config: EdgeHead
    ) -> None:
        super().__init__()
        width = config.width
        self.geometry, self.pair_geometry = Standardised(geometry), Standardised(pair_geometry)
        self.input = nn.Linear(features + geometry, width)
        self.convolutions = nn.ModuleList(EdgeConvolution(width) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        joins = 0 in classes.values()
        self.outputs = nn.ModuleDict(
            {} if joins else {name: _perceptron(width, width, count) for name, count in classes.items()}
        )
        self.pairs = _perceptron(2 * width + pair_geometry, width, 1) if joins else None

    def forward(
        self, features: Tensor | None, batch: Mapping[str, Tensor]
    ) -> dict[str, Tensor] | tuple[Tensor, Tensor]:
        """Return (N, classes) logits per label, or pairs (2, E) and logits (E,) that they belong to one object.

        Args:
            features: (N, D) frozen features; None without.
            batch: ``geometry`` (N, G), ``near`` (N, k), ``place`` (N, 3) in pitches, for objects ``edges`` and ``edge_features``.
        """
        geometry = self.geometry(batch["geometry"])
        x = self.input(geometry if features is None else torch.cat([features.float(), geometry], dim=1))
        near, place = batch["near"], batch["place"]
        own = torch.arange(near.shape[0], device=near.device)[:, None]
        numbers = torch.where(near >= 0, near, own)  # an empty slot hears the point itself
        step = place[numbers] - place[:, None]
        length = step.norm(dim=2, keepdim=True)
        steps = torch.cat([step / (1 + length), length.log1p()], dim=2)
        rows = RowNumbers(numbers.flatten(), near.shape[0])
        for convolution in self.convolutions:
            x = convolution(x, rows, steps)
        x = self.norm(x)
        if self.pairs is None:
            return {name: output(x) for name, output in self.outputs.items()}
        edges = batch["edges"]
        a, b = (RowNumbers(end, len(x)).take(x) for end in edges)
        between = self.pair_geometry(batch["edge_features"])
        # Sum and distance of both ends: exchanging them changes nothing.
        return edges, self.pairs(torch.cat([a + b, (a - b).abs(), between], dim=1))[:, 0]


def _perceptron(inputs: int, width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, outputs))
