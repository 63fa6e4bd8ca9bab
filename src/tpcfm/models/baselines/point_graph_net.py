"""Point classification by message passing on a neighbour graph (baselines of arXiv 2508.14087, App. C).

The paper names the layers, two hidden layers of 256 channels before, six message passings, a classifier of 128 and 64 channels, and 0.91M
parameters for SAGE and GraphConv. These have 0.900M here (layer norm included; it keeps sums over 50 neighbours in range and is not
mentioned in the paper). GCN and GAT have one matrix per layer in place of two, hence 0.51M; their counts are not published.
"""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F

from tpcfm.models.baselines.geometric_layers import geometric_layer, message_backend
from tpcfm.models.baselines.graph_layers import LAYERS, Edges
from tpcfm.models.baselines.settings import GraphNetConfig
from tpcfm.nn.padded import exporting

INPUTS = 5  # energy, eta, cos phi, sin phi, layer


class PointGraphNet(nn.Module):
    """Encoder, message passings with layer norm and ReLU, classifier.

    Args:
        layer: name in ``LAYERS``.
        task: name of the labels.
        classes: number of classes.
        config: sizes.
    """

    def __init__(self, layer: str, task: str, classes: int, config: GraphNetConfig) -> None:
        super().__init__()
        width, (first, second) = config.width, config.classifier
        self.layer, self.task = layer, task
        self.encode = nn.Sequential(nn.Linear(INPUTS, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.layers = nn.ModuleList(LAYERS[layer](width, width) for _ in range(config.layers))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(config.layers))
        self.classify = nn.Sequential(
            nn.Linear(width, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU(), nn.Linear(second, classes)
        )

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return (N, classes) logits under the name of the task.

        Args:
            batch: ``point_features`` (N, 5); ``edge_source`` (E,) and ``edge_bounds`` (N+1,) as in ``Edges``.
        """
        edges = Edges(batch["edge_source"], batch["edge_bounds"])
        x = self.encode(batch["point_features"])
        geometric = not exporting() and message_backend(x.device.type) == "torch_geometric"
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = F.relu(norm(geometric_layer(self.layer, layer, x, edges) if geometric else layer(x, edges)))
        return {self.task: self.classify(x).float()}
