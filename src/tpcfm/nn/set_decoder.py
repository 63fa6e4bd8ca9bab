"""Set prediction of the objects of an event: learned queries that read its points (arXiv 2508.14087, App. C.2)."""

import torch
from torch import Tensor, nn

from tpcfm.nn.padded import Padded
from tpcfm.nn.queries import TrackSet
from tpcfm.nn.rms import RMSNorm
from tpcfm.nn.set_attention import Attention, FeedForward, Head

SOFT_MASK_FLOOR = 1e-6


class DecoderLayer(nn.Module):
    """Queries read the points under a soft mask, then each other, then a feed-forward block; all pre-norm."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.cross_norm, self.self_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.cross, self.own = Attention(width, heads), Attention(width, heads)
        self.feed_forward = FeedForward(width, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        queries: Tensor,
        place: Tensor,
        points: Tensor,
        lengths: list[int] | Padded,
        bias: list[Tensor] | Tensor,
    ) -> Tensor:
        """Update (B, Q, W) queries; ``place`` (Q, W) is added to what they ask with."""
        asked = self.cross_norm(queries) + place
        queries = queries + self.dropout(self.cross.read(asked, points, lengths, bias))
        normed = self.self_norm(queries)
        queries = queries + self.dropout(self.own.within(normed + place, normed))
        return self.feed_forward(queries)


class SetDecoder(nn.Module):
    """Learned queries, each with a class (object or nothing) and a mask over the points of its event.

    Memory grows with queries times points, never with points squared.

    Args:
        width: channels of points and queries.
        queries: objects that can be found in an event.
        layers: of the decoder.
        heads: must divide ``width``.
        dropout: of the blocks.
    """

    def __init__(self, width: int, queries: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm = RMSNorm(width)
        self.points = FeedForward(width, dropout)
        self.content = nn.Parameter(torch.randn(queries, width) * 0.02)
        self.place = nn.Parameter(torch.randn(queries, width) * 0.02)
        self.layers = nn.ModuleList(DecoderLayer(width, heads, dropout) for _ in range(layers))
        self.classes = Head(width, 2, dropout)
        self.masks = Head(width, width, dropout)

    def forward(self, points: Tensor, lengths: list[int] | Padded) -> list[TrackSet]:
        """Predict from the initial queries and after each layer; the last set is the answer.

        Args:
            points: (N, W) features of the points, one event after another.
            lengths: points per event.
        """
        points = self.points(self.norm(points))
        events = lengths.counts.shape[0] if isinstance(lengths, Padded) else len(lengths)
        queries = self.content.expand(events, -1, -1)
        sets = [self._predict(queries, points, lengths)]
        for layer in self.layers:
            # Where a mask says no, the next layer looks less: + log p. (The paper prints -log(p + eps), against its own words.)
            # The mask steers and is not trained through this path.
            masks = sets[-1].masks
            bias = _where_seen(masks) if isinstance(masks, Tensor) else [_where_seen(mask) for mask in masks]
            queries = layer(queries, self.place, points, lengths, bias)
            sets.append(self._predict(queries, points, lengths))
        return sets

    def _predict(self, queries: Tensor, points: Tensor, lengths: list[int] | Padded) -> TrackSet:
        embedded = self.masks(queries)
        if isinstance(lengths, Padded):
            return TrackSet(self.classes(queries).float(), (embedded @ lengths.spread(points).transpose(1, 2)).float())
        masks = [q @ p.t() for q, p in zip(embedded.unbind(), points.split(lengths), strict=True)]
        return TrackSet(self.classes(queries).float(), [mask.float() for mask in masks])


def _where_seen(mask: Tensor) -> Tensor:
    return torch.log(mask.detach().sigmoid() + SOFT_MASK_FLOOR)
