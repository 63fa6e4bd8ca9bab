"""Packed attention equals attention event by event, by any path, and never looks across events."""

import pytest
import torch

from tpcfm.nn.attention import PackedAttention
from tpcfm.nn.packed import Packing, segment_max, segment_mean

LENGTHS = (5, 1, 12, 11, 0, 3, 12)


@pytest.fixture
def attention() -> PackedAttention:
    torch.manual_seed(0)
    return PackedAttention(16, 4, dropout=0.3).eval()


def packing(lengths: tuple[int, ...] = LENGTHS) -> Packing:
    return Packing(lengths, torch.device("cpu"))


def reference(module: PackedAttention, x: torch.Tensor) -> torch.Tensor:
    """Attention of one event, written out."""
    n = len(x)
    query, key, value = module.qkv(x).view(n, 3, module.heads, -1).permute(1, 2, 0, 3)
    weights = torch.softmax(query @ key.transpose(1, 2) / query.shape[-1] ** 0.5, dim=-1)
    return module.proj((weights @ value).transpose(0, 1).reshape(n, -1))


@pytest.mark.parametrize("bucketed", [False, True])
def test_equals_the_formula_event_by_event(attention: PackedAttention, bucketed: bool) -> None:
    x = torch.randn(sum(LENGTHS), 16)
    got = attention(x, packing(), bucketed=bucketed)
    want = torch.cat([reference(attention, part) for part in x.split(LENGTHS) if len(part)])
    torch.testing.assert_close(got, want, atol=1e-6, rtol=1e-5)


def test_gradients_of_both_paths_agree(attention: PackedAttention) -> None:
    x = torch.randn(sum(LENGTHS), 16, requires_grad=True)
    weight = torch.randn(sum(LENGTHS), 16)
    grads = [
        torch.autograd.grad((attention(x, packing(), bucketed=b) * weight).sum(), [x, attention.qkv.weight])
        for b in (False, True)
    ]
    for one, other in zip(*grads):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("bucketed", [False, True])
def test_other_events_do_not_matter(attention: PackedAttention, bucketed: bool) -> None:
    x = torch.randn(sum(LENGTHS), 16)
    changed = x.clone()
    changed[:5] += 100
    got = attention(changed, packing(), bucketed=bucketed)[5:]
    torch.testing.assert_close(got, attention(x, packing(), bucketed=bucketed)[5:], atol=1e-6, rtol=1e-5)


def test_dropout_acts_in_training_only(attention: PackedAttention) -> None:
    x = torch.randn(12, 16)
    assert torch.equal(attention(x, packing((12,))), attention(x, packing((12,))))
    attention.train()
    assert not torch.equal(attention(x, packing((12,))), attention(x, packing((12,))))


def test_returned_weights_are_the_ones_used(attention: PackedAttention) -> None:
    x = torch.randn(17, 16)
    weights = attention.weights(x, packing((5, 12)), event=1)
    assert weights.shape == (4, 12, 12)
    torch.testing.assert_close(weights.sum(-1), torch.ones(4, 12))
    value = attention.qkv(x)[5:].view(12, 3, 4, 4)[:, 2].transpose(0, 1)
    out = attention.proj((weights @ value).transpose(0, 1).reshape(12, -1))
    torch.testing.assert_close(out, attention(x, packing((5, 12)))[5:], atol=1e-6, rtol=1e-5)


def test_buckets_hold_every_row_once_and_pad_little() -> None:
    generator = torch.Generator().manual_seed(4)
    lengths = tuple(torch.randint(1, 400, (64,), generator=generator).tolist())
    rows = torch.cat([r.flatten() if v is None else r[v] for r, v in packing(lengths).buckets])
    assert torch.equal(rows.sort().values, torch.arange(sum(lengths)))
    cells = sum(r.numel() for r, _ in packing(lengths).buckets)
    assert cells <= sum(lengths) * 8 / 7


def test_subset_counts_kept_rows_per_event() -> None:
    keep = torch.zeros(44, dtype=torch.bool)
    keep[[0, 4, 5, 43]] = True
    assert packing().subset(keep).lengths == (2, 1, 0, 0, 0, 0, 1)


def test_segment_reductions() -> None:
    x = torch.tensor([[1.0, -5.0], [3.0, -7.0], [-2.0, 0.0]])
    counts = torch.tensor([2, 1])
    assert segment_max(x, counts).tolist() == [[3.0, -5.0], [-2.0, 0.0]]
    assert segment_mean(x, counts).tolist() == [[2.0, -6.0], [-2.0, 0.0]]
