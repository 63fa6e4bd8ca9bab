"""Masked autoencoder over groups of points (Point-MAE, as the baseline of arXiv 2502.02558)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tpcfm.models.polar_mae.noised_groups import NoisedGroups
from tpcfm.models.polar_mae.settings import PolarMaeModel
from tpcfm.models.polar_mae.token_encoder import TokenEncoder
from tpcfm.models.polar_mae.tokens import Tokens
from tpcfm.nn.transformer import Transformer


@dataclass(frozen=True)
class Reconstruction:
    """What a masked autoencoder predicts for the M masked groups, in the order of the tokens.

    Attributes:
        points: ``(M, K, 4)`` relative position and transformed energy.
        energy: ``(M, K)`` transformed energy of each true point (energy task), or None.
        visible: points of the visible groups ``(T − M, K, 4)``, if asked for.
    """

    points: Tensor
    energy: Tensor | None = None
    visible: Tensor | None = None


class PointMAE(nn.Module):
    """Encode the visible tokens, decode all of them, predict the points of the masked ones.

    Masked tokens never enter the encoder; the decoder sees a learned mask token at their place, with ``decoder: diffusion``
    plus an embedding of the noised group.

    Args:
        config: width and depth.
        slots: points per group K.
    """

    def __init__(self, config: PolarMaeModel, slots: int = 32) -> None:
        super().__init__()
        self.config, self.slots = config, slots
        self.encoder = TokenEncoder(config)
        self.mask_token = nn.Parameter(torch.empty(config.width))
        self.decoder = Transformer(
            config.width,
            config.decoder_depth,
            config.heads,
            config.mlp_ratio,
            config.attention_dropout,
            final_norm=True,
            preset=config.preset,
        )
        self.noised = NoisedGroups(config.width, config.pointnet_hidden) if config.decoder == "diffusion" else None
        self.points_head = nn.Linear(config.width, 4 * slots)
        nn.init.trunc_normal_(self.mask_token, std=0.02)

    def set_activation_checkpointing(self, on: bool) -> None:
        """Recompute block activations in the backward pass instead of keeping them."""
        self.encoder.transformer.activation_checkpointing = on
        self.decoder.activation_checkpointing = on

    def forward(
        self,
        tokens: Tokens,
        masked: Tensor,
        encoder_factors: Tensor | None = None,
        decoder_factors: Tensor | None = None,
        *,
        visible_too: bool = False,
        noise: Tensor | None = None,
        noise_level: Tensor | None = None,
    ) -> Reconstruction:
        """Predict the masked groups.

        Args:
            tokens: T tokens.
            masked: ``(T,)`` bool; at least one token of each event stays visible.
            encoder_factors, decoder_factors: stochastic-depth factors ``(depth, 2, B)``, or None.
            visible_too: predict the points of visible groups as well.
            noise, noise_level: ``(T, K, 4)`` and ``(T,)`` for ``decoder: diffusion``; without them the decoder sees the mean of
                pure noise, that is nothing of the masked points.
        """
        decoded = self.decode(tokens, masked, encoder_factors, decoder_factors, noise, noise_level)
        hidden = decoded[masked]
        energy = self.predict_energy(tokens, masked, hidden)
        return Reconstruction(
            self._absolute(self.predict_points(hidden), tokens, masked),
            None if energy is None else self._absolute(energy, tokens, masked),
            self._absolute(self.predict_points(decoded[~masked]), tokens, ~masked) if visible_too else None,
        )

    def _absolute(self, predicted: Tensor, tokens: Tokens, chosen: Tensor) -> Tensor:
        """Add the mean energy of each group to what was predicted relative to it (``group_energy``)."""
        if not self.config.group_energy:
            return predicted
        level = tokens.level()[chosen].to(predicted.dtype)
        if predicted.ndim == 2:
            return predicted + level[:, None]
        return torch.cat([predicted[..., :3], predicted[..., 3:] + level[:, None, None]], dim=-1)

    def decode(
        self,
        tokens: Tokens,
        masked: Tensor,
        encoder_factors: Tensor | None = None,
        decoder_factors: Tensor | None = None,
        noise: Tensor | None = None,
        noise_level: Tensor | None = None,
    ) -> Tensor:
        """Return the decoder output of all tokens, ``(T, D)``."""
        position = self.encoder.place(tokens)
        visible = ~masked
        encoded, _ = self.encoder(tokens[visible], position[visible], encoder_factors)
        # One row per token: encoder output where visible, the mask token elsewhere.
        rows = torch.where(visible, visible.cumsum(0) - 1, len(encoded))
        full = torch.cat([encoded, self.mask_token.to(encoded.dtype)[None]])[rows]
        if self.noised is not None:
            hidden = self.noised(tokens[masked], *(None if x is None else x[masked] for x in (noise, noise_level)))
            full = full.index_add(0, masked.nonzero()[:, 0], hidden.to(full.dtype))
        decoded, _ = self.decoder(full, position, tokens.packing, decoder_factors)
        return decoded

    def predict_energy(self, tokens: Tokens, masked: Tensor, decoded: Tensor) -> Tensor | None:
        """Return the energies of the masked points ``(M, K)``; Point-MAE has no such task."""
        return None

    def predict_points(self, decoded: Tensor) -> Tensor:
        """Map ``(M, D)`` to ``(M, K, 4)``."""
        return self.points_head(decoded).view(-1, self.slots, 4)
