"""Bidirectional and Mamba-3 mixers: chunked form equals the row-by-row recurrence, events do not see each other."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from mixer_twins import trapezoidal_scan_sequential
from tpcfm import backends
from tpcfm.nn.mamba.bidirectional import BidirectionalMamba2
from tpcfm.nn.mamba.mamba2 import Mamba2
from tpcfm.nn.mamba.mamba3 import Mamba3, heavy_tail, turning_pairs
from tpcfm.nn.mamba.ssd import ssd, ssd_sequential
from tpcfm.nn.mamba.trapezoid import phases, rotate, trapezoidal_scan
from tpcfm.nn.segments import segments


@pytest.fixture(autouse=True)
def _fixed():
    torch.manual_seed(0)


def make(lengths, chunk, heads=3, size=4, state=6, pairs=2, kind=torch.float64):
    offsets = torch.tensor([0, *np.cumsum(lengths)])
    where = segments(offsets, int(offsets[-1]), chunk)
    n = where.n_filled
    x, b, c = (torch.randn(n, heads, s, dtype=kind) for s in (size, state, state))
    dt, a = torch.rand(n, heads, dtype=kind) * 0.3, -torch.rand(n, heads, dtype=kind) * 16
    weight, rate = torch.rand(n, heads, dtype=kind), 3 * torch.randn(n, pairs, dtype=kind)
    return {
        "x": x,
        "dt": dt,
        "a": a,
        "weight": weight,
        "rate": rate,
        "b": b,
        "c": c,
        "d": torch.rand(heads, dtype=kind),
    }, where


def chunked(x, dt, a, weight, rate, b, c, d, where):
    turned = phases(rate, dt)
    return trapezoidal_scan(x, dt, dt * a, weight, rotate(b, turned), rotate(c, turned), d, where)


@settings(max_examples=12, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 50), min_size=1, max_size=6).filter(lambda v: sum(v) > 0),
    chunk=st.sampled_from([1, 4, 16, 64]),
    pairs=st.integers(0, 3),
)
def test_trapezoidal_scan_in_chunks_is_the_complex_recurrence_in_double_precision(lengths, chunk, pairs):
    values, where = make(lengths, chunk, pairs=pairs)
    reference = trapezoidal_scan_sequential(**values, starts=where.starts)
    assert (chunked(**values, where=where) - reference)[: where.n_rows].abs().max() < 1e-10


@pytest.mark.parametrize("chunk", [32, 64])
def test_trapezoidal_scan_in_chunks_is_the_recurrence_in_single_precision_after_many_turns(chunk):
    values, where = make([1500, 1, 300], chunk)
    values["rate"] = values["rate"] + 30.0  # some two thousand turns over the first event
    values = {name: value.float() for name, value in values.items()}
    found = chunked(**values, where=where)
    reference = trapezoidal_scan_sequential(**{k: v.double() for k, v in values.items()}, starts=where.starts)
    assert found.dtype == torch.float32
    assert (found - reference)[: where.n_rows].abs().max() < 1e-4


def test_weight_one_without_turning_is_the_scan_of_mamba2():
    values, where = make([70, 3], 16, pairs=0)
    values["a"] = values["a"][:1].expand(where.n_filled, -1)
    values["b"], values["c"] = (values[k][:, :1].expand(-1, 3, -1) for k in ("b", "c"))
    values["weight"] = torch.ones_like(values["weight"])
    expected = ssd(values["x"], values["dt"], values["a"][0], values["b"][:, 0], values["c"][:, 0], values["d"], where)
    torch.testing.assert_close(chunked(**values, where=where), expected, rtol=0, atol=1e-11)


def test_trapezoidal_scan_has_the_gradients_of_finite_differences():
    values, where = make([5, 4], 4, heads=2, size=2, state=4, pairs=1)
    leaves = [t.requires_grad_() for t in values.values()]
    weights = torch.zeros(where.n_filled, 2, 2, dtype=torch.float64)
    weights[: where.n_rows] = torch.randn(where.n_rows, 2, 2, dtype=torch.float64)

    def run(*parts):
        return (chunked(**dict(zip(values, parts, strict=True)), where=where) * weights).sum()

    assert torch.autograd.gradcheck(run, leaves, atol=1e-7)


def test_long_strong_decay_leaves_gradients_finite():
    values, where = make([1000], 64, kind=torch.float32)
    values["dt"] = values["dt"] * 0 + 20.0
    leaves = {name: value.requires_grad_() for name, value in values.items()}
    chunked(**leaves, where=where).square().mean().backward()
    assert all(torch.isfinite(value.grad).all() for value in leaves.values())


def test_operations_grow_linearly_with_length():
    counts = []
    for n in (1024, 4096):
        values, where = make([n], 64, kind=torch.float32)
        with FlopCounterMode(display=False) as counter:
            chunked(**values, where=where)
        counts.append(counter.get_total_flops() / n)
    assert max(counts) / min(counts) < 1.05


def test_heavy_tail_is_positive_and_smooth():
    x = torch.linspace(-50, 50, 2001, dtype=torch.float64, requires_grad=True)
    y = heavy_tail(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert y.min() > 0
    assert slope.min() > 0
    assert heavy_tail(torch.zeros(1)) == 1
    assert (slope[1:] - slope[:-1]).abs().max() < 0.2


def mamba3_by_rows(mixer, u, starts):
    """Return what the mixer's definition gives, in float64, with a complex state and one row after another."""
    h, p = mixer.heads, mixer.head_size
    sizes = [mixer.inner, mixer.inner, h, h, h, mixer.angles]
    z, x, dt, rate, weight, angle = F.linear(u, mixer.in_proj.weight).split(sizes, dim=1)
    maps = []
    for linear, norm, bias in ((mixer.B_proj, mixer.B_norm, mixer.B_bias), (mixer.C_proj, mixer.C_norm, mixer.C_bias)):
        raw = u @ linear.weight.T
        maps.append((raw / (raw.square().mean(1, keepdim=True) + 1e-5).sqrt() * norm.weight)[:, None] + bias)
    dt = torch.log1p(torch.exp(dt + mixer.dt_bias))
    a = -torch.where(rate >= 0, 1 + rate, 1 / (1 - rate))
    y = trapezoidal_scan_sequential(
        x.unflatten(1, (h, p)), dt, a, 1 / (1 + torch.exp(-weight)), np.pi * torch.tanh(angle), *maps, mixer.D, starts
    )
    return (y.flatten(1) * z / (1 + torch.exp(-z))) @ mixer.out_proj.weight.T


