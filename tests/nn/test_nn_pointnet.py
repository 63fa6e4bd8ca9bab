"""The mini-PointNet equals the padded formulation with a masked maximum and masked batch norm; padding never matters."""

import pytest
import torch
import torch.nn.functional as F

from tpcfm.nn.norms import BatchScalarNorm, PackedBatchNorm
from tpcfm.nn.pointnet import MiniPointNet
from tpcfm.nn.positional import sinusoid

COUNTS = torch.tensor([1, 4, 6, 2, 6])


def inputs(channels: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(5, 6, channels), torch.arange(6)[None] < COUNTS[:, None]


def padded_twin(net: MiniPointNet, points: torch.Tensor, valid: torch.Tensor, *, padded_max: bool) -> torch.Tensor:
    """The same network on padded tensors, as published; empty slots hold the bare shift after each batch norm."""

    def norm(layer: PackedBatchNorm, x: torch.Tensor) -> torch.Tensor:
        real = x[valid]
        mean, variance = real.mean(0), real.var(0, correction=0)
        out = (x - mean) / (variance + layer.eps).sqrt() * layer.weight + layer.bias
        return torch.where(valid[..., None], out, layer.bias)

    def largest(x: torch.Tensor) -> torch.Tensor:
        return x.amax(1) if padded_max else x.masked_fill(~valid[..., None], -torch.inf).amax(1)

    x = net.conv2(F.relu(norm(net.norm1, net.conv1(points))))
    if net.order is not None:
        x = x + F.relu(net.order(sinusoid(torch.arange(6), x.shape[-1])))
    x = torch.cat([largest(x)[:, None].expand_as(x), x], dim=-1)
    return largest(net.conv4(F.relu(norm(net.norm2, net.conv3(x)))))


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("padded_max", [False, True])
def test_equals_the_padded_formulation(ordered: bool, padded_max: bool) -> None:
    points, valid = inputs()
    net = MiniPointNet(4, 12, 8, ordered=ordered, padded_max=padded_max)
    with torch.no_grad():
        for norm in (net.norm1, net.norm2):
            norm.bias.normal_()
    got, want = net(points, valid), padded_twin(net, points, valid, padded_max=padded_max)
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-4)


def test_content_of_empty_slots_and_their_number_do_not_matter() -> None:
    points, valid = inputs()
    net = MiniPointNet(4, 12, 8).eval()
    want = net(points, valid)
    dirty = torch.where(valid[..., None], points, 1e6)
    torch.testing.assert_close(net(dirty, valid), want)
    more = F.pad(points, (0, 0, 0, 3)), F.pad(valid, (0, 3))
    torch.testing.assert_close(net(*more), want)


def test_point_order_matters_only_in_the_ordered_variant() -> None:
    points, valid = inputs(3)
    swapped = points.clone()
    swapped[2] = points[2].flip(0)
    plain, ordered = MiniPointNet(3, 12, 8).eval(), MiniPointNet(3, 12, 8, ordered=True).eval()
    torch.testing.assert_close(plain(swapped, valid), plain(points, valid))
    assert not torch.allclose(ordered(swapped, valid)[2], ordered(points, valid)[2], atol=1e-3)


def test_every_parameter_gets_a_gradient() -> None:
    net = MiniPointNet(4, 12, 8, ordered=True)
    net(*inputs()).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_no_groups_give_an_empty_embedding() -> None:
    assert MiniPointNet(4, 12, 8)(torch.zeros(0, 6, 4), torch.zeros(0, 6, dtype=torch.bool)).shape == (0, 12)


def test_batch_norm_learns_the_statistics_it_sees() -> None:
    norm = PackedBatchNorm(3)
    x = torch.randn(50, 3) * 4 + 2
    trained = norm(x)
    torch.testing.assert_close(trained.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(norm.running_var, x.var(0, correction=0))
    torch.testing.assert_close(norm.eval()(x), trained, atol=1e-5, rtol=1e-5)


def test_batch_norm_survives_a_single_point() -> None:
    norm = PackedBatchNorm(3)
    assert torch.isfinite(norm(torch.randn(1, 3))).all()
    assert torch.isfinite(norm.running_var).all()


def test_released_token_norm_is_one_scalar_for_the_batch() -> None:
    x = torch.randn(7, 4) * 3 + 1
    out = BatchScalarNorm(4)(x)
    assert out.mean().abs() < 1e-6
    torch.testing.assert_close(out, (x - x.mean()) / x.std(correction=0))


def test_sinusoid_frequencies() -> None:
    table = sinusoid(torch.arange(3), 256)
    torch.testing.assert_close(table[2, 127], torch.sin(torch.tensor(2.0 * 10000**-1)), atol=1e-7, rtol=1e-4)
    assert table[0].tolist() == [0.0] * 128 + [1.0] * 128
