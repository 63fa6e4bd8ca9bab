"""Normalisations; all of them compute in float32 whatever the surrounding precision."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LayerNorm(nn.LayerNorm):
    """Per-token layer norm in float32 (``preset: paper``)."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``(T, D)`` over its last axis."""
        return F.layer_norm(x.float(), self.normalized_shape, self.weight, self.bias, self.eps)


class BatchScalarNorm(nn.Module):
    """One mean and one standard deviation over all tokens and channels of the batch (``preset: released``).

    The published weights were trained with this norm; outputs then depend on what else is in the batch.
    """

    def __init__(self, width: int, eps: float = 1e-13) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``(T, D)``."""
        return batch_scalar(x, self.eps) * self.weight + self.bias


def batch_scalar(x: Tensor, eps: float = 1e-13) -> Tensor:
    """Subtract the mean and divide by the standard deviation over all entries of ``x``."""
    x = x.float()
    variance, mean = torch.var_mean(x, correction=0)
    return (x - mean) / (variance + eps).sqrt()


def make_norm(width: int, preset: str) -> nn.Module:
    """Return the token norm of a preset."""
    return BatchScalarNorm(width) if preset == "released" else LayerNorm(width)


class PackedBatchNorm(nn.Module):
    """Batch norm over packed rows ``(P, C)``: the masked batch norm of arXiv 2502.02558.

    Statistics are over real points only, with the biased variance in the running estimate. They
    belong to one micro-batch on one device; the trainer shares them between ranks (`tpcfm.train.batchnorm`).
    """

    weight: Tensor
    running_mean: Tensor
    running_var: Tensor
    batches: Tensor

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))
        self.eps, self.momentum = eps, momentum

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``(P, C)``; in training by the statistics of these rows, otherwise by the running ones."""
        x = x.float()
        if not self.training:
            scale = self.weight * torch.rsqrt(self.running_var + self.eps)
            return torch.addcmul(self.bias - self.running_mean * scale, x, scale)
        with torch.no_grad():
            variance, mean = torch.var_mean(x, dim=0, correction=0)
            self.batches += 1
            # A plain mean at first: after few steps a fixed momentum would still remember the initial 0 and 1.
            weight = torch.clamp(1 / self.batches, min=self.momentum)
            self.running_mean.lerp_(mean, weight)
            self.running_var.lerp_(variance, weight)
        return torch.batch_norm(
            x, self.weight, self.bias, None, None, True, 0.0, self.eps, torch.backends.cudnn.enabled
        )