def bidirectional_by_rows(mixer, u, starts):
    """Return what the mixer's definition gives, in float64: each event forwards and backwards, row by row."""
    out, inner, h, n = [], mixer.inner, mixer.heads, mixer.state // 2
    bounds = [*starts.tolist(), len(u)]
    weight, bias = mixer.conv1d.weight[:, 0], mixer.conv1d.bias
    for first, last in itertools.pairwise(bounds):
        rows, total = u[first:last], 0
        z, x, dt = (rows @ mixer.in_proj.weight.T).split([inner, inner, 2 * h], dim=1)
        b, c = rows @ mixer.lin_B.weight.T, rows @ mixer.lin_C.weight.T
        for side in (0, 1):
            own, head = slice(side * n, side * n + n), slice(side * h, side * h + h)
            channels = [*range(inner), *range(inner + side * n, inner + side * n + n)]
            channels += [*range(inner + 2 * n + side * n, inner + 2 * n + side * n + n)]
            xbc, steps = torch.cat([x, b[:, own], c[:, own]], 1), dt[:, head]
            if side:
                xbc, steps = xbc.flip(0), steps.flip(0)
            padded = torch.cat([xbc.new_zeros(3, xbc.shape[1]), xbc])
            conv = bias[channels] + sum(padded[j : j + len(rows)] * weight[channels, j] for j in range(4))
            conv = conv / (1 + torch.exp(-conv))
            xs, bs, cs = conv.split([inner, n, n], dim=1)
            steps = torch.log1p(torch.exp(steps + mixer.dt_bias[head]))
            zero = torch.zeros(1, dtype=torch.long)
            xs = xs.unflatten(1, (h, mixer.head_size))
            y = ssd_sequential(xs, steps, -mixer.A_log[head].exp(), bs, cs, mixer.D, zero).flatten(1)
            total = total + (y.flip(0) if side else y)
        gated = total * z / (1 + torch.exp(-z))
        gated = gated / (gated.square().mean(1, keepdim=True) + 1e-5).sqrt() * mixer.norm.weight
        out.append(gated @ mixer.out_proj.weight.T)
    return torch.cat(out)


