"""Bytes moved and kept by formula equal what PyTorch's operations read, write and save in a real training step."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from tpcfm import backends
from tpcfm.models.fm4npp.backbone import Fm4npp
from tpcfm.models.fm4npp.settings import Fm4nppModel
from tpcfm.models.fm4npp.traffic import kept, moved_forward, moved_training

VIEWS = {
    *("view", "_unsafe_view", "t", "transpose", "permute", "slice", "select", "unsqueeze", "squeeze", "expand"),
    *("detach", "alias", "as_strided", "split", "unbind", "unflatten", "reshape", "split_with_sizes", "narrow"),
}
POINTS = 2048


@pytest.fixture(autouse=True)
def _plain_backend():
    backends.configure("torch")  # whose operations the counter sees
    yield
    backends.configure("auto")


class Counter(TorchDispatchMode):
    """Sums the bytes of all inputs and outputs of every operation that is no view."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if function.overloadpacket._qualified_op_name.split("::")[-1] not in VIEWS:
            values = tree_flatten((args, kwargs or {}, out))[0]
            self.bytes += sum(v.numel() * v.element_size() for v in values if isinstance(v, torch.Tensor))
        return out


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("width", [64, 128])
def test_formulas_equal_the_counts(width, precision):
    config = Fm4nppModel(width=width, depth=3)
    model = Fm4npp(config, 30)
    features, offsets = torch.rand(POINTS, 4), torch.tensor([0, POINTS // 2, POINTS])
    model(features[:64], torch.tensor([0, 64]))  # the backend's self-check happens here
    storages = {}

    def keep(tensor):
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with Counter() as forward, hooks, torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        loss = model(features, offsets).square().sum()
    with Counter() as backward:
        loss.backward()
    weights = 4 * sum(p.numel() for p in model.parameters())
    assert moved_forward(config, precision) == pytest.approx(forward.bytes / POINTS, rel=0.05)
    assert moved_training(config, precision) == pytest.approx((forward.bytes + backward.bytes) / POINTS, rel=0.05)
    assert kept(config, precision) == pytest.approx((sum(storages.values()) - weights) / POINTS, rel=0.08)


def test_checkpointing_keeps_one_block_and_every_input():
    config = Fm4nppModel(width=128, depth=12)
    assert kept(config, checkpointing=True) < kept(config) / 3
    one = Fm4nppModel(width=128, depth=1)
    assert kept(one, checkpointing=True) > kept(one)
