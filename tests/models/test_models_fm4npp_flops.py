"""FLOPs by formula equal what PyTorch counts in a real training step."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tpcfm import backends
from tpcfm.models.fm4npp.backbone import Fm4npp
from tpcfm.models.fm4npp.flops import chunked_scan, matrix_products, scan, training_flops, training_flops_per_point
from tpcfm.models.fm4npp.settings import Fm4nppModel


@pytest.fixture(autouse=True)
def _plain_backend():
    backends.configure("torch")  # whose operations the counter sees
    yield
    backends.configure("auto")


@pytest.mark.parametrize("mixer", ["mamba2", "mamba3", "bidirectional"])
@pytest.mark.parametrize("width", [64, 128])
def test_formula_equals_the_counter(width, mixer):
    config = Fm4nppModel(width=width, dropout=0.0, depth=2, mixer=mixer)
    n = 64 * 32
    model = Fm4npp(config, 30)
    features, offsets = torch.rand(n, 4), torch.tensor([0, n])
    model(features[:64], torch.tensor([0, 64]))  # the backend's self-check happens here
    with FlopCounterMode(display=False) as counter:
        out = model(features, offsets)
    forward = counter.get_total_flops() / n
    assert forward == pytest.approx(matrix_products(config) + chunked_scan(config), rel=0.05)
    with FlopCounterMode(display=False) as counter:
        out.sum().backward()
    frozen = 2 * 63 * width
    assert counter.get_total_flops() / n == pytest.approx(2 * (forward - frozen), rel=0.06)


def test_training_count_is_six_per_parameter_and_the_scan():
    config = Fm4nppModel(width=512)
    weights = (matrix_products(config) - 2 * 63 * 512) / 2
    assert training_flops_per_point(config) == pytest.approx(6 * weights + 2 * 63 * 512 + 3 * scan(config))
    assert training_flops(config, 1000) == pytest.approx(1000 * training_flops_per_point(config))
    assert 0.02 < scan(config) / matrix_products(config) < 0.12