MIXERS = {"mamba3": (Mamba3, mamba3_by_rows), "bidirectional": (BidirectionalMamba2, bidirectional_by_rows)}


def shaken(kind, width=32, state=8):
    mixer = MIXERS[kind][0](width, state, 2, 16)
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))  # so that no gain or bias is one or zero
    return mixer


@pytest.mark.parametrize("kind", MIXERS)
def test_mixer_is_its_definition_row_by_row(kind):
    mixer = shaken(kind).double()
    where = segments(torch.tensor([0, 1, 3, 3, 60, 130]), 130, 16)
    u = torch.randn(where.n_filled, 32, dtype=torch.float64)
    with torch.no_grad():
        expected = MIXERS[kind][1](mixer, u, where.starts)
        assert (mixer(u, where) - expected)[: where.n_rows].abs().max() < 1e-10
        single = mixer.float()(u.float(), where)
    assert single.dtype == torch.float32
    size = expected[: where.n_rows].abs().max()  # tens, with weights shaken like this
    assert (single - expected)[: where.n_rows].abs().max() < 1e-5 * size


@pytest.mark.parametrize("kind", MIXERS)
def test_events_do_not_see_each_other(kind):
    mixer = shaken(kind)
    lengths = [1, 2, 70, 3, 130]
    parts = torch.randn(sum(lengths), 32).split(lengths)

    def run(parts):
        n = sum(len(p) for p in parts)
        where = segments(torch.tensor([0, *np.cumsum([len(p) for p in parts])]), n, 64)
        return mixer(torch.cat([*parts, torch.zeros(where.n_filled - n, 32)]), where)[:n]

    together = run(parts)
    alone = torch.cat([run([part]) for part in parts])
    assert (together - alone).abs().max() < 2e-6 * alone.abs().max()


@pytest.mark.parametrize("kind", MIXERS)
def test_what_a_row_sees(kind):
    mixer, where = shaken(kind), segments(torch.tensor([0, 50, 150]), 150, 64)
    u = torch.randn(where.n_filled, 32)
    changed = u.clone()
    changed[100] += 0.5
    with torch.no_grad():
        moved = (mixer(u, where) - mixer(changed, where)).abs().amax(1)
    assert moved[:50].max() == 0  # another event
    assert moved[100:110].min() > 0
    if kind == "mamba3":
        assert moved[50:100].max() == 0  # causal
    else:
        assert moved[90:100].min() > 0  # rows before it see it too
        assert moved[150:].max() == 0


@pytest.mark.parametrize("kind", MIXERS)
def test_state_dict_round_trip(kind, tmp_path):
    first, second = shaken(kind), shaken(kind)
    torch.save(first.state_dict(), tmp_path / "weights.pt")
    second.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    where = segments(torch.tensor([0, 40]), 40, 64)
    u = torch.randn(where.n_filled, 32)
    assert torch.equal(first(u, where), second(u, where))


@pytest.mark.parametrize("kind", MIXERS)
def test_bfloat16_autocast_keeps_the_scan_in_single_precision(kind):
    mixer, where = shaken(kind), segments(torch.tensor([0, 300]), 300, 64)
    u = torch.randn(where.n_filled, 32)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        low = mixer(u, where)
    high = mixer(u, where)
    assert low.dtype == torch.bfloat16
    assert (low - high)[:300].norm() / high[:300].norm() < 0.03


def test_the_backend_is_recorded():
    where = segments(torch.tensor([0, 64]), 64, 64)
    shaken("mamba3")(torch.randn(64, 32), where)
    shaken("bidirectional")(torch.randn(64, 32), where)
    assert backends.used()["mamba3_scan/cpu"] == "torch"
    assert backends.used()["bidirectional_scan/cpu"] == "torch"


def test_sizes_that_do_not_fit_are_refused():
    for mixer in (Mamba3, BidirectionalMamba2):
        with pytest.raises(ValueError, match="multiple of head_size"):
            mixer(32, 8, 2, 48)
    with pytest.raises(ValueError, match="needed is an even number"):
        BidirectionalMamba2(32, 3, 2, 16)


def test_published_counts_of_mamba3_and_mamba2():
    """Mamba3(256, 16): 408,880 and Mamba2(256, 16): 406,712 numbers in the published modules."""
    counts = [sum(p.numel() for p in mixer(256, 16).parameters()) for mixer in (Mamba3, Mamba2)]
    assert counts == [408_880, 406_712]
    assert turning_pairs(16) == 4
