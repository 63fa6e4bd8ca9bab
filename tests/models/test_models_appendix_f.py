"""The negative results of App. F as switches: each changes what the network sees or predicts, trains, and is off by default."""

import numpy as np
import pytest
import torch
from torch import Tensor

from tpcfm.models.polar_mae.autoencoder import make_masked_autoencoder
from tpcfm.models.polar_mae.noised_groups import noised
from tpcfm.models.polar_mae.settings import PolarMaeModel
from tpcfm.models.polar_mae.tokens import Tokens
from tpcfm.nn.packed import Packing
from tpcfm.systems.polar_mae.objective import MaskedObjective
from tpcfm.train import StepInfo

SMALL = PolarMaeModel(width=24, depth=2, heads=2, decoder_depth=1, embed_hidden=8, attention_dropout=0.0)
INFO = StepInfo(step=0, epoch=0, seed=0, training=True)


def batch(seed: int = 0, shift: float = 0.0) -> dict[str, Tensor]:
    rng = np.random.default_rng(seed)
    valid = np.arange(8) < rng.integers(2, 9, (20, 1))
    points = rng.normal(0, 0.4, (20, 8, 4)).astype(np.float32)
    points[..., 3] += shift
    points[~valid] = 0
    plain = {
        "token_offsets": np.array([0, 9, 20]),
        "token_centre": rng.uniform(-0.5, 0.5, (20, 3)).astype(np.float32),
        "token_points": points,
        "token_valid": valid,
        "masked": np.tile([True, True, False, True, False], 4),
        "noise": rng.standard_normal((20, 8, 4)).astype(np.float32),
        "noise_level": np.repeat(np.float32([0.3, 0.8]), [9, 11]),
    }
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in plain.items()}


def loss(model: torch.nn.Module, given: dict[str, Tensor], objective: MaskedObjective) -> Tensor:
    plain = {name: value.numpy() for name, value in given.items()}
    counts, sums = objective.counts(plain, INFO), objective.sums(model, given, INFO)
    return sum(weight * sums[name] / counts[name] for name, weight in objective.weights.items())  # type: ignore[return-value]


def trained(config: PolarMaeModel, objective: MaskedObjective, kind: str = "polar_mae") -> tuple[float, float]:
    torch.manual_seed(0)
    model, given = make_masked_autoencoder(kind, config, 8).train(), batch()
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3)
    values = []
    for _ in range(30):
        optimiser.zero_grad()
        value = loss(model, given, objective)
        value.backward()
        if not values:
            silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
            assert not [n for n in silent if n.startswith(("noised", "encoder.energy_level"))], silent
        optimiser.step()
        values.append(value.item())
    return values[0], values[-1]


@pytest.mark.parametrize("change", [{}, {"group_energy": True}, {"decoder": "diffusion"}])
@pytest.mark.parametrize("autoencode", [0.0, 0.5])
def test_every_switch_trains(change: dict, autoencode: float) -> None:
    first, last = trained(SMALL.model_copy(update=change), MaskedObjective(True, autoencode))
    assert last < 0.8 * first


def test_each_switch_changes_the_loss() -> None:
    values = []
    for change in ({}, {"group_energy": True}, {"decoder": "diffusion"}):
        torch.manual_seed(0)
        model = make_masked_autoencoder("point_mae", SMALL.model_copy(update=change), 8).eval()
        values.append(float(loss(model, batch(), MaskedObjective(False))))
    assert len({round(v, 6) for v in values}) == 3


def test_group_energy_moves_predictions_with_the_energy_of_the_group() -> None:
    """With the level embedding at 0, more energy everywhere changes the prediction by just that amount."""
    torch.manual_seed(0)
    model = make_masked_autoencoder("polar_mae", SMALL.model_copy(update={"group_energy": True}), 8).eval()
    torch.nn.init.zeros_(model.encoder.energy_level[2].weight)
    low, high = batch(), batch(shift=0.7)
    one, two = (model(Tokens.from_batch(b), b["masked"], visible_too=True) for b in (low, high))
    torch.testing.assert_close(two.points[..., 3], one.points[..., 3] + 0.7)
    torch.testing.assert_close(two.points[..., :3], one.points[..., :3])
    torch.testing.assert_close(two.energy, one.energy + 0.7)
    torch.testing.assert_close(two.visible[..., 3], one.visible[..., 3] + 0.7)


def test_relative_energies_have_mean_zero_and_leave_empty_slots() -> None:
    tokens = Tokens.from_batch(batch())
    relative = tokens.relative_energy()
    torch.testing.assert_close(relative.level(), torch.zeros(20), atol=1e-6, rtol=0)
    assert (relative.points[~relative.valid] == 0).all()
    assert isinstance(relative.packing, Packing)


def test_diffusion_decoder_sees_less_with_more_noise_and_nothing_without_noise() -> None:
    torch.manual_seed(0)
    model = make_masked_autoencoder("point_mae", SMALL.model_copy(update={"decoder": "diffusion"}), 8).eval()
    given, other = batch(0), batch(0)
    where = other["masked"]
    other["token_points"][where] = batch(9)["token_points"][where] * other["token_valid"][where][..., None]
    blind = [model(Tokens.from_batch(b), where).points for b in (given, other)]
    torch.testing.assert_close(blind[0], blind[1])  # other masked points, same output
    seen = [
        model(Tokens.from_batch(b), where, noise=b["noise"], noise_level=0 * b["noise_level"]).points
        for b in (given, other)
    ]
    assert (seen[0] - seen[1]).abs().max() > 1e-3


def test_noise_schedule_has_unit_variance_and_its_ends() -> None:
    rng = torch.Generator().manual_seed(0)
    x, noise = torch.randn(4000, 4, 4, generator=rng), torch.randn(4000, 4, 4, generator=rng)
    torch.testing.assert_close(noised(x, noise, torch.zeros(4000)), x)
    torch.testing.assert_close(noised(x, noise, torch.ones(4000)), noise, atol=1e-6, rtol=0)
    assert float(noised(x, noise, torch.full((4000,), 0.4)).var()) == pytest.approx(1, abs=0.03)
