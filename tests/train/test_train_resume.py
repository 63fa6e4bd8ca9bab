"""A training that was stopped and continued ends with the same bits as one that was not; nothing else is resumed."""


import pytest
from train_toys import ToyObjective, ToyStore, collate, same_bits, toy_config, toy_fit, toy_model

from tpcfm.errors import Interrupted
from tpcfm.train import evaluate_objective


class StopAfter(ToyObjective):
    """Makes the time limit pass after some steps, by asking the running ``fit`` to stop."""

    def __init__(self, steps, monkeypatch):
        self.left = steps
        monkeypatch.setattr("tpcfm.train.signals.StopRequest.reason", lambda request, needed: self._reason())

    def _reason(self):
        self.left -= 1
        return "test limit" if self.left < 0 else None


def _validate(model, step):
    store = ToyStore(6, seed=9)
    return evaluate_objective(model, ToyObjective(), [collate(store, [0, 1, 2]), collate(store, [3, 4, 5])], "cpu")


def _without_times(history):
    volatile = {"seconds", "events_per_s", "points_per_s", "memory_mib"}
    return [{k: v for k, v in row.items() if k not in volatile} for row in history]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("keep", ["best", "last"])
def test_six_steps_equal_three_and_three(tmp_path, monkeypatch, keep, workers):
    config = toy_config(evaluate_every=2, log_every=2, workers=workers, clip=0.5)
    whole, expected = toy_fit(tmp_path / "whole", config, validate=_validate, keep=keep)
    with pytest.raises(Interrupted, match="step 3 of 6"):
        toy_fit(tmp_path / "parts", config, objective=StopAfter(3, monkeypatch), validate=_validate, keep=keep)
    monkeypatch.undo()
    parts, got = toy_fit(tmp_path / "parts", config, model=toy_model(seed=99), validate=_validate, keep=keep)
    assert same_bits(whole, parts)
    assert not same_bits(whole, toy_model())
    assert (got.steps, got.best_step, got.best_value) == (6, expected.best_step, expected.best_value)
    assert _without_times(got.history) == _without_times(expected.history)
