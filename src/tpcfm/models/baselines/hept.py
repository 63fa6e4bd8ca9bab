"""HEPT: a point transformer with attention inside blocks of hashed points (arXiv 2402.12535; settings of arXiv 2508.14087).

Own implementation. Queries and keys are sorted by a random projection within regions of the detector, and attend inside
blocks of the sorted order, under the kernel exp(-|q - k|^2 / 2); several hashes share numerator and denominator.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tpcfm.models.baselines.embedding_graph import perceptron
from tpcfm.models.baselines.track_settings import HeptConfig

INPUTS = 8  # energy, x, y, z, eta, cos phi, sin phi, r
COORDINATES = (4, 5, 6, 7)  # columns of the inputs that positions are compared by: eta, cos phi, sin phi, r


class Regions:
    """Regions and sorted blocks of a packed batch: what all layers share."""

    def __init__(self, inputs: Tensor, offsets: Tensor, regions: int, block: int) -> None:
        self.block, self.points = block, len(inputs)
        lengths = offsets.diff()
        self.event = torch.repeat_interleave(torch.arange(len(lengths), device=inputs.device), lengths)
        # Strips of equal population in eta, and in phi: about `regions` cells per event, found by rank.
        strips = max(1, math.isqrt(regions))
        cells = max(1, regions // strips)
        # The radius breaks ties, so that the order of the rows does not.
        first, azimuth = inputs[:, 4].double(), torch.atan2(inputs[:, 6], inputs[:, 5]).double()
        eta = self._strip(first + 1e-4 * inputs[:, 7], lengths, offsets, strips)
        phi = self._strip(azimuth + 1e-4 * inputs[:, 7], lengths, offsets, cells)
        self.region = self.event * (strips * cells) + eta * cells + phi
        # Every event starts a new block: which sorted row fills each place of a table of whole blocks (-1: none).
        blocks = (lengths + block - 1) // block
        starts = F.pad(blocks.cumsum(0), (1, 0))
        rank = torch.arange(self.points, device=inputs.device)
        self.place = starts[self.event] * block + rank - offsets[self.event]
        self.filled = torch.full((int(starts[-1]) * block,), -1, dtype=torch.int64, device=inputs.device)
        self.filled[self.place] = rank

    def _strip(self, value: Tensor, lengths: Tensor, offsets: Tensor, count: int) -> Tensor:
        order = torch.argsort(value, stable=True)
        order = order[torch.argsort(self.event[order], stable=True)]
        rank = torch.empty_like(order)
        rank[order] = torch.arange(len(order), device=order.device) - offsets[self.event[order]]
        return rank * count // lengths[self.event]

    def order(self, code: Tensor) -> tuple[Tensor, Tensor]:
        """Sort the rows by event, region and code (H, N).

        Returns:
            ``row`` (H, places): row at each place of the blocks, N for none; ``place`` (H, N): place of each row.
        """
        low, high = code.amin(-1, keepdim=True), code.amax(-1, keepdim=True)
        order = torch.argsort(self.region + ((code - low) / (high - low + 1e-6)).double() * 0.999, dim=-1)
        row = order[:, self.filled.clamp(min=0)].masked_fill_(self.filled < 0, self.points)
        return row, torch.empty_like(order).scatter_(1, order, self.place.expand_as(order))


class _Arrange(torch.autograd.Function):
    """Take rows where each is taken once at most, so that the gradient is taking the other way round."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(back)
        return _take(table, rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (back,) = ctx.saved_tensors
        return _take(gradients[0], back), None, None


def _take(table: Tensor, rows: Tensor) -> Tensor:
    """Return the rows (H, M) of a table (H, R, D), zeros for the row number R: (H, M, D)."""
    heads, count, size = table.shape
    table = F.pad(table, (0, 0, 0, 1))
    flat = rows + torch.arange(heads, device=rows.device)[:, None] * (count + 1)
    return table.flatten(0, 1).index_select(0, flat.flatten()).view(heads, -1, size)


class HashedAttention(nn.Module):
    """Attention inside blocks; heads have the width of the stream, and positions enter the kernel with learned scales."""

    def __init__(self, config: HeptConfig) -> None:
        super().__init__()
        self.config = config
        size, heads = config.width, config.heads
        self.query, self.key, self.value = (nn.Linear(size, size * heads, bias=False) for _ in range(3))
        self.scale = nn.Parameter(torch.zeros(heads, len(COORDINATES)))
        self.out = nn.Linear(size * heads, size)
        directions = torch.randn(config.hashes, heads, size + len(COORDINATES))
        self.register_buffer("directions", directions)

    def forward(self, x: Tensor, coordinates: Tensor, regions: Regions) -> Tensor:
        """Map (N, W) to (N, W)."""
        with torch.autocast(x.device.type, enabled=False):
            return self._forward(x.float(), coordinates.float(), regions)

    def _forward(self, x: Tensor, coordinates: Tensor, regions: Regions) -> Tensor:
        heads, block = self.config.heads, self.config.block
        place = coordinates[None] * F.softplus(self.scale)[:, None, :] * 4  # (H, N, 4)
        query, key = (
            torch.cat([net(x).unflatten(1, (heads, -1)).transpose(0, 1) / self.config.width**0.25, place], dim=2)
            for net in (self.query, self.key)
        )
        value = self.value(x).unflatten(1, (heads, -1)).transpose(0, 1)
        with torch.no_grad():
            codes = [torch.einsum("hnd,thd->thn", side, self.directions) for side in (query, key)]
        # exp(-|q - k|^2 / 2) = exp(q k - q^2 / 2 - k^2 / 2): two columns more make it one product. A one beside the values
        # makes numerator and denominator one product, too; in empty places it is zero, so that they count for nothing.
        one = torch.ones_like(query[:, :, :1])
        query = torch.cat([query, -0.5 * query.square().sum(2, keepdim=True), one], dim=2)
        key_value = torch.cat([key, one, -0.5 * key.square().sum(2, keepdim=True), value, one], dim=2)
        size, total = query.shape[2], torch.zeros((), device=x.device)
        for q_code, k_code in zip(*codes, strict=True):
            (q_row, q_place), (k_row, k_place) = regions.order(q_code), regions.order(k_code)
            q = _Arrange.apply(query, q_row, q_place).view(-1, block, size)
            k, v = _Arrange.apply(key_value, k_row, k_place).view(-1, block, key_value.shape[2]).split(
                [size, key_value.shape[2] - size], dim=2
            )  # fmt: skip
            near = torch.bmm(q, k.transpose(1, 2)).exp()
            found = torch.bmm(near, v).view(heads, -1, v.shape[2])
            total = total + _Arrange.apply(found, q_place, q_row)
        mixed: Tensor = self.out((total[:, :, :-1] / (total[:, :, -1:] + 1e-6)).transpose(0, 1).flatten(1))
        return mixed


class HeptLayer(nn.Module):
    """Pre-norm attention and feed-forward block, residual."""

    def __init__(self, config: HeptConfig) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.attention = HashedAttention(config)
        self.feed_forward = perceptron(config.width, config.width, config.width, 1, norm=False)

    def forward(self, x: Tensor, coordinates: Tensor, regions: Regions) -> Tensor:
        """Map (N, W) to (N, W)."""
        x = x + self.attention(self.norm1(x), coordinates, regions)
        x = x + self.feed_forward(self.norm2(x))
        return x


class Hept(nn.Module):
    """Embedding of points in which tracks are clusters. With the defaults 316,520 parameters (published: 0.31M)."""

    def __init__(self, config: HeptConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.encoder = perceptron(INPUTS, width, width, 1, norm=False)
        self.layers = nn.ModuleList(HeptLayer(config) for _ in range(config.layers))
        self.output = perceptron(width * (config.layers + 1), config.output_width, width, config.output_layers)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the embedding (N, W) of a batch with ``track_inputs`` (N, 8) and ``offsets``."""
        inputs = batch["track_inputs"]
        regions = Regions(inputs, batch["offsets"], self.config.regions, self.config.block)
        coordinates = inputs[:, list(COORDINATES)]
        streams = [self.encoder(inputs)]
        for layer in self.layers:
            streams.append(layer(streams[-1], coordinates, regions))
        embedding: Tensor = self.output(torch.cat(streams, dim=1))
        return embedding.float()
