"""What the mixers are compared with: the scan of Mamba-3 row by row, and the layout of ``mamba_ssm`` weights."""

import torch
from torch import Tensor


def to_fused(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Convert one mixer's state dict to the layout of ``mamba_ssm.Mamba2``: B and C rows inside ``in_proj``."""
    inner, heads = state["norm.weight"].shape[0], state["A_log"].shape[0]
    zx, dt = state["in_proj.weight"].split([2 * inner, heads])
    fused = {name: value for name, value in state.items() if not name.startswith(("lin_B", "lin_C", "in_proj"))}
    fused["in_proj.weight"] = torch.cat([zx, state["lin_B.weight"], state["lin_C.weight"], dt])
    return fused


def trapezoidal_scan_sequential(
    x: Tensor, dt: Tensor, a: Tensor, weight: Tensor, rate: Tensor, b: Tensor, c: Tensor, d: Tensor, starts: Tensor
) -> Tensor:
    """Run the recurrence row by row with a complex state: the slow reference that defines the answer.

    Args:
        x, dt, weight, d: as in ``trapezoidal_scan``.
        a: (K Q, H) negative decay rates.
        rate: (K Q, R) angles per unit of dt.
        b, c: (K Q, H, N) maps before any rotation.
        starts: rows at which the state is set to zero.

    Returns:
        (K Q, H, P).
    """
    turning = 2 * rate.shape[1]
    complex_b, complex_c = (torch.view_as_complex(t[..., :turning].unflatten(-1, (-1, 2)).contiguous()) for t in (b, c))
    plain_b, plain_c = b[..., turning:], c[..., turning:]
    reset = set(starts.tolist())
    rows = []
    for t in range(len(x)):
        if t in reset:
            z = torch.zeros(*x.shape[1:], rate.shape[1], dtype=complex_b.dtype)
            s = x.new_zeros(*x.shape[1:], plain_b.shape[-1])
            last_z, last_s = torch.zeros_like(z), torch.zeros_like(s)
        decay = torch.exp(dt[t] * a[t])[:, None]
        turn = torch.polar(decay.expand(-1, rate.shape[1]), dt[t][:, None] * rate[t])
        new_z, new_s = (x[t][..., None] * m[t][:, None] for m in (complex_b, plain_b))
        early, late = ((1 - weight[t]) * dt[t])[:, None, None], (weight[t] * dt[t])[:, None, None]
        z = turn[:, None] * (z + early * last_z) + late * new_z
        s = decay[:, None] * (s + early * last_s) + late * new_s
        last_z, last_s = new_z, new_s
        y = (z * complex_c[t][:, None].conj()).real.sum(-1) + (s * plain_c[t][:, None]).sum(-1)
        rows.append(y + d[:, None] * x[t])
    return torch.stack(rows)
