"""Task heads on frozen backbone features, or on raw points (arXiv 2508.14087, Sec. 4.3, App. C)."""

from typing import Any

import torch
from torch import Tensor, nn

from tpcfm.models.fm4npp.settings import AdapterConfig
from tpcfm.models.fm4npp.track_decision import PUBLISHED, TrackDecision, decide
from tpcfm.nn.nerf_embedding import NerfEmbedding
from tpcfm.nn.queries import TRACK, TrackSet
from tpcfm.nn.rms import RMSNorm
from tpcfm.nn.set_attention import Attention, FeedForward, Head

CLASSES = {"pid": 5, "noise": 2}
SOFT_MASK_FLOOR = 1e-6


class AdapterInput(nn.Module):
    """From features to adapter width: softmax mix of the layers, norm, layer norm, linear map.

    With ``mix_embedding`` the backbone's point embedding is the first of the layers (one more number to learn). With ``start: none``
    the features are an embedding of the raw points, one layer: frozen and random as the backbone's
    own, or a linear map trained with the head. (The published head sizes contain one gain per feature channel besides layer norm and
    linear map; here it is that of a root-mean-square norm of the mix.)
    """

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__()
        width = config.model.width
        self.embedding: nn.Module | None = None
        if config.start == "none":
            linear = config.raw_embedding == "linear"
            self.embedding = nn.Linear(4, width) if linear else NerfEmbedding(width, config.model.frequencies)
        self.mix = nn.Parameter(torch.zeros(config.layers))
        self.gain = RMSNorm(width)
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, config.width)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (layers, N, D) branch outputs, or (N, 4) raw points, to (N, W)."""
        if self.embedding is not None:
            inputs = self.embedding(inputs)[None]
        shares = self.mix.softmax(0)
        mixed = shares[0] * inputs[0].float()
        for share, layer in zip(shares[1:], inputs[1:], strict=True):
            mixed = torch.addcmul(mixed, layer.float(), share)
        return self.linear(self.norm(self.gain(mixed)))


class DecoderLayer(nn.Module):
    """Queries read the points under a soft mask, then each other, then a feed-forward block; all pre-norm."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.cross_norm, self.self_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.cross, self.own = Attention(width, heads), Attention(width, heads)
        self.feed_forward = FeedForward(width, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries: Tensor, place: Tensor, points: Tensor, lengths: list[int], bias: list[Tensor]) -> Tensor:
        """Update (B, Q, W) queries; ``place`` (Q, W) is added to what they ask with."""
        asked = self.cross_norm(queries) + place
        queries = queries + self.dropout(self.cross.read(asked, points, lengths, bias))
        normed = self.self_norm(queries)
        queries = queries + self.dropout(self.own.within(normed + place, normed))
        return self.feed_forward(queries)


class TrackFinder(nn.Module):
    """Set prediction of tracks: learned queries, each with a class (track or nothing) and a mask over the points."""

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__()
        width = config.width
        self.input = AdapterInput(config)
        self.norm = RMSNorm(width)
        self.points = FeedForward(width, config.dropout)
        self.content = nn.Parameter(torch.randn(config.queries, width) * 0.02)
        self.place = nn.Parameter(torch.randn(config.queries, width) * 0.02)
        self.layers = nn.ModuleList(
            DecoderLayer(width, config.heads, config.dropout) for _ in range(config.decoder_layers)
        )
        self.classes = Head(width, 2, config.dropout)
        self.masks = Head(width, width, config.dropout)

    def forward(self, inputs: Tensor, offsets: Tensor) -> list[TrackSet]:
        """Predict from the initial queries and after each layer; the last set is the answer.

        Args:
            inputs: (layers, N, D) branch outputs, or (N, 4) raw points.
            offsets: (B+1,) first point of each event.
        """
        lengths = offsets.diff().tolist()
        points = self.points(self.norm(self.input(inputs)))
        queries = self.content.expand(len(lengths), -1, -1)
        sets = [self._predict(queries, points, lengths)]
        for layer in self.layers:
            # Where a mask says no, the next layer looks less. The mask steers and is not trained through this path.
            bias = [torch.log(mask.detach().sigmoid() + SOFT_MASK_FLOOR) for mask in sets[-1].masks]
            queries = layer(queries, self.place, points, lengths, bias)
            sets.append(self._predict(queries, points, lengths))
        return sets

    def _predict(self, queries: Tensor, points: Tensor, lengths: list[int]) -> TrackSet:
        embedded = self.masks(queries)
        masks = [q @ p.t() for q, p in zip(embedded.unbind(), points.split(lengths), strict=True)]
        return TrackSet(self.classes(queries).float(), [mask.float() for mask in masks])


@torch.no_grad()
def track_chances(tracks: TrackSet) -> list[tuple[Tensor, Tensor]]:
    """Return per event (Q,) the probability of each query to be a track, and (Q, n) of each point to belong to it."""
    return [
        (classes.softmax(1)[:, TRACK], mask.sigmoid())
        for classes, mask in zip(tracks.classes, tracks.masks, strict=True)
    ]


def assign_points(tracks: TrackSet, decision: TrackDecision = PUBLISHED) -> Tensor:
    """Return (N,) the query each point belongs to, or -1: the largest mask times track probability among track queries."""
    return torch.cat([decide(chances, masks, decision) for chances, masks in track_chances(tracks)])


class PointClassifier(nn.Module):
    """Class of every point: self-attention within the event, then one small head per task."""

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__()
        width = config.width
        self.input = AdapterInput(config)
        self.attention_norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(config.attention_layers))
        self.attention = nn.ModuleList(Attention(width, config.heads) for _ in range(config.attention_layers))
        self.feed_forward = nn.ModuleList(
            FeedForward(width, config.dropout) for _ in range(config.attention_layers if config.feed_forward else 0)
        )
        self.dropout = nn.Dropout(config.dropout)
        self.norm = RMSNorm(width)
        self.heads = nn.ModuleDict({name: Head(width, CLASSES[name], config.dropout) for name in config.tasks})

    def forward(self, inputs: Tensor, offsets: Tensor) -> dict[str, Tensor]:
        """Return (N, classes) logits per task.

        Args:
            inputs: (layers, N, D) branch outputs, or (N, 4) raw points.
            offsets: (B+1,) first point of each event.
        """
        lengths = offsets.diff().tolist()
        x = self.input(inputs)
        for i, norm in enumerate(self.attention_norms):
            attention: Any = self.attention[i]
            x = x + self.dropout(attention.among(norm(x), lengths))
            if len(self.feed_forward):
                x = self.feed_forward[i](x)
        x = self.norm(x)
        return {name: head(x).float() for name, head in self.heads.items()}


def make_adapter(config: AdapterConfig) -> nn.Module:
    """Return the head of a task."""
    return TrackFinder(config) if config.task == "tracks" else PointClassifier(config)
