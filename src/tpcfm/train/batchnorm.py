"""Batch normalisation with statistics over all ranks, on any device (PyTorch's own needs CUDA)."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tpcfm.nn.norms import PackedBatchNorm


class _AllSum(torch.autograd.Function):
    """Sum over ranks; every rank's loss counts, so the gradient is summed too."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        out = value.detach().clone()
        dist.all_reduce(out)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        out = grads[0].clone()
        dist.all_reduce(out)
        return out


def _statistics(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return centred values, mean, biased variance (C) and count of ``x`` (N, C) over all ranks."""
    count = torch.full((1,), float(x.shape[0]), device=x.device)
    # Two exchanges, so that the variance is of centred values and does not cancel.
    total = _AllSum.apply(torch.cat([x.sum(0), count]))
    mean = total[:-1] / total[-1]
    centred = x - mean
    return centred, mean, _AllSum.apply(centred.square().sum(0)) / total[-1], total[-1]


def _alone() -> bool:
    return not dist.is_initialized() or dist.get_world_size() == 1


class SyncedBatchNorm(_BatchNorm):
    """PyTorch's batch normalisation over the elements of all ranks' micro-batches, as one process over their union.

    Every rank must call it equally often (``PackedSource(even=True)``). In evaluation mode it uses its running
    statistics and exchanges nothing.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected (elements, channels, ...), got {tuple(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        """Normalise ``input`` of shape (N, C, ...) over all axes but C."""
        if not self.training or _alone():
            return super().forward(input)
        rows = input.float().movedim(1, -1)
        centred, mean, variance, count = _statistics(rows.reshape(-1, rows.shape[-1]))
        if self.track_running_stats and self.running_mean is not None and self.running_var is not None:
            with torch.no_grad():
                assert self.num_batches_tracked is not None
                self.num_batches_tracked += 1
                m = self.momentum if self.momentum is not None else 1.0 / float(self.num_batches_tracked)
                unbiased = variance * (count / (count - 1).clamp(min=1))
                self.running_mean.lerp_(mean.to(self.running_mean.dtype), m)
                self.running_var.lerp_(unbiased.to(self.running_var.dtype), m)
        out = centred * torch.rsqrt(variance + self.eps)
        if self.affine:
            out = out * self.weight + self.bias
        return out.view(rows.shape).movedim(-1, 1).to(input.dtype)


class SyncedPackedBatchNorm(PackedBatchNorm):
    """The packed batch normalisation with statistics over all ranks."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``(P, C)``."""
        if not self.training or _alone():
            return super().forward(x)
        centred, mean, variance, _ = _statistics(x.float())
        with torch.no_grad():
            self.batches += 1
            weight = torch.clamp(1 / self.batches, min=self.momentum)
            self.running_mean.lerp_(mean, weight)
            self.running_var.lerp_(variance, weight)
        return centred * torch.rsqrt(variance + self.eps) * self.weight + self.bias


_SYNCED = {_BatchNorm: SyncedBatchNorm, PackedBatchNorm: SyncedPackedBatchNorm}


def has_batch_norm(model: nn.Module) -> bool:
    """Return whether a model, as its modes are set now, has batch normalisation that follows the data."""
    return any(isinstance(m, tuple(_SYNCED)) and m.training for m in model.modules())


def synchronise(model: nn.Module) -> None:
    """Turn the batch normalisations of a model into synchronised ones, in place (same parameters, same names)."""
    for module in model.modules():
        for plain, synced in _SYNCED.items():
            if isinstance(module, plain) and not isinstance(module, synced):
                module.__class__ = synced
