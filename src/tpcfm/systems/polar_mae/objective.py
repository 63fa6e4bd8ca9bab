"""Losses of masked pretraining: chamfer on the points of masked groups, squared error on their energies."""

from collections.abc import Mapping

from torch import Tensor, nn

from tpcfm.losses.chamfer import chamfer
from tpcfm.losses.energy import squared_error_sum
from tpcfm.losses.objective import Batch, StepInfo
from tpcfm.models.polar_mae.tokens import Tokens


class MaskedObjective:
    """Chamfer averaged over masked groups + energy error averaged over their points (arXiv 2502.02558, Sec. 3).

    Args:
        energy: with the energy task (PoLAr-MAE) or without (Point-MAE).
        autoencode: weight of the chamfer distance of visible groups, predicted like the masked ones. The paper tried and
            dropped it (App. F).
        positions_only: measure the chamfer distance in position alone, not in position and energy.
    """

    def __init__(self, energy: bool, autoencode: float = 0.0, *, positions_only: bool = False) -> None:
        self.channels = 3 if positions_only else 4
        weights = {"chamfer": 1.0}
        if energy:
            weights["energy"] = 1.0
        if autoencode:
            weights["autoencode"] = autoencode
        self.weights: Mapping[str, float] = weights

    def counts(self, batch: Batch, info: StepInfo) -> dict[str, float]:
        """Return the numbers of masked groups, of their points, and of visible groups."""
        masked = batch["masked"]
        counts = {
            "chamfer": masked.sum(),
            "energy": batch["token_valid"][masked].sum(),
            "autoencode": (~masked).sum(),
        }
        return {name: float(counts[name]) for name in self.weights}

    def sums(self, model: nn.Module, batch: dict[str, Tensor], info: StepInfo) -> dict[str, Tensor]:
        """Return the summed losses, float32 scalars."""
        tokens, masked = Tokens.from_batch(batch), batch["masked"]
        autoencode = "autoencode" in self.weights
        factors = (batch.get("encoder_factors"), batch.get("decoder_factors"))
        names = {"noise": "diffusion_noise", "noise_level": "noise_level"}
        diffusion = {name: batch[key] for name, key in names.items() if key in batch}
        predicted = model(tokens, masked, *factors, visible_too=autoencode, **diffusion)
        points, valid = tokens.points[masked], tokens.valid[masked]
        use = slice(self.channels)
        sums = {"chamfer": chamfer(predicted.points[..., use], points[..., use], valid).sum()}
        if "energy" in self.weights:
            sums["energy"] = squared_error_sum(predicted.energy, points[..., 3], valid)
        if autoencode:
            visible = tokens.points[~masked][..., use]
            sums["autoencode"] = chamfer(predicted.visible[..., use], visible, tokens.valid[~masked]).sum()
        return sums
