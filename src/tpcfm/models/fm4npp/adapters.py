"""Task heads on frozen backbone features, or on raw points (arXiv 2508.14087, Sec. 4.2, App. C)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tpcfm.models.fm4npp.settings import AdapterConfig
from tpcfm.models.heads.edge_head import EdgeHeadNetwork
from tpcfm.nn.nerf_embedding import NerfEmbedding
from tpcfm.nn.padded import Padded, lengths_of
from tpcfm.nn.queries import TrackSet
from tpcfm.nn.rms import RMSNorm
from tpcfm.nn.set_attention import Attention, FeedForward, Head
from tpcfm.nn.set_decoder import SetDecoder


class AdapterInput(nn.Module):
    """From features to adapter width: softmax mix of the layers, norm, layer norm, linear map. With ``reads: final`` the linear map alone.

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
        self.mixed = config.reads == "layers"
        if self.mixed:
            self.mix = nn.Parameter(torch.zeros(config.layers))
            self.gain = RMSNorm(width)
            self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, config.width)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (layers, N, D) branch outputs, or (N, 4) raw points, to (N, W)."""
        if self.embedding is not None:
            inputs = self.embedding(inputs)[None]
        if not self.mixed:
            return self.linear(inputs[0].float())
        shares = self.mix.softmax(0)
        mixed = shares[0] * inputs[0].float()
        for share, layer in zip(shares[1:], inputs[1:], strict=True):
            mixed = torch.addcmul(mixed, layer.float(), share)
        return self.linear(self.norm(self.gain(mixed)))


class InstanceFinder(nn.Module):
    """Set prediction of the objects of one instance label: tracks, particles, interactions."""

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__()
        self.input = AdapterInput(config)
        self.decoder = SetDecoder(config.width, config.queries, config.decoder_layers, config.heads, config.dropout)

    def forward(self, inputs: Tensor, offsets: Tensor | Padded) -> list[TrackSet]:
        """Predict from the initial queries and after each layer; the last set is the answer.

        Args:
            inputs: (layers, N, D) branch outputs, or (N, 4) raw points.
            offsets: (B+1,) first point of each event.
        """
        found: list[TrackSet] = self.decoder(self.input(inputs), lengths_of(offsets))
        return found


class PointClassifier(nn.Module):
    """Class of every point: self-attention within the event, then one small head per label."""

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
        self.heads = nn.ModuleDict({name: Head(width, count, config.dropout) for name, count in config.outputs.items()})

    def forward(self, inputs: Tensor, offsets: Tensor | Padded) -> dict[str, Tensor]:
        """Return (N, classes) logits per label.

        Args:
            inputs: (layers, N, D) branch outputs, or (N, 4) raw points.
            offsets: (B+1,) first point of each event.
        """
        lengths = lengths_of(offsets)
        x = self.input(inputs)
        for i, norm in enumerate(self.attention_norms):
            attention: Any = self.attention[i]
            x = x + self.dropout(attention.among(norm(x), lengths))
            if len(self.feed_forward):
                x = self.feed_forward[i](x)
        x = self.norm(x)
        return {name: head(x).float() for name, head in self.heads.items()}


class EdgeAdapter(nn.Module):
    """Edge convolutions over the mixed layers and local geometry; with ``start: none`` over local geometry alone.

    Args:
        config: with an ``edge_head``.
        geometry: numbers of local geometry of a point and of a pair.
    """

    def __init__(self, config: AdapterConfig, geometry: Sequence[int]) -> None:
        super().__init__()
        assert config.edge_head is not None
        self.input = None if config.start == "none" else AdapterInput(config)
        features = 0 if self.input is None else config.width
        self.head = EdgeHeadNetwork(features, geometry[0], geometry[1], config.outputs, config.edge_head)

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor] | tuple[Tensor, Tensor]:
        """Return what `EdgeHeadNetwork` does for a batch with ``branches`` (layers, N, D) and local geometry."""
        found: dict[str, Tensor] | tuple[Tensor, Tensor] = self.head(
            None if self.input is None else self.input(batch["branches"]), batch
        )
        return found


def make_adapter(config: AdapterConfig, geometry: Sequence[int] = (0, 0)) -> nn.Module:
    """Return the head for the labels of ``config.outputs``; ``geometry``: numbers of local geometry of a point and of a pair."""
    if config.edge_head:
        return EdgeAdapter(config, geometry)
    return InstanceFinder(config) if config.instances else PointClassifier(config)
