"""Chamfer, energy and focal losses give the values worked out by hand, ignore padding and pass gradients."""

import pytest
import torch

from tpcfm.detectors.registry import load_detector
from tpcfm.losses.chamfer import chamfer
from tpcfm.losses.energy import squared_error_sum
from tpcfm.losses.focal import focal_sum, inverse_frequency
from tpcfm.systems.polar_mae.class_head import published_points


def brute_force(prediction: torch.Tensor, target: torch.Tensor, count: int) -> torch.Tensor:
    """The definition, by a full distance matrix."""
    square = ((prediction[:count, None] - target[None, :count]) ** 2).sum(-1)
    return square.min(1).values.mean() + square.min(0).values.mean()


def test_equal_sets_have_distance_exactly_zero() -> None:
    points = torch.randn(5, 8, 4)
    valid = torch.arange(8)[None] < torch.tensor([1, 3, 8, 5, 2])[:, None]
    assert chamfer(points, points.flip(0).flip(0), valid).tolist() == [0.0] * 5


def test_single_points_at_distance_d_give_twice_d_squared() -> None:
    a, b = torch.zeros(1, 4, 4), torch.zeros(1, 4, 4)
    b[0, 0] = torch.tensor([3.0, 0.0, 4.0, 0.0])
    valid = torch.tensor([[True, False, False, False]])
    assert chamfer(a, b, valid).item() == 50.0


def test_matches_the_definition_and_ignores_empty_slots() -> None:
    torch.manual_seed(1)
    prediction, target = torch.randn(6, 9, 4), torch.randn(6, 9, 4)
    counts = torch.tensor([1, 2, 9, 4, 7, 5])
    valid = torch.arange(9)[None] < counts[:, None]
    got = chamfer(prediction, target, valid)
    want = torch.stack([brute_force(p, t, int(n)) for p, t, n in zip(prediction, target, counts)])
    torch.testing.assert_close(got, want)
    prediction[~valid], target[~valid] = 1e3, -1e3
    torch.testing.assert_close(chamfer(prediction, target, valid), want)


def test_partners_under_autocast_are_those_of_float32() -> None:
    """Products in bfloat16 would take wrong partners in about one of a hundred."""
    torch.manual_seed(3)
    prediction, target = torch.rand(64, 32, 4), torch.rand(64, 32, 4)
    valid = torch.ones(64, 32, dtype=torch.bool)
    with torch.autocast("cpu", torch.bfloat16):
        got = chamfer(prediction, target, valid)
    want = torch.stack([brute_force(p, t, 32) for p, t in zip(prediction, target)])
    torch.testing.assert_close(got, want, rtol=1e-6, atol=0)


def test_chamfer_gradient_is_that_of_the_definition() -> None:
    torch.manual_seed(2)
    prediction, target = torch.randn(1, 6, 4, requires_grad=True), torch.randn(1, 6, 4)
    valid = torch.arange(6)[None] < 5
    (got,) = torch.autograd.grad(chamfer(prediction, target, valid).sum(), prediction)
    (want,) = torch.autograd.grad(brute_force(prediction[0], target[0], 5), prediction)
    torch.testing.assert_close(got, want)
    assert got[0, 5].abs().sum() == 0


def test_energy_error_counts_valid_slots_only() -> None:
    prediction, target = torch.tensor([[1.0, 5.0], [2.0, 9.0]]), torch.zeros(2, 2)
    valid = torch.tensor([[True, False], [True, False]])
    assert squared_error_sum(prediction, target, valid).item() == 5.0


def test_published_class_weights() -> None:
    weights = inverse_frequency(published_points(load_detector("pilarnet"), "semantic"))
    assert weights == pytest.approx([2.1234, 2.0071, 120.03, 44.46], rel=1e-4)
    assert inverse_frequency([3, 0, 1]) == [4 / 3, 0.0, 4.0]


def test_focal_loss_without_focus_is_weighted_cross_entropy() -> None:
    torch.manual_seed(3)
    logits, target = torch.randn(20, 4), torch.randint(4, (20,))
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0])
    want = torch.nn.functional.cross_entropy(logits, target, weights, reduction="sum")
    torch.testing.assert_close(focal_sum(logits, target, weights, 0.0), want)


def test_points_without_a_class_add_nothing() -> None:
    torch.manual_seed(4)
    logits, target = torch.randn(9, 3, requires_grad=True), torch.tensor([0, -1, 2, 1, -1, 0, 2, 2, -1])
    known, weights = target >= 0, torch.tensor([1.0, 5.0, 2.0])
    value = focal_sum(logits, target, weights, 2.0)
    assert value.item() == pytest.approx(focal_sum(logits[known], target[known], weights, 2.0).item())
    value.backward()
    assert logits.grad is not None
    assert (logits.grad[~known] == 0).all()
    assert (logits.grad[known] != 0).any(1).all()


def test_focal_value_by_hand() -> None:
    logits = torch.log(torch.tensor([[0.7, 0.2, 0.1]]))
    value = focal_sum(logits, torch.tensor([1]), torch.tensor([1.0, 5.0, 1.0]), 2.0)
    assert value.item() == pytest.approx(5 * 0.8**2 * 1.6094379, rel=1e-5)


def test_focal_gradient_is_finite_for_certain_points() -> None:
    logits = torch.tensor([[200.0, 0.0], [-200.0, 0.0]], requires_grad=True)
    focal_sum(logits, torch.tensor([0, 0]), torch.ones(2), 2.0).backward()
    assert torch.isfinite(logits.grad).all()
