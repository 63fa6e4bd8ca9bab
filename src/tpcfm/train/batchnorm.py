"""Batch normalisation with statistics over all ranks, on any device (PyTorch's own needs CUDA)."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def has_batch_norm(model: nn.Module) -> bool:
    """Return whether a model, as its modes are set now, has batch normalisation that follows the data."""
    return any(isinstance(m, _BatchNorm) and m.training for m in model.modules())


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


class SyncedBatchNorm(_BatchNorm):
    """Normalises over the elements of all ranks' micro-batches, as one process would over their union.

    Every rank must call it equally often (``PackedSource(even=True)``). In evaluation mode it uses its running
    statistics and exchanges nothing.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected (elements, channels, ...), got {tuple(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        """Normalise ``input`` of shape (N, C, ...) over all axes but C."""
        if not self.training or not dist.is_initialized() or dist.get_world_size() == 1:
            return super().forward(input)
        axes = [0, *range(2, input.dim())]
        shape = [1, -1, *[1] * (input.dim() - 2)]
        wide = input.float()
        count = torch.full((1,), wide.numel() / wide.shape[1], device=wide.device)
        # Two exchanges, so that the variance is of centred values and does not cancel.
        total = _AllSum.apply(torch.cat([wide.sum(axes), count]))
        mean = total[:-1] / total[-1]
        centred = wide - mean.view(shape)
        variance = _AllSum.apply(centred.square().sum(axes)) / total[-1]
        if self.track_running_stats and self.running_mean is not None and self.running_var is not None:
            with torch.no_grad():
                assert self.num_batches_tracked is not None
                self.num_batches_tracked += 1
                m = self.momentum if self.momentum is not None else 1.0 / float(self.num_batches_tracked)
                unbiased = variance * (total[-1] / (total[-1] - 1).clamp(min=1))
                self.running_mean.lerp_(mean.to(self.running_mean.dtype), m)
                self.running_var.lerp_(unbiased.to(self.running_var.dtype), m)
        out = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            out = out * self.weight.view(shape) + self.bias.view(shape)
        return out.to(input.dtype)


def synchronise(model: nn.Module) -> None:
    """Turn the batch normalisations of a model into synchronised ones, in place (same parameters, same names)."""
    for module in model.modules():
        if isinstance(module, _BatchNorm) and not isinstance(module, SyncedBatchNorm):
            module.__class__ = SyncedBatchNorm
