"""HEPT: a point transformer with attention inside blocks of hashed points (arXiv 2402.12535; settings of arXiv 2508.14087).

Own implementation. Queries and keys are sorted by a random projection within regions of the detector, and attend inside
blocks of the sorted order, under the kernel exp(-|q - k|^2 / 2); several hashes share numerator and denominator.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tpcfm.config.baselines_tracks import HeptConfig
from tpcfm.models.baselines.embedding_graph import perceptron

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
        # Every event starts a new block: place of the sorted rows in a table of whole blocks.
        blocks = (lengths + block - 1) // block
        starts = F.pad(blocks.cumsum(0), (1, 0))
        self.rows = int(starts[-1]) * block
        rank = torch.arange(self.points, device=inputs.device)
        self.place = starts[self.event] * block + rank - offsets[self.event]

    def _strip(self, value: Tensor, lengths: Tensor, offsets: Tensor, count: int) -> Tensor:
        order = torch.argsort(value, stable=True)
        order = order[torch.argsort(self.event[order], stable=True)]
        rank = torch.empty_like(order)
        rank[order] = torch.arange(len(order), device=order.device) - offsets[self.event[order]]
        return rank * count // lengths[self.event]

    def order(self, code: Tensor) -> Tensor:
        """Return the rows sorted by event, region and code, (..., N)."""
        low, high = code.amin(-1, keepdim=True), code.amax(-1, keepdim=True)
        return torch.argsort(self.region + ((code - low) / (high - low + 1e-6)).double() * 0.999, dim=-1)


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
        heads, block = self.config.heads, self.config.block
        place = coordinates[:, None, :] * F.softplus(self.scale)[None] * 4
        query, key = (
            torch.cat([net(x).unflatten(1, (heads, -1)) / self.config.width**0.25, place.to(x.dtype)], dim=2).float()
            for net in (self.query, self.key)
        )
        value = self.value(x).unflatten(1, (heads, -1)).float()
        with torch.no_grad():
            codes = [torch.einsum("nhd,thd->thn", side, self.directions) for side in (query, key)]
            q_order, k_order = (regions.order(code) for code in codes)  # (T, H, N)
        top = value.new_zeros(len(x), heads, value.shape[2])
        bottom = value.new_zeros(len(x), heads, 1)
        head = torch.arange(heads, device=x.device)[:, None]
        valid = torch.zeros(regions.rows, dtype=torch.bool, device=x.device)
        valid[regions.place] = True
        valid = valid.view(-1, 1, block)
        for turn in range(self.config.hashes):
            to, of = q_order[turn], k_order[turn]
            q, k, v = (_table(side[rows, head], regions, block) for side, rows in ((query, to), (key, of), (value, of)))
            near = torch.exp(-0.5 * torch.cdist(q, k).square()) * valid
            total, norm = near @ v, near.sum(-1, keepdim=True)
            total, norm = (part.flatten(1, 2)[:, regions.place] for part in (total, norm))
            top = top.index_put((to, head), total, accumulate=True)
            bottom = bottom.index_put((to, head), norm, accumulate=True)
        mixed: Tensor = self.out((top / (bottom + 1e-6)).flatten(1).to(x.dtype))
        return mixed


def _table(sorted_rows: Tensor, regions: Regions, block: int) -> Tensor:
    """Put sorted rows (H, N, D) into blocks (H, blocks, block, D), empty places zero."""
    table = sorted_rows.new_zeros(len(sorted_rows), regions.rows, sorted_rows.shape[2])
    table[:, regions.place] = sorted_rows
    return table.unflatten(1, (-1, block))


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
