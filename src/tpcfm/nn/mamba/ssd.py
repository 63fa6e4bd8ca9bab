"""State-space duality: the selective scan of Mamba-2 in chunks, as matrix products (arXiv 2405.21060, Sec. 6).

Per head, with state S (P, N), input x (P), step dt > 0 and decay rate A < 0:

    S_t = exp(dt_t A) S_{t-1} + dt_t x_t (outer) B_t,        y_t = S_t C_t + D x_t

The stream holds several events; the state starts from zero at the first row of each. Work and memory grow linearly with
the number of rows.
"""

import torch
from torch import Tensor

from tpcfm.nn.padded import exporting
from tpcfm.nn.segments import Segments

GROUP = 16  # chunks that the carry between chunks joins in one matrix product


def ssd(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor, where: Segments) -> Tensor:
    """Run the scan over a filled stream.

    Args:
        x: (K Q, H, P) inputs.
        dt: (K Q, H) positive steps.
        a: (H,) negative decay rates.
        b: (K Q, N) input maps, shared by the heads.
        c: (K Q, N) output maps, shared by the heads.
        d: (H,) direct gains.
        where: event boundaries and chunks of the stream.

    Returns:
        (K Q, H, P), in float32 at least (decays and states must not lose digits).
    """
    kind = torch.promote_types(x.dtype, torch.float32)
    # Under autocast the matrix products below would round to 16 bits whatever the type of their inputs.
    with torch.autocast(x.device.type, enabled=False):
        return _scan(x.to(kind), dt.to(kind), a.to(kind), b.to(kind), c.to(kind), d.to(kind), where)


def _scan(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor, where: Segments) -> Tensor:
    k, q = where.n_chunks, where.chunk
    heads, size = x.shape[1:]
    state = b.shape[1]

    b, c = b.view(k, q, state), c.view(k, q, state)
    inputs = (x * dt[..., None]).view(k, q, heads, size)
    log_decay = (dt * a).view(k, q, heads).cumsum(1)  # from the start of the chunk up to and with the row
    by_head = log_decay.transpose(1, 2)  # (K, H, Q)

    # Inside a chunk. The exponent is cut at zero because above the diagonal, where it is positive and may overflow,
    # the product with `mixing` is zero anyway.
    mixing = (c @ b.transpose(1, 2)).masked_fill(~where.same, 0.0)
    weights = (by_head[..., None] - by_head[..., None, :]).clamp_(max=0.0).exp_() * mixing[:, None]
    inside = (weights @ inputs.transpose(1, 2)).transpose(1, 2)

    # From chunk to chunk: what each adds to the state at its end, carried on, read by the rows of the next.
    to_end = (log_decay[:, -1:] - log_decay).exp() * where.to_end[..., None]
    added = b.transpose(1, 2) @ (inputs * to_end[..., None]).view(k, q, heads * size)  # (K, N, H P)
    ends = carry(log_decay[:, -1], where.through, added.view(k, state, heads, size))
    before = torch.cat([torch.zeros_like(ends[:1]), ends[:-1]]).view(k, state, heads * size)
    from_start = log_decay.exp() * where.from_start[..., None]
    across = (c @ before).view(k, q, heads, size) * from_start[..., None]

    return torch.addcmul((across + inside).reshape(k * q, heads, size), x, d[:, None])


def carry(log_decay: Tensor, keep: Tensor, added: Tensor) -> Tensor:
    """Solve ``h_k = keep_k exp(log_decay_k) h_{k-1} + added_k``, ``h_{-1} = 0``, in groups of ``GROUP`` entries.

    Args:
        log_decay: (K, H), at most zero.
        keep: (K,) whether anything of the entry before survives.
        added: (K, N, H, P).

    Returns:
        (K, N, H, P).
    """
    k, state, heads, size = added.shape
    if exporting():  # a graph has no recursion over a number of chunks that it does not know
        return _carry_at_once(log_decay, keep, added)
    if k == 1:
        return added
    group = min(GROUP, k)
    n = -(-k // group)
    if fill := n * group - k:
        log_decay = torch.cat([log_decay, log_decay.new_zeros(fill, heads)])
        keep = torch.cat([keep, keep.new_zeros(fill)])
        added = torch.cat([added, added.new_zeros(fill, state, heads, size)])
    total = log_decay.view(n, group, heads).cumsum(1).transpose(1, 2)  # (n, H, R)
    breaks = (~keep).view(n, group).cumsum(1)
    causal = torch.ones(group, group, dtype=torch.bool, device=keep.device).tril()
    joined = (breaks[:, :, None] == breaks[:, None, :]) & causal
    decay = (total[..., None] - total[..., None, :]).clamp(max=0.0).exp() * joined[:, None]
    by_head = added.view(n, group, state, heads, size).permute(0, 3, 1, 2, 4).reshape(n, heads, group, state * size)
    local = decay @ by_head  # (n, H, R, N P)
    if n > 1:
        last = local[:, :, -1].view(n, heads, state, size).transpose(1, 2)
        ends = carry(total[..., -1], breaks[:, -1] == 0, last)
        before = torch.cat([torch.zeros_like(ends[:1]), ends[:-1]]).transpose(1, 2).reshape(n, heads, 1, state * size)
        local = local + before * (total.exp() * (breaks == 0)[:, None])[..., None]
    result = local.view(n, heads, group, state, size).permute(0, 2, 3, 1, 4).reshape(n * group, state, heads, size)
    return result[:k]


def _carry_at_once(log_decay: Tensor, keep: Tensor, added: Tensor) -> Tensor:
    """Do the same in one product, K by K per head; sums of decays in float64, since they grow with the stream."""
    k, state, heads, size = added.shape
    total = log_decay.double().cumsum(0).t()  # (H, K)
    breaks = (~keep).long().cumsum(0)
    number = torch.arange(k, device=keep.device)
    joined = (breaks[:, None] == breaks) & (number[:, None] >= number)
    decay = (total[..., None] - total[:, None]).clamp(max=0.0).exp().to(added.dtype) * joined
    by_head = added.permute(2, 0, 1, 3).reshape(heads, k, state * size)
    return (decay @ by_head).view(heads, k, state, size).permute(1, 2, 0, 3).contiguous()


def ssd_sequential(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor, starts: Tensor) -> Tensor:
    """Run the recurrence row by row: the slow reference that defines the answer.

    Args:
        x, dt, a, b, c, d: as in :func:`ssd`, any number of rows, computed in the type of ``x``.
        starts: rows at which the state is set to zero.
    """
    reset = set(starts.tolist())
    state = x.new_zeros(x.shape[1], x.shape[2], b.shape[1])
    rows = []
    for t in range(len(x)):
        if t in reset:
            state = torch.zeros_like(state)
        state = torch.exp(dt[t] * a)[:, None, None] * state + (dt[t][:, None] * x[t])[..., None] * b[t]
        rows.append(state @ c[t] + d[:, None] * x[t])
    return torch.stack(rows) if rows else torch.empty_like(x)
