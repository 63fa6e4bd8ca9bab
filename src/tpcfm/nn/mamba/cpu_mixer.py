"""The inside of a Mamba-2 mixer on the CPU as one differentiable operation over compiled loops."""

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from tpcfm.nn.mamba import cpu_kernels
from tpcfm.nn.segments import Segments

kernels: Any = cpu_kernels  # compiled functions have no signatures to check
STATE_EVERY = 32  # rows between kept states
EPS = 1e-5
_WEIGHT_BLOCKS = 16  # parts of a norm's weight gradient; fixed, so that sums do not depend on the number of threads


class _Scratch(threading.local):
    """Arrays that live only inside one call, kept per thread: fresh memory costs more than the arithmetic on it."""

    def __init__(self) -> None:
        self.buffers: dict[str, Tensor] = {}

    def __call__(self, name: str, rows: int, columns: int, like: Tensor) -> Tensor:
        """Return a (rows, columns) tensor with arbitrary content."""
        held = self.buffers.get(name)
        if held is None or held.numel() < rows * columns or held.dtype != like.dtype:
            held = self.buffers[name] = like.new_empty(rows * columns)
        return held[: rows * columns].view(rows, columns)


_scratch = _Scratch()


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="tpcfm-mixer")


def _shared(work: Callable[[int, int], None], cuts: npt.NDArray[np.int64]) -> None:
    """Call ``work(first, last)`` for each part between cuts, on as many threads as torch uses."""
    parts = [(int(a), int(b)) for a, b in itertools.pairwise(cuts) if b > a]
    threads = min(torch.get_num_threads(), len(parts))
    if threads <= 1:
        for first, last in parts:
            work(first, last)
        return
    for future in [_pool(threads).submit(work, first, last) for first, last in parts]:
        future.result()


