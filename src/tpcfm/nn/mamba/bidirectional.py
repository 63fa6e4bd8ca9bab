"""A Mamba-2 mixer that reads each event forwards and backwards, with as many parameters and states as one direction.

After BiMamba (arXiv 2401.09417) and Hydra (arXiv 2407.09941): the maps of gate, input and output, the short convolution of
the input, the gain D and the norm serve both directions; steps, decay rates, B and C are the direction's own. Each direction
has half of the states, so the mixer grows only by the steps of the second direction (half a per cent) and costs the same.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tpcfm.nn.heads import HeadedMixer
from tpcfm.nn.mamba.mamba2 import A_RANGE, CONVOLUTION, Mamba2, initial_dt_bias
from tpcfm.nn.mamba.selective import selective_scan, short_convolution
from tpcfm.nn.mamba.self_check import scan_backend
from tpcfm.nn.padded import exporting
from tpcfm.nn.rms import RMSNorm
from tpcfm.nn.segments import Segments


class BidirectionalMamba2(HeadedMixer):
    """Gate, two short convolutions and scans, gated norm; nothing crosses the border of an event.

    Every row sees all rows of its event, those after it too.

    Arguments are those of ``HeadedMixer``; ``state`` counts the states of both directions together, an even number.
    """

    def __init__(self, width: int, state: int, expand: int = 2, head_size: int = 64) -> None:
        super().__init__(width, state, expand, head_size)
        inner = self.inner
        if state % 2:
            raise ValueError(f"state = {state} cannot be shared by two directions; needed is an even number")
        self.in_proj = nn.Linear(width, 2 * inner + 2 * self.heads, bias=False)  # rows z, x, dt forwards, dt backwards
        self.lin_B = nn.Linear(width, state, bias=False)  # the first half forwards, the second backwards; so is lin_C
        self.lin_C = nn.Linear(width, state, bias=False)
        channels = inner + 2 * state
        self.conv1d = nn.Conv1d(channels, channels, CONVOLUTION, groups=channels)  # holds weight and bias only
        self.dt_bias = nn.Parameter(initial_dt_bias(2 * self.heads))
        self.A_log = nn.Parameter(torch.empty(2 * self.heads).uniform_(*A_RANGE).log())
        self.D = nn.Parameter(torch.ones(self.heads))
        self.norm = RMSNorm(inner)
        self.out_proj = nn.Linear(inner, width, bias=False)

    def forward(self, u: Tensor, where: Segments) -> Tensor:
        """Map (K Q, D) rows to (K Q, D); ``where`` tells the events apart."""
        backend = "torch" if exporting() else scan_backend(Mamba2, u.device.type, "bidirectional_scan")
        z, x, dt = self.in_proj(u).split([self.inner, self.inner, 2 * self.heads], dim=1)
        b, c = self.lin_B(u), self.lin_C(u)
        y = self._scan(x, dt, b, c, where, backend, 0)
        x, dt, b, c = (t.index_select(0, where.mirror) for t in (x, dt, b, c))
        y = y + self._scan(x, dt, b, c, where, backend, 1).index_select(0, where.mirror)
        gated = y * F.silu(z.to(y.dtype))
        return self.out_proj(self.norm(gated).to(u.dtype))

    def _scan(self, x: Tensor, dt: Tensor, b: Tensor, c: Tensor, where: Segments, backend: str, side: int) -> Tensor:
        """Convolve and scan in the order of the rows with the maps of one direction (0 or 1): (K Q, D_i)."""
        part = self.state // 2
        own = slice(side * part, (side + 1) * part)
        heads = slice(side * self.heads, (side + 1) * self.heads)
        assert self.conv1d.bias is not None
        taps, bias = (self._of_side(t, own) for t in (self.conv1d.weight[:, 0], self.conv1d.bias))
        xbc = short_convolution(torch.cat([x, b[:, own], c[:, own]], dim=1), taps, bias, where)
        x, b, c = xbc.split([self.inner, part, part], dim=1)
        kind = torch.promote_types(dt.dtype, torch.float32)
        dt = F.softplus(dt[:, heads].to(kind) + self.dt_bias[heads].to(kind))
        rates = -self.A_log[heads].to(kind).exp()
        x = x.unflatten(1, (self.heads, self.head_size))
        with torch.autocast(x.device.type, enabled=False):  # states stay in float32
            return selective_scan(x, dt, rates, b, c, self.D, where, backend).flatten(1)

    def _of_side(self, per_channel: Tensor, own: slice) -> Tensor:
        x, b, c = per_channel.split([self.inner, self.state, self.state])
        return torch.cat([x, b[own], c[own]])
