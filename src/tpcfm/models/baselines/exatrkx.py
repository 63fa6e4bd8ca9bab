"""Exa.TrkX: metric learning, edge filter, interaction network (arXiv 2103.06995; settings of arXiv 2508.14087, App. C).

Own implementation. Three networks, trained one after another: pairs near in the learned embedding become edges, a
perceptron filters them, and the interaction network scores those left. Tracks are connected components.
"""

import math

import torch
from torch import Tensor, nn

from tpcfm.models.baselines.embedding_graph import nearest, on_edges, on_nodes, perceptron
from tpcfm.models.baselines.rows import RowNumbers
from tpcfm.models.baselines.track_settings import ExaTrkxConfig

INPUTS = 5  # energy, eta, cos phi, sin phi, layer
STAGES = ("embedding", "filter", "interaction")
FILTER_RECALL = 0.8  # what the paper asks of the candidates of the embedding, asked here of the filter, too


class InteractionNetwork(nn.Module):
    """Scores of edges by message passing: edge states see both ends, nodes the sums over edges inwards and outwards."""

    def __init__(self, width: int, passings: int) -> None:
        super().__init__()
        self.passings = passings
        self.node_encoder = perceptron(INPUTS, width, width, 1)
        self.edge_encoder = perceptron(2 * width, width, width, 1)
        self.edge = perceptron(3 * width, width, width, 1)
        self.node = perceptron(3 * width, width, width, 1)
        self.score = perceptron(3 * width, width, 1, 1)

    def forward(self, inputs: Tensor, edges: Tensor) -> Tensor:
        """Return logits (E,) of edges (2, E) that lead outwards."""
        nodes = self.node_encoder(inputs)
        inner, outer = ends = tuple(RowNumbers(end, len(nodes)) for end in edges)
        edge = on_edges(self.edge_encoder, nodes, ends)
        for _ in range(self.passings):
            edge = edge + on_edges(self.edge, nodes, ends, edge)
            nodes = nodes + on_nodes(self.node, nodes, inner.sum(edge), outer.sum(edge))
        return on_edges(self.score, nodes, ends, edge).squeeze(1)


class ExaTrkx(nn.Module):
    """The three networks. With the defaults 3,966,094 parameters (published: 3.86M; its widths are not)."""

    filter_threshold: Tensor

    def __init__(self, config: ExaTrkxConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = perceptron(INPUTS, config.embedding_width, config.embedding, config.embedding_layers)
        self.filter = perceptron(2 * config.embedding, config.filter_width, 1, config.filter_layers)
        self.interaction = InteractionNetwork(config.width, config.passings)
        self.register_buffer("filter_threshold", torch.tensor(config.filter_threshold))

    def let_pass(self, true_scores: Tensor) -> None:
        """Lower the filter's threshold where the configured one stops more than a fifth of the true edges.

        The published threshold belongs to a filter trained to its end; after a short training no edge may reach it, and nothing
        would be left for the interaction network.

        Args:
            true_scores: (E,) scores of the candidate edges within tracks, of validation events.
        """
        if len(true_scores):
            kept = true_scores.float().cpu().sort(descending=True).values
            lowest = kept[math.ceil(FILTER_RECALL * len(kept)) - 1]
            below = torch.nextafter(lowest, torch.zeros(()))  # an edge passes above the threshold
            self.filter_threshold.copy_(torch.minimum(below, torch.tensor(self.config.filter_threshold)))

    def near_pairs(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the edges (2, E), each pair once, from the inner to the outer point."""
        inputs = batch["track_inputs"]
        edges = nearest(self.embedding(inputs), batch["offsets"], self.config.neighbours, self.config.radius)
        # Layer first, then eta, then the rest: keys of the points themselves, so that the order of the rows does not matter.
        key = inputs[:, 4].double() * 480 + inputs[:, 1].double()
        tie = inputs[:, 2].double() * 480 + inputs[:, 3].double()
        swap = (key[edges[0]] > key[edges[1]]) | ((key[edges[0]] == key[edges[1]]) & (tie[edges[0]] > tie[edges[1]]))
        edges = torch.stack([torch.where(swap, edges[1], edges[0]), torch.where(swap, edges[0], edges[1])])
        pairs: Tensor = torch.unique(edges[0] * len(inputs) + edges[1])
        return torch.stack([pairs // len(inputs), pairs % len(inputs)])

    def filter_logits(self, batch: dict[str, Tensor], edges: Tensor) -> Tensor:
        """Return logits (E,) of the filter, which sees the embeddings of both ends; these stand still while it learns."""
        with torch.no_grad():
            embedded = self.embedding(batch["track_inputs"])
        return on_edges(self.filter, embedded, tuple(RowNumbers(end, len(embedded)) for end in edges)).squeeze(1)

    @torch.no_grad()
    def graph(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the edges (2, E) that pass the filter."""
        edges = self.near_pairs(batch)
        keep = self.filter_logits(batch, edges).sigmoid() > self.filter_threshold
        return edges[:, keep]

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return edges (2, E) and their scores (E,) of a batch with ``track_inputs`` (N, 5) and ``offsets``."""
        edges = self.graph(batch)
        return edges, self.interaction(batch["track_inputs"], edges).float().sigmoid()