def _event_cuts(bounds: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Divide the events among threads by rows."""
    goals = (
        np.linspace(0, bounds[-1], 2 * torch.get_num_threads() + 1) if torch.get_num_threads() > 1 else [0, bounds[-1]]
    )
    cuts = np.searchsorted(bounds, goals)
    cuts[-1] = len(bounds) - 1
    return np.maximum.accumulate(cuts).astype(np.int64)


def _silu(x: Tensor, out: Tensor) -> Tensor:
    return torch.ops.aten.silu.out(x, out=out)


def _array(tensor: Tensor) -> npt.NDArray[Any]:
    return tensor.detach().contiguous().numpy()


class _MixerCore(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, mixed, conv, bias, dt_bias, a_log, d, weight, size, state, where):  # type: ignore[no-untyped-def]
        rows, heads = len(mixed), len(a_log)
        inner = heads * size
        channels = inner + 2 * state
        bounds = np.append(where.starts.numpy(), rows)
        slots = np.concatenate([[0], np.cumsum(-(-np.diff(bounds) // STATE_EVERY))])
        cuts = _event_cuts(bounds)
        taps = _array(conv.t())
        source = _array(mixed)

        before = mixed.new_empty(rows, channels)
        out = before.numpy()
        _shared(lambda i, j: kernels.convolve(source, inner, taps, _array(bias), bounds, i, j, out), cuts)
        xbc = _silu(before, _scratch("xbc", rows, channels, mixed))
        a = -a_log.detach().exp()
        raw = mixed[:, inner + channels :] + dt_bias
        dt = F.softplus(raw)
        decay = torch.exp(dt * a)
        y = mixed.new_empty(rows, inner)
        kept = any(ctx.needs_input_grad)
        states = mixed.new_empty((int(slots[-1]) if kept else 0, heads, state, size))
        arrays = [_array(t) for t in (xbc, dt, decay, d)]
        _shared(
            lambda i, j: kernels.scan(
                *arrays, size, state, bounds, slots, STATE_EVERY, i, j, y.numpy(), states.numpy()
            ),
            cuts,
        )
        gate = _silu(mixed[:, :inner], _scratch("gate", rows, inner, mixed))
        normed, scale = torch.empty_like(y), mixed.new_empty(rows)
        blocks = np.linspace(0, rows, _WEIGHT_BLOCKS + 1).astype(np.int64)
        eps = source.dtype.type(EPS)
        _shared(
            lambda i, j: kernels.gated_norm(
                y.numpy(), gate.numpy(), _array(weight), eps, i, j, normed.numpy(), scale.numpy()
            ),
            blocks,
        )
        if kept:
            ctx.save_for_backward(mixed, conv, a, d, weight, before, raw, y, scale, states)
            ctx.layout = (size, state, bounds, slots, cuts, blocks)
        return normed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor):  # type: ignore[no-untyped-def,override]
        mixed, conv, a, d, weight, before, raw, y, scale, states = ctx.saved_tensors
        size, state, bounds, slots, cuts, blocks = ctx.layout
        events, heads, inner, channels = len(bounds) - 1, len(a), y.shape[1], before.shape[1]

        z = mixed[:, :inner]
        rows = len(y)
        gate = _silu(z, _scratch("gate", rows, inner, y))
        grad_y, grad_gate = (_scratch(name, rows, inner, y) for name in ("grad_y", "grad_gate"))
        per_block = mixed.new_zeros(_WEIGHT_BLOCKS, inner)
        number = {int(first): i for i, first in enumerate(blocks[:-1])}
        inputs = [_array(t) for t in (y, gate, weight, scale, grad)]
        _shared(
            lambda i, j: kernels.gated_norm_backward(
                *inputs, i, j, grad_y.numpy(), grad_gate.numpy(), per_block[number[i]].numpy()
            ),
            blocks,
        )
        grad_mixed = torch.empty_like(mixed)
        torch.ops.aten.silu_backward.grad_input(grad_gate, z, grad_input=grad_mixed[:, :inner])

        dt = F.softplus(raw)
        xbc = _silu(before, _scratch("xbc", rows, channels, y))
        decay = torch.exp(dt * a)
        grad_xbc = _scratch("grad_xbc", rows, channels, y)
        grad_xbc[:, inner:] = 0
        grad_dt = torch.empty_like(dt)
        grad_a, grad_d = mixed.new_zeros(events, heads), mixed.new_zeros(events, heads)
        inputs = [_array(t) for t in (xbc, dt, decay, a, d)]
        outputs = [t.numpy() for t in (grad_xbc, grad_dt, grad_a, grad_d)]
        _shared(
            lambda i, j: kernels.scan_backward(
                *inputs, size, state, bounds, slots, STATE_EVERY, i, j, states.numpy(), grad_y.numpy(), *outputs
            ),
            cuts,
        )
        grad_raw = grad_dt * torch.sigmoid(raw)
        grad_mixed[:, inner + channels :] = grad_raw
        grad_before = torch.ops.aten.silu_backward.grad_input(grad_xbc, before, grad_input=grad_xbc)
        grad_conv = mixed.new_zeros(events, conv.shape[1], channels)
        source, taps, flow = _array(mixed), _array(conv.t()), grad_before.numpy()
        _shared(
            lambda i, j: kernels.convolve_backward(
                source, inner, taps, bounds, i, j, flow, grad_mixed.numpy(), grad_conv.numpy()
            ),
            cuts,
        )
        return (
            grad_mixed,
            grad_conv.sum(0).t(),
            grad_before.sum(0),
            grad_raw.sum(0),
            grad_a.sum(0) * a,
            grad_d.sum(0),
            per_block.sum(0),
            None,
            None,
            None,
        )


def mixer_core(
    mixed: Tensor,
    conv: Tensor,
    bias: Tensor,
    dt_bias: Tensor,
    a_log: Tensor,
    d: Tensor,
    weight: Tensor,
    size: int,
    state: int,
    where: Segments,
) -> Tensor:
    """Convolution, scan, gate and norm of a Mamba-2 mixer on the CPU, in float32 or float64.

    Args:
        mixed: (K Q, 2 D_i + 2 N + H) rows z, x, B, C, dt as the input maps give them.
        conv, bias: (D_i + 2 N, L) and (D_i + 2 N,) of the short convolution.
        dt_bias, a_log, d: (H,) each.
        weight: (D_i,) gain of the gated norm.
        size, state: channels per head P, state size N.
        where: event boundaries.

    Returns:
        (K Q, D_i), what the output map takes.
    """
    kind = torch.promote_types(mixed.dtype, torch.float32)
    tensors = [t.to(kind) for t in (mixed, conv, bias, dt_bias, a_log, d, weight)]
    return _MixerCore.apply(*tensors, size, state, where).to(mixed.dtype)
