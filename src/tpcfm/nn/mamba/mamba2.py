"""The Mamba-2 mixer over packed events (arXiv 2405.21060; as used in arXiv 2508.14087, Sec. 4)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tpcfm.nn.heads import HeadedMixer
from tpcfm.nn.mamba.cpu_mixer import mixer_core
from tpcfm.nn.mamba.selective import selective_scan, short_convolution
from tpcfm.nn.mamba.self_check import scan_backend
from tpcfm.nn.padded import exporting
from tpcfm.nn.rms import RMSNorm
from tpcfm.nn.segments import Segments

CONVOLUTION = 4  # rows seen by the short convolution
DT_RANGE = (1e-3, 0.1)
DT_FLOOR = 1e-4
A_RANGE = (1.0, 16.0)


class Mamba2(HeadedMixer):
    """Gate, short convolution, selective scan, gated norm: one causal direction, state and convolution reset per event.

    Parameters carry the names of the released checkpoints: ``in_proj`` (rows z, x, dt), separate ``lin_B`` and
    ``lin_C``, ``conv1d`` over (x, B, C), ``dt_bias``, ``A_log``, ``D``, ``norm``, ``out_proj``.

    Arguments are those of ``HeadedMixer``.
    """

    def __init__(self, width: int, state: int, expand: int = 2, head_size: int = 64) -> None:
        super().__init__(width, state, expand, head_size)
        inner = self.inner
        self.in_proj = nn.Linear(width, 2 * inner + self.heads, bias=False)
        self.lin_B = nn.Linear(width, state, bias=False)
        self.lin_C = nn.Linear(width, state, bias=False)
        channels = inner + 2 * state
        self.conv1d = nn.Conv1d(channels, channels, CONVOLUTION, groups=channels)  # holds weight and bias only
        self.dt_bias = nn.Parameter(initial_dt_bias(self.heads))
        self.A_log = nn.Parameter(torch.empty(self.heads).uniform_(*A_RANGE).log())
        self.D = nn.Parameter(torch.ones(self.heads))
        self.norm = RMSNorm(inner)
        self.out_proj = nn.Linear(inner, width, bias=False)

    def fused_weight(self) -> Tensor:
        """Return the input maps stacked as z, x, B, C, dt: (2 D_i + 2 N + H, D)."""
        zx, dt = self.in_proj.weight.split([2 * self.inner, self.heads])
        return torch.cat([zx, self.lin_B.weight, self.lin_C.weight, dt])

    def forward(self, u: Tensor, where: Segments) -> Tensor:
        """Map (K Q, D) rows to (K Q, D); ``where`` tells the events apart."""
        return self.run(u, where, "torch" if exporting() else scan_backend(Mamba2, u.device.type))

    def run(self, u: Tensor, where: Segments, backend: str) -> Tensor:
        """Do the same on a given backend, checked or not."""
        mixed = F.linear(u, self.fused_weight())
        if backend == "numba":
            conv = self._convolution()
            scalars = self.dt_bias, self.A_log, self.D
            normed = mixer_core(mixed, *conv, *scalars, self.norm.weight, self.head_size, self.state, where)
        else:
            normed = self._composed(mixed, where, backend)
        return self.out_proj(normed)

    def _convolution(self) -> tuple[Tensor, Tensor]:
        assert self.conv1d.bias is not None
        return self.conv1d.weight[:, 0], self.conv1d.bias

    def _composed(self, mixed: Tensor, where: Segments, backend: str) -> Tensor:
        """Convolution, scan, gate and norm one after another: (K Q, 2 D_i + 2 N + H) to (K Q, D_i)."""
        z, xbc, dt = mixed.split([self.inner, self.inner + 2 * self.state, self.heads], dim=1)
        xbc = short_convolution(xbc, *self._convolution(), where)
        x, b, c = xbc.split([self.inner, self.state, self.state], dim=1)
        kind = torch.promote_types(dt.dtype, torch.float32)
        dt = F.softplus(dt.to(kind) + self.dt_bias.to(kind))
        x = x.unflatten(1, (self.heads, self.head_size))
        y = selective_scan(x, dt, -self.A_log.to(kind).exp(), b, c, self.D, where, backend).flatten(1)
        return self.norm(y * F.silu(z.to(kind))).to(mixed.dtype)


def initial_dt_bias(channels: int) -> Tensor:
    """Return (channels,) biases whose softplus is log-uniform in ``DT_RANGE``, not below ``DT_FLOOR``."""
    low, high = (math.log(v) for v in DT_RANGE)
    dt = torch.empty(channels).uniform_(low, high).exp().clamp(min=DT_FLOOR)
    return dt + torch.log(-torch.expm1(-dt))  # inverse of softplus


def from_fused(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Convert one ``mamba_ssm.Mamba2`` state dict (one B/C group) to separate B and C maps."""
    inner, heads = state["norm.weight"].shape[0], state["A_log"].shape[0]
    rows = state["in_proj.weight"].shape[0] - 2 * inner - heads
    zx, b, c, dt = state["in_proj.weight"].split([2 * inner, rows // 2, rows - rows // 2, heads])
    separate = {name: value for name, value in state.items() if name != "in_proj.weight"}
    separate |= {"in_proj.weight": torch.cat([zx, dt]), "lin_B.weight": b.clone(), "lin_C.weight": c.clone()}
    return separate
