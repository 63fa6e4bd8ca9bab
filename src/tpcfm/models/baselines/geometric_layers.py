"""The layers of torch_geometric run with our weights: a backend for comparisons, used only when it is forced and agrees with ours.

``tpcfm --backend=+torch_geometric baseline ...`` takes it. Weights and their names stay ours, so a model is the same with and without it.
Ours are the faster ones on a CPU (no table of edges and channels is made), hence never the other way round by itself.
"""

import importlib
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from tpcfm import backends
from tpcfm.errors import MachineError
from tpcfm.models.baselines.graph_layers import LAYERS, Edges

KINDS = {"sage": "SAGEConv", "graph_conv": "GraphConv", "gcn": "GCNConv", "gat": "GATConv"}
NAMES = {
    "sage": {"lin_l.weight": "neighbours.weight", "lin_l.bias": "neighbours.bias", "lin_r.weight": "own.weight"},
    "graph_conv": {
        "lin_rel.weight": "neighbours.weight",
        "lin_rel.bias": "neighbours.bias",
        "lin_root.weight": "own.weight",
    },
    "gcn": {"lin.weight": "weight", "bias": "bias"},
    "gat": {"lin.weight": "weight", "bias": "bias", "att_src": "source", "att_dst": "target"},
}
"""Which of our parameters stands for which of theirs."""
TOLERANCE = 1e-4  # of the largest value


def message_backend(device: str) -> str:
    """Return the backend of message passing on a device type, "torch" or "torch_geometric", after it has been compared with ours.

    Raises:
        MachineError: it gives other outputs or gradients.
    """
    name = backends.choose("message_passing", device)
    if name == "torch_geometric":
        _verify(device)
    return name


def geometric_layer(name: str, layer: nn.Module, x: Tensor, edges: Edges) -> Tensor:
    """Return what the layer of torch_geometric makes of ``(N, inputs)`` with the weights of ours: ``(N, outputs)``.

    Args:
        name: key of ``LAYERS``.
        layer: ours.
        x: states of the points.
        edges: without loops (theirs would replace those of GCN and GAT).
    """
    ours = dict(layer.named_parameters())
    weight = ours["neighbours.weight" if "neighbours.weight" in ours else "weight"]
    theirs = _skeleton(name, weight.shape[1], weight.shape[0], x.device)
    shapes = {key: value.shape for key, value in theirs.named_parameters()}
    weights = {key: ours[mine].view(shapes[key]) for key, mine in NAMES[name].items()}
    out: Tensor = functional_call(theirs, weights, (x, torch.stack([edges.source, edges.target])))
    return out


@lru_cache
def _skeleton(name: str, inputs: int, outputs: int, device: torch.device) -> nn.Module:
    """Return a layer of torch_geometric whose own weights are never used."""
    with torch.random.fork_rng(devices=[]):
        kind = getattr(importlib.import_module("torch_geometric.nn"), KINDS[name])
        layer: nn.Module = kind(inputs, outputs).to(device)
    return layer


@lru_cache
def _verify(device: str) -> None:
    """Compare output and gradients of all layers on a small random graph in which the first point has no edge."""
    generator = torch.Generator().manual_seed(0)
    pairs = torch.randint(0, 40, (2, 160), generator=generator)
    pairs = torch.unique(pairs[:, (pairs[0] != pairs[1]) & (pairs[0] > 0)], dim=1)  # grouped by row 0: the target
    bounds = F.pad(torch.bincount(pairs[0], minlength=40).cumsum(0), (1, 0))
    edges = Edges(pairs[1].to(device), bounds.to(device))
    x, into = (torch.randn(40, size, generator=generator).to(device) for size in (6, 8))
    for name, kind in LAYERS.items():
        with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device, enabled=False):
            with torch.random.fork_rng(devices=[]):
                layer = kind(6, 8).to(device)
            start = x.clone().requires_grad_()
            variables = [start, *layer.parameters()]
            found = []
            for out in (layer(start, edges), geometric_layer(name, layer, start, edges)):
                found.append([out.detach(), *torch.autograd.grad((out * into).sum(), variables)])
        off = max(float((a - b).abs().max() / a.abs().max()) for a, b in zip(*found, strict=True))
        if not off < TOLERANCE:
            raise MachineError(
                f"backend 'torch_geometric' on {device} does not reproduce the layer {name!r}: off by {off:.2g} of the largest value, "
                f"allowed is {TOLERANCE:g}; leave out --backend +torch_geometric, and report it"
            )
