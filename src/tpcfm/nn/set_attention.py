"""Attention between the points of an event and within sets of queries, on packed events, without padding."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tpcfm.nn.padded import Padded


class Attention(nn.Module):
    """Multi-head attention whose keys are the packed points of events; nothing crosses an event's boundary.

    No dropout acts on the weights, so the kernels that need memory linear in the number of points apply.

    Args:
        width: channels.
        heads: must divide ``width``.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width = {width} is not a multiple of heads = {heads}")
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        for linear in (self.query, self.key, self.value, self.out):
            nn.init.xavier_uniform_(linear.weight, gain=3**-0.5)
            nn.init.zeros_(linear.bias)

    def among(self, x: Tensor, lengths: list[int] | Padded) -> Tensor:
        """Let the points of each event attend to each other: (N, W) to (N, W)."""
        if isinstance(lengths, Padded):
            q, k, v = (self._beside(lengths.spread(linear(x))) for linear in (self.query, self.key, self.value))
            return self.out(lengths.join(lengths.attend(q, k, v).transpose(1, 2).flatten(2)))
        events = (self._split(linear(x)).split(lengths, dim=1) for linear in (self.query, self.key, self.value))
        parts = [_attend(q, k, v) for q, k, v in zip(*events, strict=True)]
        return self.out(_join(torch.cat(parts, dim=1)))

    def read(
        self, queries: Tensor, points: Tensor, lengths: list[int] | Padded, bias: list[Tensor] | Tensor | None = None
    ) -> Tensor:
        """Let the queries of each event attend to its points.

        Args:
            queries: (B, Q, W).
            points: (N, W) keys and values.
            lengths: points per event, on the host.
            bias: per event (Q, n) added to the logits of every head; of padded events (B, Q, L).

        Returns:
            (B, Q, W).
        """
        if isinstance(lengths, Padded):
            assert not isinstance(bias, list)
            k, v = (self._beside(lengths.spread(linear(points))) for linear in (self.key, self.value))
            asked_of = self._beside(self.query(queries))
            return self.out(lengths.attend(asked_of, k, v, bias).transpose(1, 2).flatten(2))
        keys, values = (self._split(linear(points)).split(lengths, dim=1) for linear in (self.key, self.value))
        asked = [self._split(q) for q in self.query(queries).unbind()]
        parts = []
        for event, (q, k, v) in enumerate(zip(asked, keys, values, strict=True)):
            parts.append(_attend(q, k, v, None if bias is None else bias[event].to(q.dtype)))
        return self.out(torch.stack([_join(part) for part in parts]))

    def within(self, x: Tensor, values: Tensor) -> Tensor:
        """Let the queries of each event attend to each other: (B, Q, W) queries (also keys) and values to (B, Q, W)."""
        projected = self.query(x), self.key(x), self.value(values)
        q, k, v = (self._beside(t) for t in projected)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))

    def _beside(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, heads, n, W / heads)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (self.heads, -1)).transpose(0, 1)  # (heads, n, W / heads)


def _attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    if k.shape[1] == 0:
        return torch.zeros_like(q)
    return F.scaled_dot_product_attention(q[None], k[None], v[None], None if bias is None else bias[None, None])[0]


def _join(x: Tensor) -> Tensor:
    return x.transpose(0, 1).flatten(1)


class FeedForward(nn.Module):
    """Pre-norm residual block: layer norm, twice the width, GELU, back."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., W) to (..., W)."""
        return x + self.dropout(self.down(F.gelu(self.up(self.norm(x)))))


class Head(nn.Module):
    """Layer norm, linear, GELU, dropout, linear."""

    def __init__(self, width: int, out: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.hidden, self.out = nn.Linear(width, width), nn.Linear(width, out)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., W) to (..., out)."""
        return self.out(self.dropout(F.gelu(self.hidden(self.norm(x)))))
