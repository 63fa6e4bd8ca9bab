"""spconv and pytorch3d are used only if they give our numbers: dispatch and self-check against stand-in modules, and the plain searches.

The stand-ins follow the documented interfaces; the real packages need a GPU and are compared there (`gpu` marker).
"""

import sys
import types

import numpy as np
import pytest
import torch

from tpcfm import backends
from tpcfm.errors import ConfigError, MachineError
from tpcfm.nn import neighbour_search
from tpcfm.nn.neighbour_search import ball_query, farthest_points, nearest
from tpcfm.nn.sparse import backend as sparse_backend
from tpcfm.nn.sparse.convolution import SparseConv
from tpcfm.nn.sparse.pairs import gather_product, pyramid
from tpcfm.prepare.groups.grouping import group
from tpcfm.prepare.groups.settings import TokenizerConfig
from tpcfm.systems.polar_mae.device_grouping import group_on_device


@pytest.fixture
def allowed_on_cpu(monkeypatch):
    """Let an accelerator run on the CPU with a stand-in module, and forget everything afterwards."""

    def install(name: str, modules: dict[str, types.ModuleType]) -> None:
        for path, module in modules.items():
            monkeypatch.setitem(sys.modules, path, module)
        real = backends.ACCELERATORS[name]
        there = backends.Accelerator(real.package, real.module, ("cpu",), real.note)
        monkeypatch.setitem(backends.ACCELERATORS, name, there)
        monkeypatch.setattr(backends, "importable", lambda asked: asked == name)

    backends.configure("auto")
    for check in (sparse_backend._verify, neighbour_search._verify):
        check.cache_clear()
    yield install
    for check in (sparse_backend._verify, neighbour_search._verify):
        check.cache_clear()
    backends._used.clear()


def fake_spconv(fault=lambda filters: filters):
    """A module with ``indice_conv`` as spconv 2 documents it: filters (out, offset, in), pairs (2, offset, pair)."""

    def indice_conv(features, filters, pairs, numbers, outputs, algorithm):
        assert algorithm == "native"
        assert pairs.dtype == numbers.dtype == torch.int32
        filters = fault(filters)
        out = features.new_zeros(outputs, filters.shape[0])
        for i, n in enumerate(numbers.tolist()):
            source, target = pairs[0, i, :n].long(), pairs[1, i, :n].long()
            assert (pairs[:, i, n:] == -1).all()
            out = out.index_add(0, target, features[source] @ filters[:, i].T)
        return out

    top, torch_part = types.ModuleType("spconv"), types.ModuleType("spconv.pytorch")
    functional = types.ModuleType("spconv.pytorch.functional")
    functional.indice_conv = indice_conv
    torch_part.ConvAlgo = types.SimpleNamespace(Native="native")
    return {"spconv": top, "spconv.pytorch": torch_part, "spconv.pytorch.functional": functional}


