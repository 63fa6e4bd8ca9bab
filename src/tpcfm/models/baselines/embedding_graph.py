"""Neighbour graphs of embeddings, as tensors; and the perceptrons of the track-finding networks."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tpcfm.models.baselines.rows import RowNumbers
from tpcfm.prepare.geometry.neighbour_graph import neighbour_graph


@torch.no_grad()
def nearest(points: Tensor, offsets: Tensor, k: int, max_distance: float = float("inf")) -> Tensor:
    """Return directed edges (2, E) to each point from its k nearest others within its event.

    Row 0 is the neighbour, row 1 the point; grouped by point. On the CPU by the shared k-d tree operator, on an
    accelerator by all pairs of an event, which is faster than a transfer.

    Args:
        points: (N, D).
        offsets: (B+1,) event boundaries.
        k: neighbours per point.
        max_distance: exclusive.
    """
    points = points.detach().float()
    if points.device.type == "cpu":
        graph = neighbour_graph(points.numpy(), k, max_distance=max_distance, offsets=offsets.cpu().numpy())
        return torch.from_numpy(graph.edges())
    return all_pairs(points, offsets, k, max_distance)


def all_pairs(points: Tensor, offsets: Tensor, k: int, max_distance: float = float("inf")) -> Tensor:
    """Return the same edges as `nearest` from the matrix of distances of each event (exact; memory n^2)."""
    parts = []
    for start, stop in pairwise(offsets.tolist()):
        if stop - start < 2:
            continue
        distance = torch.cdist(points[start:stop], points[start:stop], compute_mode="donot_use_mm_for_euclid_dist")
        distance.fill_diagonal_(float("inf"))
        found = distance.topk(min(k, stop - start - 1), dim=1, largest=False)
        point, slot = (found.values < max_distance).nonzero(as_tuple=True)
        parts.append(torch.stack([found.indices[point, slot], point]) + start)
    return torch.cat(parts, dim=1) if parts else torch.empty(2, 0, dtype=torch.int64, device=points.device)


def perceptron(inputs: int, width: int, outputs: int, hidden: int, *, norm: bool = True) -> nn.Sequential:
    """Return ``hidden`` layers of linear map, layer norm and SiLU, and a linear map to the outputs."""
    layers: list[nn.Module] = []
    for _ in range(hidden):
        layers += [nn.Linear(inputs, width), *([nn.LayerNorm(width)] if norm else []), nn.SiLU()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


def on_edges(network: nn.Sequential, nodes: Tensor, ends: tuple[RowNumbers, ...], edge: Tensor | None = None) -> Tensor:
    """Apply a perceptron to the states of both ends of each edge, and to its own, side by side: (E, outputs).

    The first linear map is taken apart: the nodes' part is done once per node, not per edge.
    """
    first = network[0]
    assert isinstance(first, nn.Linear)
    *parts, own = first.weight.tensor_split([nodes.shape[1] * i for i in range(1, len(ends) + 1)], dim=1)
    total = first.bias if edge is None else F.linear(edge, own, first.bias)
    for part, end in zip(parts, ends, strict=True):
        total = total + end.take(F.linear(nodes, part))
    out: Tensor = network[1:](total)
    return out


def on_nodes(network: nn.Sequential, nodes: Tensor, *sums: Tensor) -> Tensor:
    """Apply a perceptron to the state of each node and to what its edges bring: (N, outputs)."""
    out: Tensor = network(torch.cat([nodes, *sums], dim=1))
    return out
