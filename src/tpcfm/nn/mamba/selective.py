"""The two operators of a Mamba mixer that accelerators exist for: selective scan and short convolution."""

import torch
from torch import Tensor
from torch.nn import functional as F

from tpcfm import backends
from tpcfm.nn.mamba.ssd import ssd
from tpcfm.nn.segments import Segments

FUSED_CHUNK = 256  # rows per chunk of the fused kernels


def selective_scan(
    x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor, where: Segments, backend: str = "torch"
) -> Tensor:
    """Run the scan of :func:`tpcfm.nn.mamba.ssd.ssd` (same arguments and result) on a backend."""
    if backend != "mamba_ssm":
        return ssd(x, dt, a, b, c, d, where)
    from mamba_ssm.ops.triton.ssd_combined import mamba_chunk_scan_combined

    index = where.index[None].to(torch.int32)
    x, dt, b, c = x.float()[None], dt.float()[None], b.float()[None, :, None], c.float()[None, :, None]
    return mamba_chunk_scan_combined(x, dt, a.float(), b, c, chunk_size=FUSED_CHUNK, D=d.float(), seq_idx=index)[0]


def short_convolution(x: Tensor, weight: Tensor, bias: Tensor, where: Segments) -> Tensor:
    """Causal depthwise convolution that sees nothing before an event's first row, then SiLU.

    Args:
        x: (K Q, C).
        weight: (C, L); the last column acts on the row itself.
        bias: (C,).
        where: event boundaries.
    """
    if backends.choose("short_convolution", x.device.type) == "causal_conv1d":
        from causal_conv1d import causal_conv1d_fn

        index = where.index[None].to(torch.int32)
        columns = x.contiguous().t()[None]  # (1, C, K Q) with channels side by side in memory, as packed events need it
        return causal_conv1d_fn(columns, weight.to(x.dtype), bias.to(x.dtype), seq_idx=index, activation="silu")[0].t()
    y = torch.addcmul(bias, x, weight[:, -1])
    for lag in range(1, weight.shape[1]):
        shifted = torch.cat([x.new_zeros(lag, x.shape[1]), x[:-lag]])
        if where.leading:
            shifted = shifted.index_fill(0, where.leading[lag], 0.0)
        else:  # traced: their number may not decide a shape
            before = torch.cat([where.index.new_full((lag,), -1), where.index[:-lag]])
            shifted = shifted.masked_fill((before != where.index)[:, None], 0.0)
        y = torch.addcmul(y, shifted, weight[:, -1 - lag])
    return F.silu(y)
