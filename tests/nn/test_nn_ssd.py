"""The Mamba-2 scan: every form equals the row-by-row recurrence, events do not see each other, and cost is linear."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from mixer_twins import to_fused
from tpcfm import backends
from tpcfm.errors import MachineError
from tpcfm.nn.mamba import cpu_kernels as kernels
from tpcfm.nn.mamba import self_check
from tpcfm.nn.mamba.mamba1 import Mamba1, selective_scan_diagonal
from tpcfm.nn.mamba.mamba2 import Mamba2, from_fused
from tpcfm.nn.mamba.ssd import carry, ssd, ssd_sequential
from tpcfm.nn.segments import segments


@pytest.fixture(autouse=True)
def _fixed():
    torch.manual_seed(0)
    yield
    backends.configure("auto")


def make(lengths, chunk, heads=3, size=8, state=5, kind=torch.float64):
    offsets = torch.tensor([0, *np.cumsum(lengths)])
    where = segments(offsets, int(offsets[-1]), chunk)
    n = where.n_filled
    x, b, c = (torch.randn(n, *s, dtype=kind) for s in ((heads, size), (state,), (state,)))
    dt, a = torch.rand(n, heads, dtype=kind) * 0.3, -torch.rand(heads, dtype=kind) * 16
    return [x, dt, a, b, c, torch.randn(heads, dtype=kind)], where


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 60), min_size=1, max_size=8).filter(lambda v: sum(v) > 0),
    chunk=st.sampled_from([1, 4, 16, 64]),
)
def test_chunked_scan_is_the_recurrence_in_double_precision(lengths, chunk):
    inputs, where = make(lengths, chunk)
    reference = ssd_sequential(*inputs, where.starts)
    assert (ssd(*inputs, where) - reference)[: where.n_rows].abs().max() < 1e-10


@pytest.mark.parametrize("chunk", [32, 64, 256])
def test_chunked_scan_is_the_recurrence_in_single_precision(chunk):
    inputs, where = make([1500, 1, 700], chunk)
    reference = ssd_sequential(*inputs, where.starts)
    single = ssd(*(t.float() for t in inputs), where)
    assert single.dtype == torch.float32
    assert (single - reference)[: where.n_rows].abs().max() < 1e-4


def test_half_precision_inputs_keep_states_in_single_precision():
    inputs, where = make([300], 64)
    assert ssd(*(t.bfloat16() for t in inputs), where).dtype == torch.float32


def test_long_strong_decay_neither_overflows_nor_leaks_nan_into_gradients():
    inputs, where = make([4000], 64)
    inputs = [t.float() for t in inputs]
    inputs[1] = inputs[1] * 0 + 20.0  # log decay of -320 per row: exp(+...) above the diagonal would overflow
    leaves = [t.requires_grad_() for t in inputs]
    ssd(*leaves, where).square().mean().backward()
    assert all(torch.isfinite(t.grad).all() for t in leaves)


def test_carry_between_chunks_is_the_plain_recurrence():
    k = 75
    log_decay, keep = -torch.rand(k, 2, dtype=torch.float64), torch.rand(k) > 0.2
    added = torch.randn(k, 3, 2, 4, dtype=torch.float64)
    state, expected = torch.zeros(3, 2, 4, dtype=torch.float64), []
    for i in range(k):
        state = keep[i] * log_decay[i].exp()[None, :, None] * state + added[i]
        expected.append(state)
    torch.testing.assert_close(carry(log_decay, keep, added), torch.stack(expected), rtol=0, atol=1e-12)


@pytest.mark.parametrize("backend", ["torch", "numba"])
@pytest.mark.parametrize("kind", [torch.float64, torch.float32])
def test_mixer_reproduces_answers_of_an_independent_implementation(backend, kind):
    found = self_check.answers(Mamba2, backend, "cpu", kind)
    for name, expected in known_answers().items():
        error = np.abs(found[name].double().numpy() - expected).max()
        assert error < (1e-7 if kind == torch.float64 else 1e-5), name
        assert np.abs(np.array(self_check.ANSWERS[name]) - expected).max() < 1e-7, f"checked-in {name}"


def known_answers():
    """The mixer in NumPy, row by row, with gradients by finite differences: shares no code with the package."""
    width, n, inner, p, heads = 8, 3, 16, 8, 2
    names = [name for name, _ in Mamba2(width, n, 2, p).named_parameters()]
    shapes = {name: tuple(t.shape) for name, t in Mamba2(width, n, 2, p).named_parameters()}

    def waves(shape, phase):
        return (0.8 * np.sin(1.7 * np.arange(int(np.prod(shape))) + phase)).reshape(shape)

    w = {name: waves(shapes[name], i) for i, name in enumerate(names)}
    u = waves((11, width), 99)

    def forward():
        out = []
        for rows in (u[:7], u[7:]):
            m = rows @ w["in_proj.weight"].T
            z, x, dt = m[:, :inner], m[:, inner : 2 * inner], m[:, 2 * inner :]
            xbc = np.concatenate([x, rows @ w["lin_B.weight"].T, rows @ w["lin_C.weight"].T], 1)
            padded = np.concatenate([np.zeros((3, xbc.shape[1])), xbc])
            conv = w["conv1d.bias"] + sum(padded[j : j + len(rows)] * w["conv1d.weight"][:, 0, j] for j in range(4))
            conv = conv / (1 + np.exp(-conv))
            dt = np.log1p(np.exp(dt + w["dt_bias"]))
            state = np.zeros((heads, p, n))
            for t in range(len(rows)):
                xt = conv[t, :inner].reshape(heads, p)
                decay = np.exp(-dt[t] * np.exp(w["A_log"]))
                state = decay[:, None, None] * state + (dt[t][:, None] * xt)[..., None] * conv[t, inner : inner + n]
                y = (state @ conv[t, inner + n :] + w["D"][:, None] * xt).ravel()
                g = y * z[t] / (1 + np.exp(-z[t]))
                out.append(w["out_proj.weight"] @ (g / np.sqrt((g * g).mean() + 1e-5) * w["norm.weight"]))
        return np.array(out)

    def slope(array, index, h=1e-5):
        value, results = array[index], []
        for step in (2, 1, -1, -2):
            array[index] = value + step * h
            results.append((forward() * waves((11, width), 77)).sum())
        array[index] = value
        return (-results[0] + 8 * results[1] - 8 * results[2] + results[3]) / (12 * h)

    y = forward()
    return {
        "output at the end of the first event": y[6],
        "output at the start of the second event": y[7],
        "gradient at the first row": np.array([slope(u, (0, i)) for i in range(width)]),
        "gradient at the last row of the first event": np.array([slope(u, (6, i)) for i in range(width)]),
        "gradient of A_log": np.array([slope(w["A_log"], i) for i in range(heads)]),
        "gradient of dt_bias": np.array([slope(w["dt_bias"], i) for i in range(heads)]),
    }


def test_a_wrong_backend_is_refused(monkeypatch):
    self_check._verified.cache_clear()
    monkeypatch.setattr("tpcfm.nn.mamba.mamba2.selective_scan", lambda x, dt, *rest: x * dt[..., None])
    backends.configure("torch")
    with pytest.raises(MachineError, match="does not reproduce the known answers"):
        Mamba2(64, 4)(torch.randn(64, 64), segments(torch.tensor([0, 64]), 64, 64))
    self_check._verified.cache_clear()


def test_the_check_leaves_random_numbers_alone():
    self_check._verified.cache_clear()
    state = torch.get_rng_state()
    self_check.scan_backend(Mamba2, "cpu")
    assert torch.equal(state, torch.get_rng_state())
    assert backends.used()["mamba_scan/cpu"] == "numba"


@pytest.mark.parametrize("threads", [1, 2])
def test_compiled_mixer_has_the_gradients_of_the_plain_one(threads):
    where = segments(torch.tensor([0, 5, 5, 40, 41, 300]), 300, 64)
    mixer = Mamba2(64, 4).double()
    weight = torch.randn(where.n_filled, 64, dtype=torch.float64)
    weight[where.n_rows :] = 0
    results = []
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        for backend in ("torch", "numba"):
            u = torch.randn(where.n_filled, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
            u.requires_grad_()
            y = mixer.run(u, where, backend)
            results.append([y, *torch.autograd.grad((y * weight).sum(), [u, *mixer.parameters()])])
    finally:
        torch.set_num_threads(before)
    for plain, compiled in zip(*results, strict=True):
        n = where.n_rows if len(plain) == where.n_filled else len(plain)
        torch.testing.assert_close(compiled[:n], plain[:n], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("mixer", [Mamba2(64, 4), Mamba1(16, 2)])
@pytest.mark.parametrize("backend", ["torch", "auto"])
def test_events_do_not_see_each_other(mixer, backend):
    backends.configure(backend)
    lengths = [1, 2, 70, 3, 130]
    width = mixer.in_proj.in_features
    rows = torch.randn(sum(lengths), width)

    def run(parts):
        n = sum(len(p) for p in parts)
        where = segments(torch.tensor([0, *np.cumsum([len(p) for p in parts])]), n, 64)
        return mixer(torch.cat([*parts, torch.zeros(where.n_filled - n, width)]), where)[:n]

    parts = list(rows.split(lengths))
    together = run(parts)
    alone = torch.cat([run([part]) for part in parts])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


def test_mamba1_scan_is_the_recurrence():
    where = segments(torch.tensor([0, 7, 7, 60, 150]), 150, 16)
    n, m, states = where.n_filled, 6, 3
    x, dt, b, c = (torch.randn(n, k, dtype=torch.float64) for k in (m, m, states, states))
    dt, a = dt.abs(), -torch.rand(m, states, dtype=torch.float64)
    found = selective_scan_diagonal(x, dt, a, b, c, where)
    state, resets = torch.zeros(m, states, dtype=torch.float64), set(where.starts.tolist())
    for t in range(n):
        state = state * 0 if t in resets else state
        state = torch.exp(dt[t][:, None] * a) * state + (dt[t] * x[t])[:, None] * b[t]
        torch.testing.assert_close(found[t], (state * c[t]).sum(1), rtol=0, atol=1e-10)


def test_fused_layout_round_trip():
    state = Mamba2(128, 8).state_dict()
    fused = to_fused(state)
    assert fused["in_proj.weight"].shape == (2 * 256 + 2 * 8 + 4, 128)
    assert torch.equal(fused["in_proj.weight"], Mamba2.fused_weight(_loaded(state)))
    back = from_fused(fused)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)


def _loaded(state):
    mixer = Mamba2(128, 8)
    mixer.load_state_dict(state)
    return mixer


def test_operations_grow_linearly_with_length():
    counts = []
    for n in (2048, 4096, 16_384):
        inputs, where = make([n], 64, kind=torch.float32)
        with FlopCounterMode(display=False) as counter:
            ssd(*inputs, where)
        counts.append(counter.get_total_flops() / n)
    assert max(counts) / min(counts) < 1.05


@pytest.mark.parametrize(("heads", "state"), [(2, 4), (8, 16)])
def test_the_scan_used_on_the_cpu_equals_the_chunked_and_the_row_by_row_one(heads, state):
    inputs, where = make([1000], 64, heads=heads, size=64, state=state, kind=torch.float32)
    x, dt, a, b, c, d = inputs
    arrays = [t.numpy() for t in (torch.cat([x.flatten(1), b, c], dim=1), dt, torch.exp(dt * a), d)]
    bounds = np.append(where.starts.numpy(), len(x))
    y, none = np.empty((len(x), heads * 64), np.float32), np.empty((0, heads, state, 64), np.float32)

    kernels.scan(*arrays, 64, state, bounds, bounds, 32, 0, len(bounds) - 1, y, none)
    found = y[:1000].reshape(1000, heads, 64)
    np.testing.assert_allclose(found, ssd(*inputs, where)[:1000], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found, ssd_sequential(*inputs, where.starts)[:1000], rtol=1e-4, atol=1e-4)


def test_mixed_precision_does_not_reach_the_scan():
    inputs, where = make([300, 40], 64, kind=torch.float32)
    expected = ssd(*inputs, where)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(ssd(*inputs, where), expected, rtol=0, atol=0)


def test_backends_can_be_forced_and_forbidden():
    backends.configure("-numba")
    assert backends.choose("mamba_scan", "cpu") == "torch"
    backends.configure("torch")
    assert backends.choose("mamba_scan", "cpu") == "torch"
    assert all("PyTorch instead" in row["used"] for row in backends.report())
    backends.configure("auto")
    assert backends.choose("mamba_scan", "cpu") == "numba"
    with pytest.raises(Exception, match="unknown; allowed"):
        backends.configure("+warp_drive")
    if not backends.importable("mamba_ssm"):
        with pytest.raises(MachineError, match="forced but cannot be used"):
            backends.configure("+mamba_ssm")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("backend", ["torch", "mamba_ssm"])
def test_cuda_backends_reproduce_the_known_answers(backend):
    if backend == "mamba_ssm" and not backends.importable("mamba_ssm"):
        pytest.skip("mamba_ssm is not installed")
    found = self_check.answers(Mamba2, backend, "cuda")
    for name, expected in self_check.ANSWERS.items():
        error = (found[name].double().cpu() - torch.tensor(expected, dtype=torch.float64)).abs().max()
        assert error < self_check.TOLERANCE[backend], name
