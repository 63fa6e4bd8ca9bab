"""Losses of masked pretraining: chamfer on the points of masked groups, squared error on their energies."""

from collections.abc import Mapping

from torch import Tensor, nn

from tpcfm.losses.chamfer import chamfer
from tpcfm.losses.energy import squared_error_sum
from tpcfm.models.tokens import Tokens
from tpcfm.train.objective import Batch, StepInfo


class MaskedObjective:
    """Chamfer averaged over masked groups + energy error averaged over their points (arXiv 2502.02558, Sec. 3).

    Args:
        energy: with the energy task (PoLAr-MAE) or without (Point-MAE).
    """

    def __init__(self, energy: bool) -> None:
        self.weights: Mapping[str, float] = {"chamfer": 1.0, "energy": 1.0} if energy else {"chamfer": 1.0}

    def counts(self, batch: Batch, info: StepInfo) -> dict[str, float]:
        """Return the numbers of masked groups and of their points."""
        counts = {"chamfer": float(batch["masked"].sum()), "energy": float(batch["token_valid"][batch["masked"]].sum())}
        return {name: counts[name] for name in self.weights}

    def sums(self, model: nn.Module, batch: dict[str, Tensor], info: StepInfo) -> dict[str, Tensor]:
        """Return the summed losses, float32 scalars."""
        tokens, masked = Tokens.from_batch(batch), batch["masked"]
        predicted = model(tokens, masked, batch.get("encoder_factors"), batch.get("decoder_factors"))
        points, valid = tokens.points[masked], tokens.valid[masked]
        sums = {"chamfer": chamfer(predicted.points, points, valid).sum()}
        if "energy" in self.weights:
            sums["energy"] = squared_error_sum(predicted.energy, points[..., 3], valid)
        return sums
