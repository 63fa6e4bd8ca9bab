"""Further mixers through the recipes: pretraining, exact resume, the saved model loaded again, an adapter on it; muP over widths."""

import pandas as pd
import pytest
import torch

from fm4npp_toys import toy_cache
from tpcfm.errors import Interrupted
from tpcfm.files import read_json
from tpcfm.models.fm4npp.settings import AdapterConfig, Fm4nppModel
from tpcfm.plan.run import Run
from tpcfm.prepare.groups.batches import collate_sequences
from tpcfm.prepare.sequences.settings import TargetConfig
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.fm4npp import classify_points
from tpcfm.systems.fm4npp import pretrain as pretrain_fm4npp
from tpcfm.systems.fm4npp.coordinate_check import coordinate_check, slopes
from tpcfm.systems.fm4npp.settings import NeighbourPretraining
from tpcfm.systems.fm4npp.support import load_backbone
from tpcfm.train.signals import StopRequest
from tpcfm.workspace import Workspace

MIXERS = ("mamba3", "bidirectional")
TRAIN = {"batch_size": 4, "learning_rate": 2e-3, "clip": 0.1, "evaluate_every": 3, "checkpoint_every": 2}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    torch.set_num_threads(1)
    space = Workspace(tmp_path_factory.mktemp("mixers"))
    toy_cache(space.cache("toy"))
    return space


def model(mixer):
    return {"width": 64, "depth": 2, "dropout": 0.0, "mixer": mixer}


def run_of(recipe, task, block, slug, pretrained=None):
    stage = "pretrain" if task == "pretrain" else "finetune"
    names = {"slug": slug, "stage": stage, "family": "fm4npp", "recipe": recipe, "task": task}
    config = block.model_dump(mode="json")
    return Run(**names, dataset="toy", cache="toy", config=config, pretrained=pretrained, seed=0)


def pretraining(mixer, slug):
    block = NeighbourPretraining.model_validate({"model": model(mixer), "train": {"steps": 6, **TRAIN}})
    return run_of("fm4npp.pretrain", "pretrain", block, f"{slug}-{mixer}")


@pytest.mark.parametrize("mixer", MIXERS)
def test_a_mixer_is_pretrained_resumed_saved_loaded_and_adapted(workspace, mixer, monkeypatch):
    whole, cut = pretraining(mixer, "whole"), pretraining(mixer, "cut")
    pretrain_fm4npp.run(whole, workspace, device="cpu")
    with monkeypatch.context() as patch:
        calls = iter(range(1000))
        patch.setattr(StopRequest, "reason", lambda self, needed: "a test" if next(calls) == 3 else None)
        with pytest.raises(Interrupted, match="step 3 of 6"):
            pretrain_fm4npp.run(cut, workspace, device="cpu")
    pretrain_fm4npp.run(cut, workspace, device="cpu")
    store = PreparedStore(workspace.cache("toy"))
    first, second = (load_backbone(workspace.run(run.id), store) for run in (whole, cut))
    assert first.config.mixer == mixer
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )

    folder = workspace.run(whole.id)
    values = pd.read_parquet(folder / "metrics.parquet").query("`class` == ''").set_index("metric")["value"]
    assert values["parameters"] == sum(p.numel() for p in first.parameters() if p.requires_grad)
    assert values["targets_in_view"] == 1 if mixer == "bidirectional" else values["targets_in_view"] < 1
    name = {"mamba3": "mamba3_scan", "bidirectional": "bidirectional_scan"}[mixer]
    assert read_json(folder / "run.json")["backends"][f"{name}/cpu"] == "torch"

    train = {"steps": 2, "batch_size": 4, "learning_rate": 1e-3, "evaluate_every": 2}
    settings = {"outputs": {"noise": 2}, "n_labels": 6, "width": 32, "model": model(mixer), "train": train}
    block = AdapterConfig.model_validate(settings)
    adapter = run_of("fm4npp.classify_points", "noise", block, f"noise-{mixer}", whole.id)
    classify_points.run(adapter, workspace, device="cpu")
    assert (workspace.run(adapter.id) / "metrics.parquet").exists()


@pytest.mark.slow
@pytest.mark.parametrize("mixer", MIXERS)
def test_updates_are_flat_over_widths_with_mup_and_grow_without(workspace, mixer):
    batch = collate_sequences(PreparedStore(workspace.cache("toy")), [0])
    base = Fm4nppModel(depth=2, mixer=mixer)
    found = {
        kind: slopes(coordinate_check(batch, TargetConfig(), (128, 256, 512), kind, model=base, device="cpu"))
        for kind in ("mup", "standard")
    }
    outputs = [part for part in found["mup"] if part.startswith(("branch", "prediction"))]
    flat = max(abs(found["mup"][part]) for part in outputs)
    growing = min(found["standard"][part] for part in outputs)
    # Exponents of the width. Mamba-3's are not as near to zero as Mamba-2's (docs/reference/mixers.md).
    assert flat < 0.5
    assert growing > 1.3 * flat
