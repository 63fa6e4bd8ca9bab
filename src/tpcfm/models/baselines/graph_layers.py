"""Message passing on directed graphs: SAGE, GraphConv, GCN and GAT as torch_geometric defines them, in plain torch.

Edges come grouped by the point they lead to, so that a sum over incoming edges is one bag of rows (``embedding_bag``), and its gradient is
the same sum over the reversed edges: no (edges, channels) table is made. On one CPU core, 8,000 points with 50 neighbours and 64 channels
take some 6 ms forwards and backwards, and 180 ms with ``index_add`` of gathered rows.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tpcfm.nn.padded import exporting

_CHUNK = {
    "cpu": 4096,
    "cuda": 1 << 18,
}  # edges taken together in the gradient of the edge weights (CPU: fits the cache)


@dataclass(frozen=True)
class Edges:
    """Directed edges grouped by target.

    Attributes:
        source: ``(E,)`` int64 row that each edge comes from.
        bounds: ``(N+1,)`` int64 first incoming edge of each point.
    """

    source: Tensor
    bounds: Tensor

    @cached_property
    def degree(self) -> Tensor:
        """``(N,)`` incoming edges of each point."""
        return self.bounds.diff()

    @cached_property
    def target(self) -> Tensor:
        """``(E,)`` row that each edge leads to."""
        return torch.repeat_interleave(self.degree, output_size=self.source.shape[0])

    @cached_property
    def reversed(self) -> tuple[Tensor, "Edges"]:
        """The order of the edges by source, and the edges the other way round."""
        order = torch.argsort(self.source, stable=True)
        leaving = torch.bincount(self.source, minlength=len(self.bounds) - 1)
        return order, Edges(self.target[order], F.pad(leaving.cumsum(0), (1, 0)))

    def sum(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the sum over incoming edges of the rows they come from, ``(N, D)``; each times its ``weight`` ``(E,)``."""
        weight = None if weight is None else weight.to(x.dtype)
        out: Tensor = _Sum.apply(x, weight, self)
        return out


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, edges: Edges) -> Tensor:
        ctx.edges = edges
        ctx.save_for_backward(*([] if weight is None else [x, weight]))
        return _bags(x, weight, edges)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        edges, gradient = ctx.edges, gradients[0].contiguous()
        order, back = edges.reversed
        if not ctx.saved_tensors:
            return _bags(gradient, None, back), None, None
        x, weight = ctx.saved_tensors
        size = _CHUNK.get(x.device.type, _CHUNK["cuda"])
        pairs = zip(edges.target.split(size), edges.source.split(size), strict=True)
        products = [(gradient.index_select(0, t) * x.index_select(0, s)).sum(1) for t, s in pairs]
        return _bags(gradient, weight[order], back), torch.cat(products), None


def _bags(x: Tensor, weight: Tensor | None, edges: Edges) -> Tensor:
    if not exporting() and len(edges.source) == 0:
        return x.new_zeros(len(edges.bounds) - 1, x.shape[1])
    return F.embedding_bag(
        edges.source, x, edges.bounds, mode="sum", include_last_offset=True, per_sample_weights=weight
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
        # index_select: its gradient is much faster than that of indexing on the CPU.
        logit = F.leaky_relu(source.index_select(0, edges.source) + target.index_select(0, rows), 0.2)
        own = F.leaky_relu(source + target, 0.2)
        # Shifted by the largest logit of each point, which changes nothing but overflow.
        top = own.detach().scatter_reduce(0, rows, logit.detach(), "amax")
        weight, own = (logit - top.index_select(0, rows)).exp(), (own - top).exp()
        total = own.index_add(0, rows, weight)
        out = edges.sum(x, weight / total.index_select(0, rows)) + (own / total)[:, None].to(x.dtype) * x
        return out + self.bias.to(x.dtype)


LAYERS: dict[str, type[nn.Module]] = {
    "sage": SageLayer,
    "graph_conv": GraphConvLayer,
    "gcn": GcnLayer,
    "gat": GatLayer,
}
"""Layers by the name they have in the configuration."""
