"""Pre-norm transformer over packed tokens, with the positional embedding added before every block."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tpcfm.nn.attention import PackedAttention
from tpcfm.nn.norms import make_norm
from tpcfm.nn.packed import Packing
from tpcfm.nn.padded import Padded


class Block(nn.Module):
    """x ← x + attention(norm(x)); x ← x + MLP(norm(x))."""

    def __init__(self, width: int, heads: int, mlp_ratio: int, attention_dropout: float, preset: str) -> None:
        super().__init__()
        self.norm1 = make_norm(width, preset)
        self.attention = PackedAttention(width, heads, attention_dropout)
        self.norm2 = make_norm(width, preset)
        self.mlp = nn.Sequential(nn.Linear(width, mlp_ratio * width), nn.GELU(), nn.Linear(mlp_ratio * width, width))

    def forward(self, x: Tensor, packing: Packing | Padded, factors: Tensor | None = None) -> Tensor:
        """Map ``(T, D)`` to ``(T, D)``; ``factors`` ``(2, T, 1)`` multiply the two residual branches."""
        mixed = self.attention(self.norm1(x), packing)
        x = x + (mixed if factors is None else mixed * factors[0])
        changed = self.mlp(self.norm2(x))
        return x + (changed if factors is None else changed * factors[1])


class Transformer(nn.Module):
    """A stack of blocks (arXiv 2502.02558, Sec. 3).

    Args:
        width: token width D.
        depth: blocks.
        heads: attention heads.
        mlp_ratio: hidden width of the MLP over D.
        attention_dropout: dropout of attention weights, in training only.
        final_norm: normalise the output (the decoder does, the encoder does not).
        preset: `paper` (layer norm) or `released` (batch-scalar norm).
    """

    def __init__(
        self,
        width: int,
        depth: int,
        heads: int,
        mlp_ratio: int,
        attention_dropout: float,
        *,
        final_norm: bool,
        preset: str,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, heads, mlp_ratio, attention_dropout, preset) for _ in range(depth))
        self.norm = make_norm(width, preset) if final_norm else nn.Identity()
        self.activation_checkpointing = False
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(
        self,
        x: Tensor,
        position: Tensor,
        packing: Packing | Padded,
        factors: Tensor | None = None,
        layers: Sequence[int] = (),
    ) -> tuple[Tensor, list[Tensor]]:
        """Run the stack.

        Args:
            x: ``(T, D)`` tokens.
            position: ``(T, D)``, added before every block.
            packing: tokens of each event.
            factors: ``(depth, 2, B)`` of :func:`tpcfm.nn.drop_path.drop_path_factors`, or None for none.
            layers: blocks (from 0) whose outputs are wanted too.

        Returns:
            Output ``(T, D)`` and the wanted hidden states.
        """
        kept = []
        per_token = None if factors is None else factors[:, :, packing.event, None]
        for number, block in enumerate(self.blocks):
            scale = None if per_token is None else per_token[number]
            if self.activation_checkpointing and self.training and torch.is_grad_enabled():
                x = checkpoint(block, x + position, packing, scale, use_reentrant=False)
            else:
                x = block(x + position, packing, scale)
            if number in layers:
                kept.append(x)
        return self.norm(x), kept

    @torch.no_grad()
    def attention_weights(self, x: Tensor, position: Tensor, packing: Packing, layer: int, event: int) -> Tensor:
        """Return the attention weights ``(heads, n, n)`` of one block (from 0) and event."""
        for block in self.blocks[:layer]:
            x = block(x + position, packing)
        block = self.blocks[layer]
        assert isinstance(block, Block)
        return block.attention.weights(block.norm1(x + position), packing, event)
