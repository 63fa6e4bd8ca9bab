"""What adapters read of a frozen backbone: room on disk is respected and never silently; the embedding as a further layer."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from fm4npp_toys import toy_cache
from tpcfm.config.text import merge, read_yaml
from tpcfm.errors import ConfigError, MachineError
from tpcfm.files import read_json
from tpcfm.models.fm4npp import parameters
from tpcfm.models.fm4npp.adapters import make_adapter
from tpcfm.models.fm4npp.settings import AdapterConfig, Fm4nppModel
from tpcfm.plan.run import Run
from tpcfm.prepare.groups.batches import collate_sequences
from tpcfm.prepare.sequences.settings import TargetConfig
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.fm4npp import classify_points
from tpcfm.systems.fm4npp.adapter import load_adapter
from tpcfm.systems.fm4npp.adapter_task import AdapterTask
from tpcfm.systems.fm4npp.feature_cache import FeatureCache
from tpcfm.systems.fm4npp.support import new_backbone
from tpcfm.systems.registry import load, make_plan, validate
from tpcfm.workspace import Workspace

ROOT = Path(__file__).resolve().parents[3]
MODEL = {"width": 64, "depth": 3, "dropout": 0.0}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    torch.set_num_threads(1)
    space = Workspace(tmp_path_factory.mktemp("features"))
    toy_cache(space.cache("toy"))
    return space


@pytest.fixture
def store(workspace):
    return PreparedStore(workspace.cache("toy"))


def cache(store, folder, embedding=False):
    backbone = new_backbone(Fm4nppModel(**MODEL), TargetConfig(), 0)
    return FeatureCache(backbone, store, folder, 2000, torch.device("cpu"), embedding)


def job(**changes):
    train = {"steps": 4, "batch_size": 4, "learning_rate": 1e-3, "evaluate_every": 2}
    plain = {"outputs": {"pid": 5}, "start": "random", "n_labels": 6, "width": 64, "model": MODEL, "train": train}
    block = AdapterConfig.model_validate({**plain, **changes})
    names = {
        "slug": "pid-random",
        "stage": "finetune",
        "family": "fm4npp",
        "recipe": "fm4npp.classify_points",
        "task": "pid",
    }
    return Run(**names, dataset="toy", cache="toy", config=block.model_dump(mode="json"), seed=0)


def test_what_does_not_fit_is_computed_anew_and_said(store, tmp_path, monkeypatch, caplog):
    rows = store.rows("train")
    whole = cache(store, tmp_path / "whole")
    whole.fill(rows)
    assert whole.record()["events_recomputed"] == 0
    monkeypatch.setattr("tpcfm.systems.fm4npp.feature_cache.MEMORY_BYTES", 0)
    half = whole.record()["bytes"] / 2
    monkeypatch.setenv("TPCFM_SCRATCH_GB", f"{half / 1e9:.9f}")
    part = cache(store, tmp_path / "part")
    with caplog.at_level(logging.WARNING):
        part.fill(rows)
    found = part.record()
    assert 0 < found["bytes"] <= half
    assert (tmp_path / "part/features.f16").stat().st_size == found["bytes"]
    assert found["events_kept"] + found["events_recomputed"] == len(rows)
    assert min(found["events_kept"], found["events_recomputed"]) > 0
    assert "computed anew" in caplog.text
    assert "--scratch-gb" in caplog.text
    order = rows[::-1]  # kept and left-out events in one batch
    np.testing.assert_allclose(part(order).astype(np.float32), whole(order).astype(np.float32), atol=5e-3)
    part.close()
    assert not (tmp_path / "part/features.f16").exists()


def test_without_any_room_everything_is_computed_anew(workspace, monkeypatch):
    monkeypatch.setattr("tpcfm.systems.fm4npp.feature_cache.MEMORY_BYTES", 0)
    monkeypatch.setenv("TPCFM_SCRATCH_GB", "0")
    run = job(seed=5)
    classify_points.run(run, workspace, device="cpu")
    kept = read_json(workspace.run(run.id) / "run.json")["features"]
    assert kept["bytes"] == kept["events_kept"] == 0
    assert kept["events_recomputed"] > 6  # the labelled and the validation events


def test_a_full_disk_ends_with_words(store, tmp_path, monkeypatch):
    monkeypatch.setattr("tpcfm.systems.fm4npp.feature_cache.MEMORY_BYTES", 0)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full, raising=False)
    with pytest.raises(MachineError, match=r"No space left on device; `--scratch-gb`"):
        cache(store, tmp_path).fill(store.rows("train"))
    assert not (tmp_path / "features.f16").exists()
    monkeypatch.setenv("TPCFM_SCRATCH_GB", "much")
    with pytest.raises(ConfigError, match="TPCFM_SCRATCH_GB='much'"):
        cache(store, tmp_path).fill(store.rows("train"))


def test_the_embedding_is_the_first_layer(store, tmp_path):
    rows = store.rows("train")[:2]
    batch = collate_sequences(store, rows, 0)
    with_it = cache(store, tmp_path, embedding=True)
    without = cache(store, tmp_path)
    found = with_it(rows)
    assert found.shape[0] == 4
    np.testing.assert_array_equal(found[1:], without(rows))
    embedded = with_it.backbone.embedding(torch.from_numpy(batch["features"]))
    np.testing.assert_array_equal(found[0], embedded.detach().half().numpy())


@pytest.mark.parametrize("outputs", [{"track": 0}, {"pid": 5}])
@pytest.mark.parametrize("start", ["random", "none"])
def test_the_final_output_is_read_through_one_linear_map(outputs, start):
    plain = {"outputs": outputs, "n_labels": 1, "model": {"width": 64}, "train": {"steps": 1, "batch_size": 1}}
    config = AdapterConfig.model_validate({**plain, "reads": "final", "start": start})
    head = make_adapter(config)
    assert config.layers == 1
    assert {name.split(".")[0] for name, p in head.input.named_parameters() if p.requires_grad} == {"linear"}
    assert sum(p.numel() for p in head.parameters() if p.requires_grad) == parameters.adapter(config, 1)
    with pytest.raises(ValueError, match="nothing to mix"):
        AdapterConfig.model_validate({**plain, "reads": "final", "mix_embedding": True})


def test_an_adapter_on_the_final_output_is_trained_and_loaded(workspace, store):
    run = job(reads="final")
    assert run.id != job().id
    classify_points.run(run, workspace, device="cpu")
    adapter = load_adapter(workspace.run(run.id), store)
    rows = store.rows("test")[:1]
    batch = collate_sequences(store, rows, 0)
    features, offsets = torch.from_numpy(batch["features"]), torch.from_numpy(batch["offsets"])
    inputs = adapter.inputs(features, offsets)
    assert inputs.shape == (1, len(features), 64)
    backbone = adapter.backbone
    with torch.no_grad():
        predicted = backbone.head(inputs[0].float()).unflatten(1, (backbone.slots, 3))
        torch.testing.assert_close(predicted, backbone(features, offsets), atol=1e-2, rtol=1e-2)  # what the head reads
    np.testing.assert_allclose(inputs.numpy(), AdapterTask(run, workspace, "cpu").features(rows), atol=5e-3)


@pytest.mark.parametrize("outputs", [{"track": 0}, {"pid": 5}])
def test_the_mix_has_one_number_more(outputs):
    plain = {"outputs": outputs, "n_labels": 1, "model": {"width": 64}, "train": {"steps": 1, "batch_size": 1}}
    off, on = (AdapterConfig.model_validate({**plain, "mix_embedding": value}) for value in (False, True))
    count = [sum(p.numel() for p in make_adapter(c).parameters() if p.requires_grad) for c in (off, on)]
    assert count[1] == count[0] + 1
    assert count == [parameters.adapter(c, c.layers) for c in (off, on)]


def test_an_adapter_with_the_embedding_is_trained_and_loaded(workspace, store):
    run = job(mix_embedding=True)
    assert run.id != job().id
    classify_points.run(run, workspace, device="cpu")
    adapter = load_adapter(workspace.run(run.id), store)
    mix = adapter.head.input.mix
    assert mix.shape == (4,)
    assert mix.detach().abs().max() > 0  # it has been trained
    rows = store.rows("test")[:1]
    batch = collate_sequences(store, rows, 0)
    inputs = adapter.inputs(torch.from_numpy(batch["features"]), torch.from_numpy(batch["offsets"]))
    task = AdapterTask(run, workspace, "cpu")
    np.testing.assert_allclose(inputs.numpy(), task.features(rows), atol=5e-3)


def test_switched_off_it_is_in_no_plan_and_on_it_leaves_the_control_alone():
    scale = ROOT / "workflow/scales/tiny.yaml"
    off = make_plan(load(ROOT / "config.yaml", scale))
    assert not any(run.config.get("mix_embedding") for run in off.runs.values())
    values = merge(read_yaml(ROOT / "config.yaml"), read_yaml(scale))
    on = make_plan(validate(merge(values, {"systems": {"fm4npp": {"adapters": {"mix_embedding": True}}}})))
    changed = set(on.runs) - set(off.runs)
    assert changed
    for run in changed:
        assert on.runs[run].config["mix_embedding"] is True
        assert on.runs[run].config["start"] == "pretrained"
    assert {r for r in off.runs if "-none-" in r} <= set(on.runs)
