"""The Mamba-1 mixer over packed events (arXiv 2312.00752): the block whose count reproduces Table 1 of arXiv 2508.14087."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tpcfm.nn.mamba.mamba2 import CONVOLUTION, initial_dt_bias
from tpcfm.nn.mamba.selective import short_convolution
from tpcfm.nn.segments import Segments

RANK_DIVISOR = 16  # width / rank of the step map


class Mamba1(nn.Module):
    """Gate, short convolution, selective scan with a decay rate per channel and state; reset per event.

    Args:
        width: model width D.
        state: state size N.
        expand: inner width / width.
    """

    def __init__(self, width: int, state: int, expand: int = 2) -> None:
        super().__init__()
        inner, rank = expand * width, math.ceil(width / RANK_DIVISOR)
        self.inner, self.state, self.rank = inner, state, rank
        self.in_proj = nn.Linear(width, 2 * inner, bias=False)
        self.conv1d = nn.Conv1d(inner, inner, CONVOLUTION, groups=inner)  # holds weight and bias only
        self.x_proj = nn.Linear(inner, rank + 2 * state, bias=False)
        self.dt_proj = nn.Linear(rank, inner)
        with torch.no_grad():
            self.dt_proj.weight.uniform_(-(rank**-0.5), rank**-0.5)
            self.dt_proj.bias.copy_(initial_dt_bias(inner))
        self.A_log = nn.Parameter(torch.arange(1, state + 1, dtype=torch.float32).log().repeat(inner, 1))
        self.D = nn.Parameter(torch.ones(inner))
        self.out_proj = nn.Linear(inner, width, bias=False)

    def forward(self, u: Tensor, where: Segments) -> Tensor:
        """Map (K Q, D) rows to (K Q, D); ``where`` tells the events apart."""
        x, z = self.in_proj(u).chunk(2, dim=1)
        assert self.conv1d.bias is not None
        x = short_convolution(x, self.conv1d.weight[:, 0], self.conv1d.bias, where)
        low, b, c = self.x_proj(x).split([self.rank, self.state, self.state], dim=1)
        kind = torch.promote_types(u.dtype, torch.float32)
        dt = F.softplus(self.dt_proj(low).to(kind))
        y = selective_scan_diagonal(x.to(kind), dt, -self.A_log.to(kind).exp(), b.to(kind), c.to(kind), where)
        y = torch.addcmul(y, x.to(kind), self.D.to(kind))
        return self.out_proj((y * F.silu(z.to(kind))).to(u.dtype))


def selective_scan_diagonal(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, where: Segments) -> Tensor:
    """Run ``h_t = exp(dt_t A) h_{t-1} + dt_t x_t B_t``, ``y_t = h_t C_t`` per channel, from zero at each event.

    All chunks advance together, row by row: once from zero to learn what each adds, once from the carried state.

    Args:
        x, dt: (K Q, M) inputs and steps.
        a: (M, N) negative decay rates.
        b, c: (K Q, N).
        where: event boundaries and chunks.

    Returns:
        (K Q, M).
    """
    k, q = where.n_chunks, where.chunk
    x, dt = x.view(k, q, -1), dt.view(k, q, -1)
    b, c = b.view(k, q, -1), c.view(k, q, -1)
    breaks = torch.ones_like(where.index, dtype=torch.bool)
    breaks[1:] = where.index[1:] != where.index[:-1]
    keep = (~breaks).to(x.dtype).view(k, q, 1, 1)

    def run(state: Tensor, keep_first: Tensor, read: bool) -> tuple[Tensor, list[Tensor]]:
        out = []
        for t in range(q):
            kept = keep_first if t == 0 else keep[:, t]
            decay = torch.exp(dt[:, t, :, None] * a) * kept
            state = decay * state + (dt[:, t] * x[:, t])[..., None] * b[:, t, None, :]
            if read:
                out.append((state * c[:, t, None, :]).sum(-1))
        return state, out

    zero = x.new_zeros(k, x.shape[2], a.shape[1])
    added, _ = run(zero, keep[:, 0], read=False)
    through = torch.exp(dt.sum(1)[..., None] * a) * keep.prod(1)
    ends = carry_diagonal(through, added)
    before = torch.cat([torch.zeros_like(ends[:1]), ends[:-1]])
    _, rows = run(before, keep[:, 0], read=True)
    return torch.stack(rows, dim=1).flatten(0, 1)


def carry_diagonal(decay: Tensor, added: Tensor, group: int = 16) -> Tensor:
    """Solve ``h_k = decay_k h_{k-1} + added_k`` elementwise over the first axis, groups side by side."""
    k = len(added)
    if k <= group:
        rows = [added[0]]
        for i in range(1, k):
            rows.append(decay[i] * rows[-1] + added[i])
        return torch.stack(rows)
    n = -(-k // group)
    if fill := n * group - k:
        decay = torch.cat([decay, decay.new_zeros(fill, *decay.shape[1:])])
        added = torch.cat([added, added.new_zeros(fill, *added.shape[1:])])
    decay, added = decay.unflatten(0, (n, group)), added.unflatten(0, (n, group))
    rows, totals = [added[:, 0]], [decay[:, 0]]
    for i in range(1, group):
        rows.append(decay[:, i] * rows[-1] + added[:, i])
        totals.append(decay[:, i] * totals[-1])
    ends = carry_diagonal(totals[-1], rows[-1], group)
    before = torch.cat([torch.zeros_like(ends[:1]), ends[:-1]])
    return torch.stack([row + total * before for row, total in zip(rows, totals, strict=True)], dim=1).flatten(0, 1)[:k]
