"""Low-rank changes start as nothing, alone are trained, can be counted in closed form, and merged are the same network; of every mixer."""

from typing import get_args

import pytest
import torch
from torch import nn

from tpcfm.models.fm4npp.backbone import Fm4npp
from tpcfm.models.fm4npp.settings import Fm4nppModel, Mixer
from tpcfm.models.polar_mae.settings import PolarMaeModel
from tpcfm.nn.low_rank import LowRank, add_low_rank, merge_low_rank
from tpcfm.nn.packed import Packing
from tpcfm.nn.transformer import Transformer

RANK, ALPHA = 4, 6.0
MIXERS = get_args(Mixer)


def backbone(mixer: str = "mamba2") -> Fm4npp:
    torch.manual_seed(0)
    return Fm4npp(Fm4nppModel(width=64, depth=2, dropout=0.0, mixer=mixer), slots=1).eval()  # type: ignore[arg-type]


def transformer() -> Transformer:
    torch.manual_seed(0)
    return Transformer(16, 2, 2, 4, 0.0, final_norm=False, preset=PolarMaeModel().preset).eval()


def answer(model: nn.Module) -> torch.Tensor:
    torch.manual_seed(1)
    if isinstance(model, Fm4npp):
        return model.branches(torch.rand(50, 4), torch.tensor([0, 30, 50]))
    found, _ = model(torch.randn(9, 16), torch.randn(9, 16), Packing((4, 5), torch.device("cpu")))
    return found


def trained(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def changed(model: nn.Module) -> nn.Module:
    """The model with low-rank changes, as after a training."""
    model.requires_grad_(False)
    add_low_rank(model.blocks, RANK, ALPHA)  # type: ignore[arg-type]
    return model


def drawn(model: nn.Module) -> nn.Module:
    with torch.no_grad():
        for name, parameter in trained(model).items():
            if name.endswith("up"):
                parameter.normal_(0, 0.1)
    return model


@pytest.mark.parametrize("make", [transformer, *(lambda m=m: backbone(m) for m in MIXERS)], ids=["attention", *MIXERS])
def test_low_rank_changes(make) -> None:
    plain = make()
    names, before = set(plain.state_dict()), answer(plain)
    model = changed(make())
    assert torch.equal(answer(model), before)  # nothing at first, bit by bit
    answer(model).square().sum().backward()
    assert {n for n, p in model.named_parameters() if p.grad is not None} == set(trained(model))
    assert all(name.endswith((".0.up", ".0.down")) for name in trained(model))
    assert all(p.grad.abs().max() > 0 for n, p in trained(model).items() if n.endswith("up"))
    ours = answer(drawn(model)).detach()
    assert (ours - before).abs().max() > 1e-3
    merge_low_rank(model)
    assert set(model.state_dict()) == names
    assert not trained(model)
    torch.testing.assert_close(answer(model), ours, rtol=1e-6, atol=1e-7)


def test_the_number_of_trained_weights_in_closed_form() -> None:
    def size(*maps: tuple[int, int]) -> int:
        return sum(min(RANK, o, i) * (o + i) for o, i in maps)

    count = sum(p.numel() for p in trained(changed(transformer())).values())
    assert count == 2 * size((48, 16), (16, 16))
    width, inner, state, heads = 64, 128, 4, 2
    count = sum(p.numel() for p in trained(changed(backbone())).values())
    assert count == 2 * size((2 * inner + heads, width), (state, width), (state, width), (width, inner))


def test_the_change_is_what_the_paper_writes() -> None:
    torch.manual_seed(0)
    weight = torch.randn(5, 7)
    change = LowRank(weight, 3, ALPHA)
    nn.init.normal_(change.up)
    torch.testing.assert_close(change(weight), weight + ALPHA / 3 * change.up @ change.down)
    assert LowRank(weight, 9, ALPHA).down.shape == (5, 7)  # no more than the weight has rows
    with torch.autocast("cpu", torch.bfloat16):
        assert change(weight).dtype == torch.float32


def test_a_module_without_such_maps_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Sequential has no linear map named .*qkv"):
        add_low_rank(nn.Sequential(nn.Linear(2, 2)), RANK, ALPHA)
