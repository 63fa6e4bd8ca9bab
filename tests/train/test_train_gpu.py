"""On a CUDA device the trainer gives the CPU's losses, in float32 and bfloat16, and resumes where it stopped."""

import pytest
import torch

from tpcfm.errors import Interrupted
from train_toys import toy_config, toy_fit, toy_model

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-3), ("bfloat16", 5e-2)])
def test_losses_are_those_of_the_cpu(tmp_path, precision, tolerance):
    _, cpu = toy_fit(tmp_path / "cpu", toy_config(steps=20), model=toy_model(dropout=0))
    config = toy_config(steps=20, precision=precision, workers=2)
    model, gpu = toy_fit(tmp_path / "gpu", config, model=toy_model(dropout=0), device="cuda")
    assert next(model.parameters()).is_cuda
    assert [r["loss"] for r in gpu.history] == pytest.approx([r["loss"] for r in cpu.history], rel=tolerance)
    assert gpu.history[-1]["gpu_memory_mib"] > 0


def test_a_stopped_training_continues(tmp_path, monkeypatch):
    _, whole = toy_fit(tmp_path / "whole", toy_config(), device="cuda")
    left = iter([None] * 3)
    with monkeypatch.context() as patch:
        patch.setattr("tpcfm.train.signals.StopRequest.reason", lambda request, needed: next(left, "test limit"))
        with pytest.raises(Interrupted):
            toy_fit(tmp_path / "parts", toy_config(), device="cuda")
    _, parts = toy_fit(tmp_path / "parts", toy_config(), model=toy_model(seed=9), device="cuda")
    assert [r["loss"] for r in parts.history] == pytest.approx([r["loss"] for r in whole.history], rel=1e-4)
