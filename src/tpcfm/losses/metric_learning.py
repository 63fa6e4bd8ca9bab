"""Losses that pull points of one track together in an embedding and push points of different tracks apart.

All pairs of an event are looked at (a matrix of distances, in float32 whatever the precision around it); negative labels
mean no track: such points are only pushed away.
"""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

_FAR = 1e4


def _distances(embedding: Tensor, track: Tensor, offsets: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield per event the squared distances (n, n), which pairs are of one track, and which of different ones."""
    for start, stop in pairwise(offsets.tolist()):
        points, labels = embedding[start:stop].float(), track[start:stop]
        length = points.square().sum(1)
        squared = (length[:, None] + length[None, :] - 2 * points @ points.T).clamp(min=0)
        same = (labels[:, None] == labels[None, :]) & (labels >= 0)[:, None]
        itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        yield squared, same & ~itself, ~same & ~itself


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
    with torch.autocast(embedding.device.type, enabled=False):
        pull, push = embedding.new_zeros((), dtype=torch.float32), embedding.new_zeros((), dtype=torch.float32)
        for squared, same, other in _distances(embedding, track, offsets):
            distance = (squared + 1e-8).sqrt()
            pull = pull + ((distance * same).sum(1) / same.sum(1).clamp(min=1)).sum()
            hinge = (margin - distance).clamp(min=0) * other
            nearest = hinge.topk(min(hard, len(hinge)), dim=1).values
            push = push + (hinge.sum(1) / other.sum(1).clamp(min=1)).sum() + nearest.mean(1).sum()
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
    with torch.autocast(embedding.device.type, enabled=False):
        total = embedding.new_zeros((), dtype=torch.float32)
        for squared, same, other in _distances(embedding, track, offsets):
            similarity = torch.exp(-squared / (2 * sigma**2)) / temperature
            against = similarity.masked_fill(~other, -_FAR).topk(min(negatives, len(squared)), dim=1).values
            loss = F.softplus(against.logsumexp(1)[:, None] - similarity) * same
            total = total + (loss.sum(1) / same.sum(1).clamp(min=1)).sum()
        return total
