"""What a step computes: exact means over micro-batches, scheduled and scaled rates, clipping, and a stop at NaN."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from tpcfm.config.training import TrainConfig
from tpcfm.errors import ConfigError, DivergenceError, MachineError
from tpcfm.train import StepInfo, decay_groups, evaluate_objective, to_device
from tpcfm.train.model_setup import recompute_what_does_not_fit
from tpcfm.train.optimizer import make_optimizer
from tpcfm.train.schedule import rate_factor, set_rates
from train_toys import ToyObjective, ToyStore, collate, toy_config, toy_fit, toy_model, toy_source


def close(a, b, tolerance=1e-5):
    left, right = a.state_dict(), b.state_dict()
    return all(torch.allclose(left[k], right[k], rtol=tolerance, atol=tolerance) for k in left)


def test_training_does_not_depend_on_how_a_batch_is_cut(tmp_path):
    whole, a = toy_fit(tmp_path / "a", toy_config(max_points=10**6), model=toy_model(dropout=0))
    parts, b = toy_fit(tmp_path / "b", toy_config(max_points=40), model=toy_model(dropout=0))
    assert close(whole, parts)
    assert [r["loss"] for r in a.history] == pytest.approx([r["loss"] for r in b.history], rel=1e-5)


def test_logged_loss_is_the_weighted_sum_of_terms_and_falls(tmp_path):
    _, result = toy_fit(tmp_path, toy_config(steps=60, log_every=2, batch_size=24))
    for row in result.history:
        assert row["loss"] == pytest.approx(row["entropy"] + 0.1 * row["size"], rel=1e-5)
    assert result.history[-1]["loss"] < 0.7 * result.history[0]["loss"]
    assert [row["step"] for row in result.history] == list(range(2, 61, 2))


def test_a_weight_of_zero_logs_without_training(tmp_path):
    class Watched(ToyObjective):
        weights = {"entropy": 1.0, "size": 0.0}

    class Alone(ToyObjective):
        weights = {"entropy": 1.0}

        def counts(self, batch, info):
            return {"entropy": len(batch["label"])}

    a, watched = toy_fit(tmp_path / "a", toy_config(), objective=Watched())
    b, alone = toy_fit(tmp_path / "b", toy_config(), objective=Alone())
    assert close(a, b, 0)
    assert watched.history[0]["size"] > 0
    assert watched.history[0]["loss"] == pytest.approx(alone.history[0]["loss"])


def test_a_term_without_elements_is_left_out(tmp_path):
    class Empty(ToyObjective):
        def counts(self, batch, info):
            return {"entropy": len(batch["label"]), "size": 0}

    _, result = toy_fit(tmp_path, toy_config(), objective=Empty())
    assert "size" not in result.history[0]
    assert all(math.isfinite(row["loss"]) for row in result.history)


def test_rates_of_the_published_schedule():
    config = TrainConfig(
        steps=100_000,
        batch_size=128,
        learning_rate=1e-4,
        initial_fraction=0.086,
        final_fraction=0.086,
        warmup_steps=12_500,
    )
    rates = [1e-4 * rate_factor(step, config) for step in (0, 6_250, 12_500, 56_249, 99_999)]
    assert rates == pytest.approx([8.6e-6, 5.43e-5, 1e-4, 5.43e-5, 8.6e-6], rel=1e-3)
    factors = [rate_factor(step, config) for step in range(100_000)]
    assert np.argmax(factors) == 12_500
    assert np.all(np.diff(factors[:12_500]) > 0)
    assert np.all(np.diff(factors[12_500:]) < 0)


def test_without_warm_up_the_rate_starts_at_its_peak():
    config = TrainConfig(steps=1, batch_size=1)
    assert rate_factor(0, config) == 1
    assert rate_factor(0, TrainConfig(steps=50, batch_size=1)) == 1


def test_scaled_rates_survive_the_schedule(tmp_path, monkeypatch):
    """The multipliers of µP groups are read from the optimiser that really steps, at every step."""
    seen = []
    step = torch.optim.AdamW.step

    def recording(self, *args, **kwargs):
        seen.append({g["name"]: g["lr"] for g in self.param_groups})
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", recording)
    model = toy_model()
    groups = [
        {"name": "first", "params": list(model[0].parameters()), "lr_scale": 0.25, "weight_decay": 0.0},
        {"name": "rest", "params": [*model[1].parameters(), *model[4].parameters()]},
    ]
    config = toy_config(warmup_steps=3)
    toy_fit(tmp_path, config, model=model, parameter_groups=groups)
    expected = [config.learning_rate * rate_factor(s, config) for s in range(6)]
    assert [s["rest"] for s in seen] == pytest.approx(expected)
    assert [s["first"] for s in seen] == pytest.approx([0.25 * rate for rate in expected])


def test_decay_of_a_group_is_its_rate_times_its_weight_decay():
    model = nn.Linear(3, 3, bias=False)
    optimizer = make_optimizer(
        model, toy_config(weight_decay=0.5), [{"params": list(model.parameters()), "lr_scale": 0.1}]
    )
    set_rates(optimizer.param_groups, 0, toy_config(weight_decay=0.5))
    before = model.weight.detach().clone()
    model.weight.grad = torch.zeros_like(before)
    optimizer.step()
    assert torch.allclose(model.weight, before * (1 - 1e-2 * 0.1 * 0.5))


def test_groups_must_hold_every_trainable_parameter_once():
    model = toy_model()
    with pytest.raises(ConfigError, match=r"leave out 4 trainable.*1\.weight"):
        make_optimizer(model, toy_config(), [{"params": list(model[0].parameters())}])
    with pytest.raises(ConfigError, match=r"0\.weight is in two groups"):
        make_optimizer(model, toy_config(), [{"params": list(model.parameters())}, {"params": [model[0].weight]}])
    with pytest.raises(ConfigError, match="unknown keys"):
        make_optimizer(model, toy_config(), [{"params": list(model.parameters()), "lr": 1.0}])
    with pytest.raises(ConfigError, match="nothing to train"):
        make_optimizer(toy_model().requires_grad_(False), toy_config())


def test_vectors_do_not_decay():
    groups = decay_groups(toy_model(), 0.05)
    assert [p.ndim for g in groups for p in g["params"]] == [2, 2, 1, 1, 1, 1]
    assert [g["weight_decay"] for g in groups] == [0.05, 0.0]


@pytest.mark.parametrize("mode", ["norm", "value"])
def test_clipping_bounds_the_gradient(tmp_path, monkeypatch, mode):
    seen = []
    step = torch.optim.AdamW.step

    def recording(self, *args, **kwargs):
        seen.append(torch.cat([p.grad.flatten() for g in self.param_groups for p in g["params"]]))
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", recording)
    _, result = toy_fit(tmp_path, toy_config(clip=0.01, clip_mode=mode))
    sizes = [g.norm() if mode == "norm" else g.abs().max() for g in seen]
    assert [float(s) for s in sizes] == pytest.approx([0.01] * 6, rel=1e-3)
    assert result.history[0]["gradient_norm"] > 0.05  # logged before clipping


def test_frozen_parts_stay_and_are_not_in_the_optimizer(tmp_path):
    model = toy_model()
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    toy_fit(tmp_path, toy_config(), model=model)
    assert torch.equal(model[0].weight, before)


@pytest.mark.parametrize("workers", [0, 2])
def test_not_finite_stops_names_the_step_and_records_its_events(tmp_path, workers):
    class Bad(ToyObjective):
        def sums(self, model, batch, info):
            sums = super().sums(model, batch, info)
            return {**sums, "size": sums["size"] * (float("nan") if info.step == 4 else 1)}

    config = toy_config(workers=workers)
    with pytest.raises(DivergenceError, match=r"step 4: loss nan"):
        toy_fit(tmp_path, config, objective=Bad())
    record = json.loads((tmp_path / "not_finite.json").read_text())
    expected = [int(k) for _, b in toy_source(config).micro_batches(4) for k in b["event_key"]]
    assert record["step"] == 4
    assert record["ranks"][0]["event_key"] == expected
    assert sorted(p.name for p in tmp_path.glob("*.pt")) == ["checkpoint-000000002.pt", "checkpoint-000000004.pt"]


def test_evaluation_is_exact_however_it_is_cut():
    store, model, objective = ToyStore(12), toy_model(), ToyObjective()
    rows = np.arange(12)
    whole = evaluate_objective(model, objective, [collate(store, rows)], "cpu")
    parts = evaluate_objective(model, objective, [collate(store, rows[i : i + 1]) for i in range(12)], "cpu")
    assert parts == pytest.approx(whole, rel=1e-6)
    assert whole["loss"] == pytest.approx(whole["entropy"] + 0.1 * whole["size"])
    assert model.training
    assert parts == evaluate_objective(model, objective, [collate(store, rows[i : i + 1]) for i in range(12)], "cpu")


def test_bfloat16_trains_close_to_float32(tmp_path):
    dtypes = set()

    class Typed(ToyObjective):
        def sums(self, model, batch, info):
            dtypes.add(model(batch["points"]).dtype)
            return super().sums(model, batch, info)

    options = {"steps": 40, "batch_size": 24, "log_every": 20}
    _, full = toy_fit(tmp_path / "a", toy_config(**options), model=toy_model(dropout=0))
    model, half = toy_fit(
        tmp_path / "b", toy_config(precision="bfloat16", **options), model=toy_model(dropout=0), objective=Typed()
    )
    assert dtypes == {torch.bfloat16}
    assert all(p.dtype == torch.float32 for p in model.parameters())
    assert half.history[-1]["loss"] == pytest.approx(full.history[-1]["loss"], rel=0.05)


class Checkpointed(nn.Module):
    """A model that offers activation checkpointing."""

    def __init__(self):
        super().__init__()
        self.body = toy_model(dropout=0)
        self.on = False
        self.runs = 0
        self.body[0].register_forward_hook(lambda *_: setattr(self, "runs", self.runs + 1))

    def set_activation_checkpointing(self, on):
        self.on = on

    def forward(self, x):
        if self.on and self.training:
            return torch.utils.checkpoint.checkpoint(self.body, x, use_reentrant=False)
        return self.body(x)


def test_activation_checkpointing_keeps_the_loss_and_is_really_on(tmp_path):
    plain, a = toy_fit(tmp_path / "a", toy_config(), model=Checkpointed())
    saving, b = toy_fit(tmp_path / "b", toy_config(activation_checkpointing=True), model=Checkpointed())
    assert close(plain, saving, 0)
    assert [r["loss"] for r in a.history] == [r["loss"] for r in b.history]
    assert saving.runs == 2 * plain.runs
    with pytest.raises(ConfigError, match="Sequential does not offer it"):
        toy_fit(tmp_path / "c", toy_config(activation_checkpointing=True))


def test_where_the_gpu_is_too_small_by_the_estimate_micro_batches_are_recomputed(monkeypatch):
    class Telling(nn.Module):
        above = None

        def points_that_fit(self, memory, precision):
            return int(memory // 1000) if precision == "bfloat16" else 0

        def set_activation_checkpointing(self, on, above=0):
            self.above = above if on else None

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=80_000_000))
    model = Telling()
    recompute_what_does_not_fit(model, "bfloat16", torch.device("cpu"))
    assert model.above is None  # memory of a CPU is the machine's
    recompute_what_does_not_fit(model, "bfloat16", torch.device("cuda"))
    assert model.above == 72_000
    recompute_what_does_not_fit(
        nn.Linear(1, 1), "bfloat16", torch.device("cuda")
    )  # one that cannot tell stays as it is


@pytest.mark.slow
def test_compiling_keeps_the_loss(tmp_path):
    _, a = toy_fit(tmp_path / "a", toy_config(), model=toy_model(dropout=0))
    model, b = toy_fit(tmp_path / "b", toy_config(compile=True), model=toy_model(dropout=0))
    assert [r["loss"] for r in a.history] == pytest.approx([r["loss"] for r in b.history], rel=1e-4)
    assert set(model.state_dict()) == set(toy_model().state_dict())


def test_patience_stops_early_and_the_best_is_kept(tmp_path):
    values = iter([9.0, 0.1, 0.5, 0.4, 0.3, 0.2])  # the first one, before training, does not count
    models = []

    def validate(model, step):
        models.append({k: v.clone() for k, v in model.state_dict().items()})
        return {"f1": next(values)}

    model, result = toy_fit(
        tmp_path, toy_config(steps=20, evaluate_every=2, patience=3), validate=validate, monitor="-f1"
    )
    assert (result.steps, result.best_step, result.best_value) == (10, 4, 0.5)
    assert all(torch.equal(model.state_dict()[k], v) for k, v in models[result.best_step // 2].items())


def test_running_out_of_gpu_memory_says_what_to_lower(tmp_path):
    class Large(ToyObjective):
        def sums(self, model, batch, info):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    with pytest.raises(MachineError, match=r"step 0: out of GPU memory with train.max_points 60; lower it"):
        toy_fit(tmp_path, toy_config(), objective=Large())


def test_a_monitor_that_is_not_validated_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"'f1' is not among.*allowed: accuracy, loss"):
        toy_fit(tmp_path, toy_config(), validate=lambda m, s: {"loss": 1.0, "accuracy": 0.5}, monitor="-f1")


def test_to_device_keeps_types_and_copies_read_only_arrays():
    batch = collate(ToyStore(3), np.arange(3), StepInfo(0, 0, 0, False))
    batch["points"].flags.writeable = False
    tensors = to_device(batch, "cpu")
    assert {k: str(v.dtype) for k, v in tensors.items()} == {
        "offsets": "torch.int64", "event_key": "torch.uint64", "points": "torch.float32", "label": "torch.int64"
    }  # fmt: skip
    tensors["points"] += 1
    assert not np.array_equal(tensors["points"].numpy(), batch["points"])
