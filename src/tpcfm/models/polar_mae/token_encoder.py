"""Encoder of PoLAr-MAE: mini-PointNet, positional embedding, transformer (arXiv 2502.02558, Sec. 3)."""

from collections.abc import Sequence

from torch import Tensor, nn

from tpcfm.models.polar_mae.settings import PolarMaeModel
from tpcfm.models.polar_mae.tokens import Tokens
from tpcfm.nn.packed import Packing
from tpcfm.nn.pointnet import MiniPointNet
from tpcfm.nn.positional import PositionalMLP
from tpcfm.nn.transformer import Transformer


class TokenEncoder(nn.Module):
    """Embed and encode tokens; what pretraining, probes and fine-tuning share."""

    def __init__(self, config: PolarMaeModel) -> None:
        super().__init__()
        self.config = config
        self.embedding = MiniPointNet(4, config.width, config.pointnet_hidden, padded_max=config.preset == "released")
        self.position = PositionalMLP(config.width, layers=config.position_layers)
        # Group-level normalisation of energies, a negative result of arXiv 2502.02558, App. F: what it takes out of the
        # points is embedded beside the centre.
        self.energy_level = (
            nn.Sequential(nn.Linear(1, config.width), nn.GELU(), nn.Linear(config.width, config.width))
            if config.group_energy
            else None
        )
        self.transformer = Transformer(
            config.width,
            config.depth,
            config.heads,
            config.mlp_ratio,
            config.attention_dropout,
            final_norm=False,
            preset=config.preset,
        )

    def forward(
        self,
        tokens: Tokens,
        position: Tensor | None = None,
        factors: Tensor | None = None,
        layers: Sequence[int] = (),
    ) -> tuple[Tensor, list[Tensor]]:
        """Encode.

        Args:
            tokens: T tokens.
            position: ``(T, D)`` positional embeddings if the caller has them already.
            factors: stochastic-depth factors ``(depth, 2, B)``, or None.
            layers: blocks (from 0) whose outputs are wanted too.

        Returns:
            Output of the last block ``(T, D)``, and the wanted hidden states.
        """
        if position is None:
            position = self.place(tokens)
        return self.transformer(self.embed(tokens), position, tokens.packing, factors, layers)

    def place(self, tokens: Tokens) -> Tensor:
        """Return ``(T, D)``: where a group lies, and with `group_energy` the mean energy of its points."""
        position: Tensor = self.position(tokens.centre)
        return position if self.energy_level is None else position + self.energy_level(tokens.level()[:, None])

    def embed(self, tokens: Tokens) -> Tensor:
        """Return ``(T, D)``: the points of each group, embedded."""
        if self.config.group_energy:
            tokens = tokens.relative_energy()
        embedded: Tensor = self.embedding(tokens.points, tokens.valid)
        return embedded

    def attention_weights(self, tokens: Tokens, layer: int, event: int) -> Tensor:
        """Return ``(heads, n, n)`` attention weights of one block (from 0) for one event."""
        assert isinstance(tokens.packing, Packing)
        return self.transformer.attention_weights(self.embed(tokens), self.place(tokens), tokens.packing, layer, event)
