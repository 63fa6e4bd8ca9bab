"""Multi-head self-attention inside each event of a packed batch."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tpcfm.nn.packed import Packing
from tpcfm.nn.padded import Padded


class PackedAttention(nn.Module):
    """Self-attention among the tokens of each event, never across events.

    On the CPU one fused call per event (nothing is padded); on an accelerator one fused call per bucket of events of
    similar length. Both give the same result.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, packing: Packing | Padded, *, bucketed: bool | None = None) -> Tensor:
        """Attend.

        Args:
            x: ``(T, D)`` tokens of all events.
            packing: which rows belong to which event.
            bucketed: force or forbid buckets; by default they are used on accelerators.

        Returns:
            ``(T, D)``.
        """
        qkv = self.qkv(x)
        if isinstance(packing, Padded):
            return self.proj(self._padded(qkv, packing))
        dropout = self.dropout if self.training else 0.0
        if bucketed is None:
            bucketed = x.device.type != "cpu"
        mixed = self._by_bucket(qkv, packing, dropout) if bucketed else self._by_event(qkv, packing, dropout)
        return self.proj(mixed)

    def _padded(self, qkv: Tensor, packing: Padded) -> Tensor:
        query, key, value = packing.spread(qkv).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return packing.join(packing.attend(query, key, value).transpose(1, 2).flatten(2))

    def _by_event(self, qkv: Tensor, packing: Packing, dropout: float) -> Tensor:
        mixed = []
        for rows in qkv.split(packing.lengths):
            if not len(rows):
                continue
            query, key, value = rows.view(1, len(rows), 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            out = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
            mixed.append(out[0].transpose(0, 1).flatten(1))
        return torch.cat(mixed) if mixed else qkv[:, : qkv.shape[1] // 3]

    def _by_bucket(self, qkv: Tensor, packing: Packing, dropout: float) -> Tensor:
        mixed, places = [], []
        for rows, valid in packing.buckets:
            events, longest = rows.shape
            query, key, value = qkv[rows].view(events, longest, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            mask = None if valid is None else valid[:, None, None, :].expand(-1, 1, longest, -1)
            out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
            out = out.transpose(1, 2).flatten(2)
            mixed.append(out.flatten(0, 1) if valid is None else out[valid])
            places.append(rows.flatten() if valid is None else rows[valid])
        if not mixed:
            return qkv[:, : qkv.shape[1] // 3]
        return torch.cat(mixed)[torch.argsort(torch.cat(places))]

    @torch.no_grad()
    def weights(self, x: Tensor, packing: Packing, event: int) -> Tensor:
        """Return the attention weights of one event, ``(heads, n, n)``: row = query, column = key (for pictures)."""
        rows = self.qkv(x).split(packing.lengths)[event]
        query, key, _ = rows.view(len(rows), 3, self.heads, -1).permute(1, 2, 0, 3).float()
        return torch.softmax(query @ key.transpose(1, 2) / query.shape[-1] ** 0.5, dim=-1)
