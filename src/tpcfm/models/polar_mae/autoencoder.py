"""PoLAr-MAE: the masked autoencoder with a per-point energy task (arXiv 2502.02558, Sec. 3)."""

import torch
from torch import Tensor, nn

from tpcfm.models.polar_mae.point_mae import PointMAE
from tpcfm.models.polar_mae.settings import PolarMaeModel
from tpcfm.models.polar_mae.tokens import Tokens
from tpcfm.nn.pointnet import MiniPointNet


class PolarMAE(PointMAE):
    """Point-MAE plus an energy head that is told the positions of the masked points.

    The energy of each true point is predicted from the decoder output of its group and an embedding of the group's
    positions in which slots can be told apart.
    """

    def __init__(self, config: PolarMaeModel, slots: int = 32) -> None:
        super().__init__(config, slots)
        self.position_embedding = MiniPointNet(
            3, config.width, config.pointnet_hidden, ordered=True, padded_max=config.preset == "released"
        )
        self.energy_head = nn.Linear(2 * config.width, slots)

    def predict_energy(self, tokens: Tokens, masked: Tensor, decoded: Tensor) -> Tensor:
        """Return the energies of the masked points, ``(M, K)``.

        Args:
            tokens: T tokens.
            masked: ``(T,)`` bool, M of them true.
            decoded: ``(M, D)`` decoder output of the masked tokens.
        """
        where = self.position_embedding(tokens.points[masked][..., :3], tokens.valid[masked])
        return self.energy_head(torch.cat([where.to(decoded.dtype), decoded], dim=1))


def make_masked_autoencoder(objective: str, config: PolarMaeModel, slots: int = 32) -> PointMAE:
    """Return the network of a pretraining objective, ``polar_mae`` or ``point_mae``."""
    return {"polar_mae": PolarMAE, "point_mae": PointMAE}[objective](config, slots)
