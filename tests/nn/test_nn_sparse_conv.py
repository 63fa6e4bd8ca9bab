"""Sparse convolutions equal dense ones on a small grid, for values and gradients, and events stay apart."""

import pytest
import torch
import torch.nn.functional as F

from tpcfm.models.baselines.sparse_unet import SparseUNet
from tpcfm.nn.sparse.convolution import SparseConv
from tpcfm.nn.sparse.pairs import neighbour_pairs, pyramid

GRID = 8


def voxels(count: int = 90, events: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    flat = torch.cat([torch.randperm(GRID**3, generator=generator)[:count] + e * GRID**3 for e in range(events)])
    flat = flat[torch.randperm(len(flat), generator=generator)]  # in no order
    event, rest = flat // GRID**3, flat % GRID**3
    return torch.stack([rest // GRID**2, rest // GRID % GRID, rest % GRID], dim=1), event


def to_grid(grid: torch.Tensor, features: torch.Tensor, xyz: torch.Tensor, event: torch.Tensor) -> torch.Tensor:
    last = grid.movedim(1, -1).contiguous()
    return last.index_put((event, *xyz.unbind(1)), features).movedim(-1, 1)


def at(grid: torch.Tensor, xyz: torch.Tensor, event: torch.Tensor) -> torch.Tensor:
    return grid.movedim(1, -1)[(event, *xyz.unbind(1))]


def test_submanifold_convolution_equals_dense() -> None:
    xyz, event = voxels()
    conv = SparseConv(3, 5)
    x = torch.randn(len(xyz), 3, requires_grad=True)
    kernel = conv.weight.permute(2, 1, 0).reshape(5, 3, 3, 3, 3)
    got = conv(x, neighbour_pairs(xyz, event))
    want = at(F.conv3d(to_grid(torch.zeros(2, 3, GRID, GRID, GRID), x, xyz, event), kernel, padding=1), xyz, event)
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)
    weight = torch.randn_like(got)
    for one, other in zip(
        torch.autograd.grad((got * weight).sum(), [x, conv.weight], retain_graph=True),
        torch.autograd.grad((want * weight).sum(), [x, conv.weight]),
    ):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_strided_convolution_and_its_transpose_equal_dense() -> None:
    xyz, event = voxels()
    fine, coarse = pyramid(xyz, event, 2)
    assert fine.down is not None
    down, up = SparseConv(3, 4, 8), SparseConv(4, 3, 8)
    x = torch.randn(len(xyz), 3)
    half = GRID // 2
    grid = F.conv3d(
        to_grid(torch.zeros(2, 3, GRID, GRID, GRID), x, xyz, event),
        down.weight.permute(2, 1, 0).reshape(4, 3, 2, 2, 2),
        stride=2,
    )
    got = down(x, fine.down)
    torch.testing.assert_close(got, at(grid, coarse.xyz, coarse.event), atol=1e-5, rtol=1e-5)
    spread = F.conv_transpose3d(
        to_grid(torch.zeros(2, 4, half, half, half), got, coarse.xyz, coarse.event),
        up.weight.permute(1, 2, 0).reshape(4, 3, 2, 2, 2),
        stride=2,
    )
    back = up(got, fine.down.transposed(len(xyz)))
    torch.testing.assert_close(back, at(spread, xyz, event), atol=1e-5, rtol=1e-5)


def test_coarse_levels_hold_each_parent_once() -> None:
    xyz, event = voxels()
    for fine, coarse in zip(levels := pyramid(xyz, event, 4), levels[1:]):
        parents = {(int(e), *map(int, v // 2)) for e, v in zip(fine.event, fine.xyz)}
        found = [(int(e), *map(int, v)) for e, v in zip(coarse.event, coarse.xyz)]
        assert len(found) == len(set(found))
        assert set(found) == parents


def test_neighbours_do_not_wrap_around_the_edge() -> None:
    xyz = torch.tensor([[0, 0, 0], [0, 0, 767], [0, 767, 0], [767, 767, 767]])
    pairs = neighbour_pairs(xyz, torch.tensor([0, 0, 1, 1]))
    assert sum(pairs.counts) == 4  # each voxel only itself


@pytest.fixture
def unet() -> SparseUNet:
    torch.manual_seed(0)
    return SparseUNet(4, filters=4, depth=3, repetitions=1)


def batch(xyz: torch.Tensor, event: torch.Tensor) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return {"voxel": xyz, "voxel_event": event, "voxel_features": torch.randn(len(xyz), 1, generator=generator)}


def test_unet_gives_an_event_the_same_logits_alone_or_packed(unet: SparseUNet) -> None:
    whole = batch(*voxels())
    unet(whole)
    unet.eval()
    mine = whole["voxel_event"] == 1
    alone = {key: value[mine] for key, value in whole.items()} | {"voxel_event": torch.zeros(int(mine.sum())).long()}
    torch.testing.assert_close(unet(alone), unet(whole)[mine], atol=1e-5, rtol=1e-4)


def test_unet_does_not_depend_on_the_order_of_voxels(unet: SparseUNet) -> None:
    whole = batch(*voxels())
    unet.eval()
    order = torch.randperm(len(whole["voxel"]))
    shuffled = {key: value[order] for key, value in whole.items()}
    torch.testing.assert_close(unet(shuffled), unet(whole)[order], atol=1e-5, rtol=1e-4)


def test_every_unet_parameter_gets_a_gradient(unet: SparseUNet) -> None:
    unet(batch(*voxels())).square().mean().backward()
    dead = [n for n, p in unet.named_parameters() if p.grad is None or p.grad.abs().sum() == 0]
    assert dead == []
