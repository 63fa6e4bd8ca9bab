"""Losses that pull points of one track together in an embedding and push points of different tracks apart.

All pairs of an event are looked at (a matrix of distances, in float32 whatever the precision around it); negative labels
mean no track: such points are only pushed away. The gradients are written out: they are sums over pairs of a coefficient
times the difference of two points, so the matrices of one event live only while it is looked at.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

_FAR = 1e4
_EventLoss = Callable[[Tensor, Tensor, bool], tuple[list[Tensor], list[Tensor]]]


def hinge_embedding(
    embedding: Tensor, track: Tensor, offsets: Tensor, *, margin: float, hard: int
) -> tuple[Tensor, Tensor]:
    """Return the sums over points of the pull and of the push (the hinge loss of Exa.TrkX, arXiv 2103.06995, and EggNet).

    Pull: mean distance to the other points of the track. Push: mean of max(0, margin - distance) over all points of
    other tracks, plus the same over the nearest ``hard`` of them.

    Args:
        embedding: (N, D).
        track: (N,) labels.
        offsets: (B+1,) event boundaries.
        margin: distance beyond which points of different tracks leave each other alone.
        hard: number of hard negatives.
    """

    def of_event(points: Tensor, labels: Tensor, gradients: bool) -> tuple[list[Tensor], list[Tensor]]:
        same = _same(labels)
        distance = _squared(points).add_(1e-8).sqrt_()
        mates = same.sum(1)
        others = (len(points) - 1 - mates).clamp(min=1)
        share = same.float().div_(mates.clamp(min=1)[:, None])
        pull = torch.linalg.vecdot(share, distance).sum()

        hinge = (margin - distance).clamp_(min=0).masked_fill_(same, 0.0).fill_diagonal_(0.0)
        count = min(hard, len(hinge))
        nearest = hinge.topk(count, dim=1)
        push = (hinge.sum(1) / others).sum() + nearest.values.mean(1).sum()
        if not gradients:
            return [pull, push], []
        pulled = share.div_(distance)
        pushed = hinge.gt_(0).div_(others[:, None])
        pushed.scatter_add_(1, nearest.indices, nearest.values.gt(0).to(pushed.dtype).div_(count))
        return [pull, push], [_gradient(pulled, points), _gradient(pushed.div_(distance), points).neg_()]

    pull, push = _PairLoss.apply(embedding, track, offsets, of_event, 2)
    return pull, push


def contrastive(
    embedding: Tensor, track: Tensor, offsets: Tensor, *, negatives: int, temperature: float, sigma: float
) -> Tensor:
    """Return the sum over points of the InfoNCE loss against the nearest points of other tracks (HEPT, arXiv 2402.12535).

    Similarity is exp(-d^2 / 2 sigma^2) / temperature; each point of the same track is a positive of its own.

    Args:
        embedding: (N, D).
        track: (N,) labels.
        offsets: (B+1,) event boundaries.
        negatives: negatives per point, at most.
    """

    def of_event(points: Tensor, labels: Tensor, gradients: bool) -> tuple[list[Tensor], list[Tensor]]:
        same, squared = _same(labels), _squared(points)
        first, second = same.nonzero(as_tuple=True)
        share = 1 / same.sum(1).clamp(min=1)[first]
        alike = squared[first, second].mul_(-0.5 / sigma**2).exp_().div_(temperature)
        squared.masked_fill_(same, float("inf")).fill_diagonal_(float("inf"))
        near = squared.topk(min(negatives, len(points)), dim=1, largest=False, sorted=False)
        none = near.values.isinf()
        unlike = near.values.mul(-0.5 / sigma**2).exp_().div_(temperature)
        against = unlike.masked_fill(none, -_FAR)
        top = against.logsumexp(1)
        gap = top[first] - alike
        loss = (F.softplus(gap) * share).sum()
        if not gradients:
            return [loss], []
        # d loss / d similarity of each pair, then similarity / d squared distance = -similarity / 2 sigma^2
        chance = gap.sigmoid_().mul_(share)
        given = chance.new_zeros(len(points)).index_add_(0, first, chance)
        negative = (against - top[:, None]).exp_().mul_(given[:, None]).mul_(unlike).masked_fill_(none, 0.0)
        matrix = torch.zeros_like(squared)
        matrix[first, second] = -chance * alike
        matrix.scatter_add_(1, near.indices, negative)
        return [loss], [_gradient(matrix, points).mul_(-1 / sigma**2)]

    (loss,) = _PairLoss.apply(embedding, track, offsets, of_event, 1)
    return loss  # type: ignore[no-any-return]


class _PairLoss(torch.autograd.Function):
    """Sums over events of losses whose gradients come with them."""

    @staticmethod
    def forward(
        ctx: Any, embedding: Tensor, track: Tensor, offsets: Tensor, of_event: _EventLoss, losses: int
    ) -> tuple[Tensor, ...]:
        gradients = ctx.needs_input_grad[0]
        totals = [embedding.new_zeros((), dtype=torch.float32) for _ in range(losses)]
        kept = [torch.zeros_like(embedding, dtype=torch.float32) for _ in range(losses if gradients else 0)]
        with torch.autocast(embedding.device.type, enabled=False):
            for start, stop in pairwise(offsets.tolist()):
                if stop > start:
                    values, slopes = of_event(embedding[start:stop].float(), track[start:stop], gradients)
                    totals = [total + value for total, value in zip(totals, values, strict=True)]
                    for whole, part in zip(kept, slopes, strict=False):
                        whole[start:stop] = part
        ctx.save_for_backward(*kept)
        ctx.dtype = embedding.dtype
        return tuple(totals)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        parts = [scale * slope for scale, slope in zip(upstream, ctx.saved_tensors, strict=True)]
        return torch.stack(parts).sum(0).to(ctx.dtype), None, None, None, None


def _squared(points: Tensor) -> Tensor:
    """Return the squared distances (n, n)."""
    length = points.square().sum(1)
    return torch.addmm(length[None, :], points, points.T, alpha=-2).add_(length[:, None]).clamp_(min=0)


def _same(labels: Tensor) -> Tensor:
    """Return which pairs (n, n) are of one track; a point is no pair with itself."""
    return ((labels[:, None] == labels[None, :]) & (labels >= 0)[:, None]).fill_diagonal_(False)


def _gradient(coefficients: Tensor, points: Tensor) -> Tensor:
    """Return sum_j (c_ij + c_ji) (x_i - x_j), (n, D): the gradient of sum_ij c_ij |x_i - x_j|^2 / 2."""
    sums = coefficients.sum(1) + coefficients.sum(0)
    return sums[:, None] * points - coefficients @ points - coefficients.T @ points
