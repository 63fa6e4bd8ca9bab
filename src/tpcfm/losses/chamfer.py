"""Chamfer distance between small point sets (arXiv 2502.02558, Sec. 3)."""

import torch
from torch import Tensor


def chamfer(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Return the symmetric squared chamfer distance of each pair of sets.

    CD = (1/n) Σ_a min_b |a − b|² + (1/n) Σ_b min_a |a − b|², both sides restricted to the n valid slots.

    Args:
        prediction: ``(M, K, C)`` predicted points.
        target: ``(M, K, C)`` true points.
        valid: ``(M, K)`` bool, the slots that hold a true point; the same slots of the prediction are used.

    Returns:
        ``(M,)`` float32; 0 for a set without points.
    """
    prediction, target = prediction.float(), target.float()
    # Nearest partners first; their distances are then computed exactly. Products in bfloat16 would choose wrong ones.
    with torch.no_grad(), torch.autocast(prediction.device.type, enabled=False):
        square = (prediction**2).sum(-1)[:, :, None] + (target**2).sum(-1)[:, None, :]
        square = torch.baddbmm(square, prediction, target.transpose(1, 2), alpha=-2)
        to_target = square.masked_fill(~valid[:, None, :], torch.inf).argmin(2)
        to_prediction = square.masked_fill(~valid[:, :, None], torch.inf).argmin(1)
    channels = target.shape[-1]
    forward = prediction - target.gather(1, to_target[..., None].expand(-1, -1, channels))
    backward = target - prediction.gather(1, to_prediction[..., None].expand(-1, -1, channels))
    both = (forward**2).sum(-1) + (backward**2).sum(-1)
    return torch.where(valid, both, 0).sum(1) / valid.sum(1).clamp(min=1)
