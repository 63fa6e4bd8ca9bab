"""Message passing on directed graphs: SAGE, GraphConv, GCN and GAT as torch_geometric defines them, in plain torch.

Edges come grouped by the point they lead to, so that a sum over incoming edges is one bag of rows (``embedding_bag``):
no (edges, channels) table is made. On one CPU core at 8,000 points, 50 neighbours and 256 channels that is some 20 times as fast
as ``index_add`` of gathered rows, and 4 times backwards.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Edges:
    """Directed edges grouped by target.

    Attributes:
        source: ``(E,)`` int64 row that each edge comes from.
        bounds: ``(N+1,)`` int64 first incoming edge of each point.
    """

    source: Tensor
    bounds: Tensor

    @property
    def degree(self) -> Tensor:
        """``(N,)`` incoming edges of each point."""
        return self.bounds.diff()

    @property
    def target(self) -> Tensor:
        """``(E,)`` row that each edge leads to."""
        return torch.repeat_interleave(self.degree, output_size=len(self.source))

    def sum(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the sum over incoming edges of the rows they come from, ``(N, D)``; each times its ``weight`` ``(E,)``."""
        if len(self.source) == 0:
            return x.new_zeros(len(self.bounds) - 1, x.shape[1])
        weight = None if weight is None else weight.to(x.dtype)
        return F.embedding_bag(
            self.source, x, self.bounds, mode="sum", include_last_offset=True, per_sample_weights=weight
        )


class SageLayer(nn.Module):
    """W1 mean(neighbours) + W2 x + b (Hamilton, Ying, Leskovec, arXiv 1706.02216)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.neighbours, self.own = nn.Linear(inputs, outputs), nn.Linear(inputs, outputs, bias=False)

    def forward(self, x: Tensor, edges: Edges) -> Tensor:
        """Map ``(N, inputs)`` to ``(N, outputs)``."""
        mean = edges.sum(x) / edges.degree.clamp(min=1)[:, None].to(x.dtype)
        return self.neighbours(mean) + self.own(x)


class GraphConvLayer(nn.Module):
    """W1 sum(neighbours) + W2 x + b (Morris et al., arXiv 1810.02244)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.neighbours, self.own = nn.Linear(inputs, outputs), nn.Linear(inputs, outputs, bias=False)

    def forward(self, x: Tensor, edges: Edges) -> Tensor:
        """Map ``(N, inputs)`` to ``(N, outputs)``."""
        return self.neighbours(edges.sum(x)) + self.own(x)


class GcnLayer(nn.Module):
    """Sum over neighbours and the point itself of W x / sqrt(d d'), + b (Kipf and Welling, arXiv 1609.02907).

    d counts incoming edges and the point itself, at either end of an edge.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x: Tensor, edges: Edges) -> Tensor:
        """Map ``(N, inputs)`` to ``(N, outputs)``."""
        scale = (edges.degree + 1).to(x.dtype).rsqrt()[:, None]
        x = scale * F.linear(x, self.weight)
        return scale * (edges.sum(x) + x) + self.bias.to(x.dtype)


class GatLayer(nn.Module):
    """Attention over incoming edges and the point itself, one head (Velickovic et al., arXiv 1710.10903).

    The logit of an edge is leaky_relu(a · Wx + a' · Wx'), with slope 0.2; the softmax runs over the edges into a point.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.source = nn.Parameter(torch.empty(outputs))
        self.target = nn.Parameter(torch.empty(outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        for parameter in (self.weight, self.source[None], self.target[None]):
            nn.init.xavier_uniform_(parameter)

    def forward(self, x: Tensor, edges: Edges) -> Tensor:
        """Map ``(N, inputs)`` to ``(N, outputs)``."""
        x = F.linear(x, self.weight)
        source, target = (x @ self.source).float(), (x @ self.target).float()
        rows = edges.target
        logit = F.leaky_relu(source[edges.source] + target[rows], 0.2)
        own = F.leaky_relu(source + target, 0.2)
        # Shifted by the largest logit of each point, which changes nothing but overflow.
        top = own.detach().scatter_reduce(0, rows, logit.detach(), "amax")
        weight, own = (logit - top[rows]).exp(), (own - top).exp()
        total = own.index_add(0, rows, weight)
        out = edges.sum(x, weight / total[rows]) + (own / total)[:, None].to(x.dtype) * x
        return out + self.bias.to(x.dtype)


LAYERS: dict[str, type[nn.Module]] = {
    "sage": SageLayer,
    "graph_conv": GraphConvLayer,
    "gcn": GcnLayer,
    "gat": GatLayer,
}
"""Layers by the name they have in the configuration."""
