"""The scan of Mamba-3 in chunks: trapezoidal rule, decay rates from the data, maps per head (arXiv 2603.15569, Sec. 3.1).

Per head, with state S (P, N), input x (P), step dt > 0, decay rate A < 0 and weight w in (0, 1) of the row itself:

    S_t = exp(dt_t A_t) (S_{t-1} + (1 - w_t) dt_t x_{t-1} (outer) B_{t-1}) + w_t dt_t x_t (outer) B_t,    y_t = S_t C_t + D x_t

w = 1 is the rule of Mamba-2. Unrolled, the input of row s acts on row t > s with weight w_s dt_s + (1 - w_{s+1}) dt_{s+1}
times the decay from s to t, and on its own row with w_s dt_s only. So the scan is that of Mamba-2 with other input weights,
the diagonal apart. Rotations of the state (complex decay rates) are rotations of B and C, see :func:`rotate`.
"""

import math

import torch
from torch import Tensor

from tpcfm.nn.mamba.ssd import carry
from tpcfm.nn.segments import Segments


def trapezoidal_scan(
    x: Tensor, dt: Tensor, log_decay: Tensor, weight: Tensor, b: Tensor, c: Tensor, d: Tensor, where: Segments
) -> Tensor:
    """Run the scan over a filled stream, from zero at each event.

    Args:
        x: (K Q, H, P) inputs.
        dt: (K Q, H) positive steps.
        log_decay: (K Q, H) dt A, at most zero.
        weight: (K Q, H) w of the row itself, between 0 and 1.
        b: (K Q, H, N) input maps.
        c: (K Q, H, N) output maps.
        d: (H,) direct gains.
        where: event boundaries and chunks of the stream.

    Returns:
        (K Q, H, P), in float32 at least.
    """
    kind = torch.promote_types(x.dtype, torch.float32)
    x, dt, log_decay, weight, b, c, d = (t.to(kind) for t in (x, dt, log_decay, weight, b, c, d))
    k, q = where.n_chunks, where.chunk
    heads, size = x.shape[1:]
    state = b.shape[2]

    own = weight * dt
    after = _next_of_event(dt - own, where)  # what the row after adds to the weight of this one
    inputs = (x * (own + after)[..., None]).view(k, q, heads, size).transpose(1, 2)  # (K, H, Q, P)
    by_head = log_decay.view(k, q, heads).cumsum(1).transpose(1, 2)  # (K, H, Q), up to and with the row
    b_rows, c_rows = (t.view(k, q, heads, state).transpose(1, 2) for t in (b, c))

    # The exponent is cut at zero: above the diagonal it may overflow, and the product with `mixing` is zero there. The
    # diagonal is left out, because the row after, which has a share in the weight, has not yet acted on it.
    mixing = (c_rows @ b_rows.transpose(2, 3)).masked_fill(~where.same.tril(-1)[:, None], 0.0)
    inside = ((by_head[..., None] - by_head[..., None, :]).clamp(max=0.0).exp() * mixing) @ inputs

    to_end = (by_head[..., -1:] - by_head).exp() * where.to_end[:, None]
    added = b_rows.transpose(2, 3) @ (inputs * to_end[..., None])  # (K, H, N, P)
    ends = carry(by_head[..., -1], where.through, added.transpose(1, 2)).transpose(1, 2)
    before = torch.cat([torch.zeros_like(ends[:1]), ends[:-1]])
    from_start = by_head.exp() * where.from_start[:, None]
    across = (c_rows @ before) * from_start[..., None]

    y = (inside + across).transpose(1, 2).reshape(k * q, heads, size)
    return torch.addcmul(y, x, (d + own * (b * c).sum(-1))[..., None])


def _next_of_event(value: Tensor, where: Segments) -> Tensor:
    """Return each row's successor in its event, zero at the last row of an event."""
    shifted = torch.cat([value[1:], torch.zeros_like(value[:1])])
    return shifted.index_fill(0, where.ends - 1, 0.0)


def phases(rate: Tensor, dt: Tensor) -> Tensor:
    """Return the accumulated angles of the state, modulo a full turn.

    Only differences between rows of one event matter, so the sum runs over the whole stream. It is taken in float64: after
    thousands of rows it is so large that float32 would have lost the digits of the angle.

    Args:
        rate: (K Q, R) angles per unit of dt.
        dt: (K Q, H).

    Returns:
        (K Q, H, R) in the type of ``rate``.
    """
    total = (dt.double()[..., None] * rate.double()[:, None]).cumsum(0)
    return total.remainder(2 * math.pi).to(rate.dtype)


def rotate(value: Tensor, angle: Tensor) -> Tensor:
    """Turn pairs of entries backwards by an angle: the first R pairs (2 i, 2 i + 1); the other entries stay.

    With B and C both turned by the accumulated angle of their rows, C_t B_s sees the state turned by the angle between s
    and t, which is what a complex decay rate does (arXiv 2603.15569, Sec. 3.2).

    Args:
        value: (..., N).
        angle: (..., R), 2 R <= N.
    """
    pairs, rest = value.split([2 * angle.shape[-1], value.shape[-1] - 2 * angle.shape[-1]], dim=-1)
    even, odd = pairs.unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = angle.cos(), angle.sin()
    turned = torch.stack([even * cos + odd * sin, odd * cos - even * sin], dim=-1)
    return torch.cat([turned.flatten(-2), rest], dim=-1)
