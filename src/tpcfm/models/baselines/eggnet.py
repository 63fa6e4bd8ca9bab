"""EggNet: a graph network whose graphs follow its own embedding (arXiv 2407.13925; settings of arXiv 2508.14087, App. C).

Own implementation. A node state is embedded, the embedding's nearest neighbours are the graph of the next iteration, on
which messages are passed; every iteration's embedding is trained, or the first graphs would learn nothing.
"""

from torch import Tensor, nn

from tpcfm.models.baselines.embedding_graph import nearest, on_edges, on_nodes, perceptron
from tpcfm.models.baselines.rows import RowNumbers
from tpcfm.models.baselines.track_settings import EggNetConfig

INPUTS = 12  # eta, cos phi, sin phi and layer of a point and of its two nearest neighbours


class GraphIteration(nn.Module):
    """Message passings on one graph, with shared weights: edge states, then node states from the sums of them."""

    def __init__(self, width: int, passings: int) -> None:
        super().__init__()
        self.passings = passings
        self.edge = perceptron(3 * width, width, width, 1)
        self.node = perceptron(2 * width, width, width, 1)

    def forward(self, nodes: Tensor, edge: Tensor, source: RowNumbers, target: RowNumbers) -> Tensor:
        """Return the node states (N, W) after the passings, given the edge states (E, W)."""
        for _ in range(self.passings):
            edge = edge + on_edges(self.edge, nodes, (source, target), edge)
            nodes = nodes + on_nodes(self.node, nodes, target.sum(edge))
        return nodes


class EggNet(nn.Module):
    """Embedding of points in which tracks are clusters.

    With the defaults 163,640 parameters (published: 0.16M).
    """

    def __init__(self, config: EggNetConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.encoder = perceptron(INPUTS, width, width, 1)
        self.edge_encoder = perceptron(2 * width, width, width, 1)
        self.iterations = nn.ModuleList(GraphIteration(width, config.passings) for _ in range(config.iterations))
        self.decoders = nn.ModuleList(
            perceptron(width, width, config.embedding, 1) for _ in range(config.iterations + 1)
        )

    def embeddings(self, inputs: Tensor, offsets: Tensor) -> list[Tensor]:
        """Return the embedding (N, 24) before the first and after every graph iteration."""
        nodes = self.encoder(inputs)
        found = [self.decoders[0](nodes)]
        for iteration, decoder in zip(self.iterations, self.decoders[1:], strict=True):
            edges = nearest(found[-1], offsets, self.config.neighbours)
            source, target = (RowNumbers(end, len(nodes)) for end in edges)
            edge = on_edges(self.edge_encoder, nodes, (source, target))
            nodes = iteration(nodes, edge, source, target)
            found.append(decoder(nodes))
        return found

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the last embedding of a batch with ``track_inputs`` (N, 12) and ``offsets``."""
        return self.embeddings(batch["track_inputs"], batch["offsets"])[-1].float()
