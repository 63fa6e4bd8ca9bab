"""Maximal-update parameterization of the FM4NPP backbone: initial values and learning-rate multipliers by width.

With m = width / base width and s = state / base state (arXiv 2508.14087, App. B.6, after Vankadara et al., NeurIPS 2024, for the maps B and
C; Tensor Programs V, arXiv 2203.03466, Adam column, for the rest):

========================  ======================  =====================
weight                    initial deviation       AdamW rate multiplier
========================  ======================  =====================
embedding                 1                       0 (frozen) or 1
input and output maps     as 1 / sqrt(fan in)     1 / m
B map                     sqrt(state / width)     s / sqrt(m)
C map                     1 / sqrt(state width)   1 / (s sqrt(m))
gain and bias of C        1 / s (its value)       1 / s
(Mamba-3)
convolution, A, dt, D,    constant                1
norm gains
head                      0                       1 / m
========================  ======================  =====================

The head's bias starts at 1/2, the middle of the normalised coordinates.

Mamba-3 norms what its maps to B and C give, so these are input maps like others, and B and C have entries of order one.
Their biases make them parallel: C B would grow with the state. The gain and bias of C carry the factor 1 / s instead of the
maps.
"""

import math
from typing import Any

import torch
from torch import nn


def role(name: str) -> str:
    """Return what a parameter is, from its name in the backbone: a key of :func:`multipliers`."""
    if name.startswith("embedding."):
        return "embedding"
    if name.startswith("head."):
        return "head" if name.endswith("weight") else "vector"
    if name.endswith("lin_B.weight"):
        return "state_in"
    if name.endswith("lin_C.weight"):
        return "state_out"
    if name.endswith(("C_norm.weight", "C_bias")):
        return "state_gain"
    if name.endswith("_proj.weight"):
        return "matrix"
    return "vector"


def multipliers(m: float) -> dict[str, float]:
    """Return the learning-rate multiplier of each role at a width of ``m`` base widths; all are 1 at ``m`` = 1."""
    s = m  # the state grows with the width
    return {
        "embedding": 1.0,
        "matrix": 1 / m,
        "state_in": s / math.sqrt(m),
        "state_out": 1 / (s * math.sqrt(m)),
        "state_gain": 1 / s,
        "vector": 1.0,
        "head": 1 / m,
    }


@torch.no_grad()
def initialise(model: nn.Module, width: int, state: int, m: float) -> None:
    """Draw the weights whose initial size the parameterization sets; the others keep their defaults, which scale rightly.

    Args:
        model: the backbone.
        width, state: its sizes.
        m: its width relative to the base model.
    """
    for name, parameter in model.named_parameters():
        kind = role(name)
        if kind == "state_in":
            parameter.normal_(0.0, math.sqrt(state / width))
        elif kind == "state_out":
            parameter.normal_(0.0, 1 / math.sqrt(state * width))
        elif kind == "state_gain":
            parameter.fill_(1 / m)
        elif kind == "head":
            parameter.zero_()
        elif name == "head.bias":
            parameter.fill_(0.5)


def parameter_groups(model: nn.Module, m: float, weight_decay: float) -> list[dict[str, Any]]:
    """Return optimiser groups by role, with ``lr_scale`` and a decay that is the same per step at every width.

    AdamW multiplies the decay by the group's rate, so the decay of a group is divided by its multiplier.
    """
    scale = multipliers(m)
    groups: dict[str, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(role(name), []).append(parameter)
    return [
        {"name": kind, "params": params, "lr_scale": scale[kind], "weight_decay": weight_decay / scale[kind]}
        for kind, params in groups.items()
    ]