def voxels(n=60, seed=0):
    generator = torch.Generator().manual_seed(seed)
    cells = torch.randperm(8**3, generator=generator)[:n]
    return torch.stack([cells // 64, cells // 8 % 8, cells % 8], dim=1), torch.arange(n) % 2


def test_spconv_runs_our_pairs_and_weights(allowed_on_cpu):
    levels = pyramid(*voxels(), depth=2)
    x, fine, coarse = torch.randn(60, 3), SparseConv(3, 5), SparseConv(3, 5, 8)
    down = levels[0].down
    plain = [fine(x, levels[0].same), coarse(x, down)]
    assert backends.used().get("sparse_convolution/cpu", "torch") == "torch"
    allowed_on_cpu("spconv", fake_spconv())
    fused = [fine(x, levels[0].same), coarse(x, down)]
    assert backends.used()["sparse_convolution/cpu"] == "spconv"
    for one, other in zip(plain, fused, strict=True):
        torch.testing.assert_close(one, other)
    nobody = pyramid(*voxels(1), depth=1)[0].same
    assert fine(torch.randn(1, 3), nobody).shape == (1, 5)
    backends.configure("torch")
    fine(x, levels[0].same)
    assert backends.used()["sparse_convolution/cpu"] == "torch"


@pytest.mark.parametrize(
    "fault", [lambda f: f.flip(1), lambda f: 1.1 * f, lambda f: f.detach() + 0 * f], ids=["order", "scale", "gradient"]
)
def test_a_wrong_spconv_is_refused(allowed_on_cpu, fault):
    allowed_on_cpu("spconv", fake_spconv(fault))
    with pytest.raises(MachineError, match="does not reproduce the sparse convolution"):
        SparseConv(2, 2)(torch.randn(60, 2), pyramid(*voxels(), depth=1)[0].same)


def fake_pytorch3d(fault=""):
    def ball(p1, p2, K, radius, return_nn):
        found = ball_query(p2[0], p1[0], radius * (1.05 if fault == "ball" else 1), K, backend="torch")
        return types.SimpleNamespace(idx=found[None])

    def knn(p1, p2, K):
        found = nearest(p2[0], p1[0], K, backend="torch")
        return types.SimpleNamespace(idx=(found.flip(1) if fault == "knn" else found)[None])

    def fps(points, K, random_start_point):
        found = farthest_points(points[0], K, backend="torch")
        return None, (found.roll(1) if fault == "fps" else found)[None]

    ops = types.ModuleType("pytorch3d.ops")
    ops.ball_query, ops.knn_points, ops.sample_farthest_points = ball, knn, fps
    return {"pytorch3d": types.ModuleType("pytorch3d"), "pytorch3d.ops": ops}


def test_pytorch3d_is_used_where_it_agrees(allowed_on_cpu):
    points = torch.rand(50, 3)
    allowed_on_cpu("pytorch3d", fake_pytorch3d())
    found = ball_query(points, points[:4], 0.3, 5)
    assert backends.used()["neighbour_search/cpu"] == "pytorch3d"
    torch.testing.assert_close(found, ball_query(points, points[:4], 0.3, 5, backend="torch"))


@pytest.mark.parametrize("fault", ["ball", "knn", "fps"])
def test_a_wrong_pytorch3d_is_refused(allowed_on_cpu, fault):
    allowed_on_cpu("pytorch3d", fake_pytorch3d(fault))
    with pytest.raises(MachineError, match="does not reproduce"):
        nearest(torch.rand(9, 3), torch.rand(2, 3), 3)


def lattice(n=400, seed=1):
    rng = np.random.default_rng(seed)
    walks = np.cumsum(rng.integers(-1, 3, (4, n, 3)), axis=1).reshape(-1, 3) % 60
    return rng.permutation(np.unique(walks, axis=0))[:n].astype(np.int32)


@pytest.mark.parametrize("method", ["cnms", "fps_cnms", "fps_ball", "fps_knn"])
def test_groups_on_a_device_are_those_of_prepare(method, monkeypatch):
    monkeypatch.setattr("tpcfm.systems.polar_mae.device_grouping.FIRST_GUESS", 4)
    config = TokenizerConfig(method=method, seeds=80, max_points=6)
    points = lattice()
    ours, there = group(points, config), group_on_device(points, config, "cpu")
    for name in ("centre", "offset", "member", "size", "covered", "kept"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(there, name))


def test_caps_are_refused_on_a_device():
    with pytest.raises(ConfigError, match="caps"):
        group_on_device(lattice(), TokenizerConfig(ball_cap=3), "cpu")


def test_coordinates_off_the_lattice_are_refused_on_a_device():
    with pytest.raises(ConfigError, match="lattice"):
        group_on_device(lattice() * 0.3, TokenizerConfig(), "cpu")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_installed_backends_agree_on_the_gpu():
    backends.configure("auto")
    for check, name in ((sparse_backend.sparse_backend, "spconv"), (neighbour_search.neighbour_backend, "pytorch3d")):
        assert check("cuda") == (name if backends.importable(name) else "torch")
    levels = pyramid(*(v.cuda() for v in voxels()), depth=1)
    x, convolution = torch.randn(60, 4).cuda(), SparseConv(4, 8).cuda()
    same = levels[0].same
    plain = gather_product(x, convolution.weight, same.source, same.target, same.counts, same.outputs)
    torch.testing.assert_close(convolution(x, same), plain, rtol=1e-2, atol=1e-2)
