"""A model directory is whole, says what made it, and loads without unpickling into the same weights."""

import json

import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tpcfm.errors import CheckpointError, DataError
from tpcfm.train import load_config, load_weights, save_model
from train_toys import same_bits, toy_config, toy_fit, toy_model


@pytest.fixture
def folder(tmp_path):
    model, result = toy_fit(tmp_path / "state", toy_config(), validate=lambda m, s: {"loss": 1.0 / (s + 1)})
    save_model(
        tmp_path / "run",
        model,
        config={"width": 16, "edges": [0.0, 0.5]},
        card="# Toy\n",
        run={"id": "toy", "seconds": result.seconds, "backend": {"ssd": "torch"}},
        history=result.history,
    )
    return tmp_path / "run", model, result


def test_everything_is_there_and_comes_back(folder):
    path, model, result = folder
    assert sorted(p.name for p in path.iterdir()) == [
        "README.md",
        "config.json",
        "log.parquet",
        "model.safetensors",
        "run.json",
    ]
    assert load_config(path) == {"width": 16, "edges": [0.0, 0.5]}
    fresh = toy_model(seed=4)
    assert load_weights(fresh, path) == []
    assert same_bits(fresh, model)
    run = json.loads((path / "run.json").read_text())
    assert run["versions"]["torch"] == torch.__version__
    assert run["backend"] == {"ssd": "torch"}
    assert {"hardware", "revision", "command", "config_hash", "id", "seconds"} <= set(run)
    log = pd.read_parquet(path / "log.parquet")
    assert len(log) == len(result.history)
    assert log["step"].dtype == "int64"
    train = log[log["split"] == "train"]
    assert train["loss"].tolist() == [r["loss"] for r in result.history if r["split"] == "train"]


def test_a_prefix_takes_a_part(folder, tmp_path):
    _, model, _ = folder
    whole = nn.ModuleDict({"encoder": model, "head": nn.Linear(2, 2)})
    save_model(tmp_path / "whole", whole, config={}, card="", run={}, history=[])
    fresh = toy_model(seed=4)
    load_weights(fresh, tmp_path / "whole", prefix="encoder.")
    assert same_bits(fresh, model)
    assert load_weights(
        nn.ModuleDict({"encoder": toy_model(), "new": nn.Linear(1, 1)}), tmp_path / "whole", strict=False
    ) == [
        "new.bias",
        "new.weight",
    ]


def test_tied_weights_are_saved(tmp_path):
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    save_model(tmp_path, model, config={}, card="", run={}, history=[])
    fresh = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    load_weights(fresh, tmp_path)
    assert torch.equal(fresh[1].weight, model[0].weight)


def test_weights_that_do_not_fit_are_named(folder):
    path, _, _ = folder
    with pytest.raises(CheckpointError, match=r"shapes differ: 0.bias: file \(16,\), model \(8,\)"):
        load_weights(toy_model(width=8), path)
    with pytest.raises(CheckpointError, match=r"not in the model: \['0\.bias"):
        load_weights(nn.Sequential(nn.Identity(), nn.LayerNorm(16)), path)
    with pytest.raises(CheckpointError, match=r"nothing under 'encoder\.'"):
        load_weights(toy_model(), path, prefix="encoder.")


def test_a_damaged_or_missing_directory_is_named(folder, tmp_path):
    path, _, _ = folder
    content = (path / "model.safetensors").read_bytes()
    (path / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match="damaged weights"):
        load_weights(toy_model(), path)
    with pytest.raises(CheckpointError, match="no weights here"):
        load_weights(toy_model(), tmp_path / "nowhere")
    with pytest.raises(DataError, match="no such file"):
        load_config(tmp_path / "nowhere")
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(DataError, match=r"config\.json: holds a list"):
        load_config(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_neither_written_nor_read(folder, tmp_path, value):
    path, model, _ = folder
    state = model.state_dict()
    name = next(iter(state))
    state[name].view(-1)[0] = value
    with pytest.raises(CheckpointError, match=rf"not finite: {name}"):
        save_model(tmp_path / "bad", model, config={}, card="", run={}, history=[])
    assert not (tmp_path / "bad" / "model.safetensors").exists()
    save_file(state, path / "model.safetensors")
    with pytest.raises(CheckpointError, match=rf"model.safetensors: 1 of {len(state)} weights .* not finite"):
        load_weights(toy_model(), path)


def test_a_pickle_in_place_of_weights_is_not_executed(tmp_path):
    torch.save({"0.weight": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="damaged weights"):
        load_weights(toy_model(), tmp_path)
