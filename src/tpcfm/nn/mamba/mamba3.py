"""The Mamba-3 mixer over packed events (arXiv 2603.15569): trapezoidal rule, rotating state, no short convolution.

Written from the published description, single input and output per head (SISO); the count of parameters equals the published
module's.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tpcfm import backends
from tpcfm.nn.heads import HeadedMixer
from tpcfm.nn.mamba.mamba2 import initial_dt_bias
from tpcfm.nn.mamba.trapezoid import phases, rotate, trapezoidal_scan
from tpcfm.nn.rms import RMSNorm
from tpcfm.nn.segments import Segments


class Mamba3(HeadedMixer):
    """Gate and scan with normalised, shifted and rotated B and C: one causal direction, state reset per event.

    Decay rates, the weight of the trapezoidal rule and the angles come from the data. Half of the state turns.

    Arguments are those of ``HeadedMixer``.
    """

    def __init__(self, width: int, state: int, expand: int = 2, head_size: int = 64) -> None:
        super().__init__(width, state, expand, head_size)
        inner = self.inner
        self.angles = turning_pairs(state)
        self.in_proj = nn.Linear(width, 2 * inner + 3 * self.heads + self.angles, bias=False)
        self.B_proj = nn.Linear(width, state, bias=False)
        self.C_proj = nn.Linear(width, state, bias=False)
        self.B_norm, self.C_norm = RMSNorm(state), RMSNorm(state)
        self.B_bias = nn.Parameter(torch.ones(self.heads, state))
        self.C_bias = nn.Parameter(torch.ones(self.heads, state))
        self.dt_bias = nn.Parameter(initial_dt_bias(self.heads))
        self.D = nn.Parameter(torch.ones(self.heads))
        self.out_proj = nn.Linear(inner, width, bias=False)

    def forward(self, u: Tensor, where: Segments) -> Tensor:
        """Map (K Q, D) rows to (K Q, D); ``where`` tells the events apart."""
        backends.choose("mamba3_scan", u.device.type)  # there is one; recorded with the run
        sizes = [self.inner, self.inner, self.heads, self.heads, self.heads, self.angles]
        z, x, dt, rate, weight, angle = self.in_proj(u).split(sizes, dim=1)
        b, c = self.B_proj(u), self.C_proj(u)
        kind = torch.promote_types(u.dtype, torch.float32)
        with torch.autocast(u.device.type, enabled=False):
            dt = F.softplus(dt.to(kind) + self.dt_bias.to(kind))
            turned = phases(math.pi * torch.tanh(angle.to(kind)), dt)
            b = rotate(self.B_norm(b.to(kind))[:, None] + self.B_bias.to(kind), turned)
            c = rotate(self.C_norm(c.to(kind))[:, None] + self.C_bias.to(kind), turned)
            x = x.to(kind).unflatten(1, (self.heads, self.head_size))
            log_decay = -dt * heavy_tail(rate.to(kind))
            y = trapezoidal_scan(x, dt, log_decay, torch.sigmoid(weight.to(kind)), b, c, self.D, where)
            y = y.flatten(1) * F.silu(z.to(kind))
        return self.out_proj(y.to(u.dtype))


def turning_pairs(state: int) -> int:
    """Return how many pairs of a state of this size turn: half of its entries."""
    return state // 4


def heavy_tail(x: Tensor) -> Tensor:
    """Return 1 + x for x >= 0 and 1 / (1 - x) below: positive, smooth, and never so small that its slope dies out."""
    return torch.where(x >= 0, 1 + x, 1 / (1 - x.clamp(max=0.0)))
