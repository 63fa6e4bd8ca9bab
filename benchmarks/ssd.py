"""The Mamba-2 scan: chunked against row by row, compiled against chunked, and its growth with length. Ratios of one run."""

import resource
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from tpcfm.nn.mamba import cpu_kernels as kernels
from tpcfm.nn.mamba.mamba2 import Mamba2
from tpcfm.nn.mamba.ssd import ssd, ssd_sequential
from tpcfm.nn.segments import Segments, segments


def rows() -> list[dict[str, Any]]:
    """Return rows ``what``, ``size``, ``against``, ``ratio``, ``memory_mib``."""
    torch.set_num_threads(1)
    out = []
    for width in (64, 256, 1024):
        inputs, where = _inputs(1000, width)
        slow = _seconds(partial(ssd_sequential, *inputs, where.starts), 2)
        for what, work in {
            "chunked scan": partial(ssd, *inputs, where),
            "compiled scan": _compiled(inputs, where),
        }.items():
            out.append(_row(what, f"1000 points, width {width}", "row by row", slow / _seconds(work, 8)))
    for width in (64, 128, 256):
        mixer = Mamba2(width, width // 16)
        u = torch.randn(4032, width)
        where = segments(torch.tensor([0, 1000, 2000, 3000, 4000]), 4000, 64)

        def step(backend: str, mixer: Mamba2 = mixer, u: torch.Tensor = u, where: Segments = where) -> None:
            mixer.run(u, where, backend).square().mean().backward()

        plain, compiled = (_seconds(lambda b=b: step(b), 3) for b in ("torch", "numba"))
        out.append(
            _row("compiled mixer, forward + backward", f"4 x 1000 points, width {width}", "PyTorch", plain / compiled)
        )
    short, long = _inputs(2000, 64), _inputs(20_000, 64)
    growth = _seconds(lambda: ssd(*long[0], long[1]), 3) / _seconds(lambda: ssd(*short[0], short[1]), 10)
    out.append(_row("chunked scan, time over length (1 = linear)", "20000 points", "2000 points", growth / 10))
    return out


def _inputs(n: int, width: int) -> tuple[list[torch.Tensor], Segments]:
    where = segments(torch.tensor([0, n]), n, 64)
    heads, state, rows = width * 2 // 64, width // 16, where.n_filled
    tensors = [torch.randn(rows, heads, 64), torch.rand(rows, heads) * 0.1, -torch.rand(heads) * 16]
    return [*tensors, torch.randn(rows, state), torch.randn(rows, state), torch.ones(heads)], where


def _compiled(inputs: list[torch.Tensor], where: Segments) -> Callable[[], Any]:
    x, dt, a, b, c, d = inputs
    xbc = torch.cat([x.flatten(1), b, c], dim=1).numpy()
    arrays = [xbc, dt.numpy(), torch.exp(dt * a).numpy(), d.numpy()]
    bounds, y = np.append(where.starts.numpy(), len(xbc)), np.empty((len(xbc), x[0].numel()), np.float32)
    states = np.empty((0, len(a), b.shape[1], x.shape[2]), np.float32)
    return partial(kernels.scan, *arrays, x.shape[2], b.shape[1], bounds, bounds, 32, 0, len(bounds) - 1, y, states)


def _seconds(work: Callable[[], Any], repeats: int) -> float:
    work()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def _row(what: str, size: str, against: str, ratio: float) -> dict[str, Any]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # of the process so far
    return {"what": what, "size": size, "against": against, "ratio": ratio, "memory_mib": peak}
