"""Models from Python: every kind of model directory becomes a module, features of an event of any file are those the recipes use."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fm4npp_toys import toy_cache as sequences
from polar_mae_toys import MODEL
from polar_mae_toys import toy_cache as groups
from tpcfm.errors import CheckpointError
from tpcfm.inference.one_event import open_event
from tpcfm.inference.trained import event_features, load_model
from tpcfm.models.fm4npp.adapters import make_adapter
from tpcfm.models.fm4npp.settings import AdapterConfig, Fm4nppModel
from tpcfm.models.polar_mae.autoencoder import make_masked_autoencoder
from tpcfm.models.polar_mae.segmentation import SegmentationModel
from tpcfm.models.polar_mae.token_encoder import TokenEncoder
from tpcfm.prepare.sequences.settings import TargetConfig
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.fm4npp.backbone_features import equal_mix, event_batch
from tpcfm.systems.fm4npp.support import backbone_config, card_values, new_backbone
from tpcfm.systems.polar_mae.probe import encode
from tpcfm.train import save_model
from tpcfm.workspace import Workspace

BACKBONE = Fm4nppModel(width=64, depth=2, dropout=0.0)


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, dict[str, torch.nn.Module]]:
    """Untrained models of every kind, beside the caches they fit."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    workspace = Workspace(tmp_path_factory.mktemp("trained"))
    voxels = groups(workspace.cache("groups"), 8)
    line = PreparedStore(sequences(workspace.cache("sequences")))
    shared = {"model": MODEL.model_dump(mode="json"), "tokenizer": voxels.settings, "detector": "pilarnet"}
    order = {"serialization": line.settings["serialization"], "edges": line.manifest["edges"], "detector": "sphenix"}
    block = AdapterConfig(
        task="tracks",
        start="none",
        n_labels=1,
        width=16,
        queries=8,
        model=BACKBONE,
        train={"steps": 1, "batch_size": 1},
    )
    segmentation = {"architecture": "polar_mae_segmentation", "classes": list("abcd"), "head_hidden": 16}
    made: dict[str, tuple[torch.nn.Module, dict]] = {
        "polar_mae": (make_masked_autoencoder("polar_mae", MODEL, 32), {"architecture": "polar_mae", "slots": 32}),
        "point_mae": (make_masked_autoencoder("point_mae", MODEL, 32), {"architecture": "point_mae", "slots": 32}),
        "probe": (TokenEncoder(MODEL), {"architecture": "token_encoder"}),
        "segment": (SegmentationModel(MODEL, 4, head_hidden=16), segmentation),
        "backbone": (new_backbone(BACKBONE, TargetConfig(), 0), backbone_config(BACKBONE, TargetConfig(), line)),
        "tracks": (make_adapter(block), {"architecture": "fm4npp_tracks", "adapter": block.model_dump(mode="json")}),
    }
    for name, (model, config) in made.items():
        rest = order if name in ("backbone", "tracks") else shared
        save_model(workspace.run(name), model, config=rest | config, card="", run={}, history=[])
    return workspace, {name: model for name, (model, _) in made.items()}


@pytest.mark.parametrize("name", ["polar_mae", "point_mae", "probe", "segment", "backbone", "tracks"])
def test_every_model_directory_becomes_the_module_that_was_saved(space, name: str) -> None:
    workspace, saved = space
    model = load_model(workspace.run(name))
    assert type(model) is type(saved[name])
    assert not model.training
    weights = saved[name].state_dict()
    assert all(torch.equal(weights[key], value) for key, value in model.state_dict().items())


def test_token_features_are_those_of_the_probe(space) -> None:
    workspace, saved = space
    store = PreparedStore(workspace.cache("groups"))
    found = event_features(workspace.run("polar_mae"), store, 2)
    expected = encode(saved["polar_mae"].encoder.eval(), store, np.array([2])).features
    assert found.layers.shape == (MODEL.depth, len(expected), MODEL.width)
    np.testing.assert_allclose(found.last.numpy(), expected, atol=1e-6)
    np.testing.assert_array_equal(found.xyz.numpy().ravel(), store.value(2, "centre_xyz"))


def test_point_features_of_a_table_are_those_of_the_cache(space) -> None:
    workspace, saved = space
    store = PreparedStore(workspace.cache("sequences"))
    run, table = workspace.run("backbone"), workspace.root / "cache" / "sequences-events.parquet"
    with open_event(table, 3, run) as (one, row):
        found = event_features(run, one, row)
    at = store.event_ids(range(len(store))).index(found.event_id)
    again = event_features(run, store, at)
    assert found.layers.shape == (BACKBONE.depth, store.lengths[at], BACKBONE.width)
    assert torch.equal(found.layers, again.layers)
    mixed = torch.nn.functional.layer_norm(again.layers.mean(0), (BACKBONE.width,))
    np.testing.assert_allclose(equal_mix(saved["backbone"], event_batch(store, [at])), mixed.numpy(), atol=1e-6)
    np.testing.assert_array_equal(found.xyz.numpy()[:, 2], store.value(at, "z"))


def test_what_is_no_backbone_or_unknown_is_refused_by_name(space, tmp_path: Path) -> None:
    workspace, _ = space
    store = PreparedStore(workspace.cache("sequences"))
    with pytest.raises(CheckpointError, match="'fm4npp_tracks' is no pretrained backbone; these are: polar_mae"):
        event_features(workspace.run("tracks"), store, 0)
    save_model(tmp_path, torch.nn.Linear(1, 1), config={"architecture": "kalman"}, card="", run={}, history=[])
    with pytest.raises(CheckpointError, match="'kalman'; these can be loaded: polar_mae"):
        load_model(tmp_path)


def test_a_card_tells_the_splits_of_a_metric_apart() -> None:
    rows = [
        {"task": "tracks", "split": "test", "metric": "ari_calibrated", "class": "", "value": 0.1},
        {"task": "tracks", "split": "validation", "metric": "ari_calibrated", "class": "", "value": 0.2},
        {"task": "tracks", "split": "validation", "metric": "validation_loss", "value": 0.3},
        {"task": "pid", "split": "test", "metric": "f1", "class": "kaon", "value": 0.4},
        {"task": "pid", "split": "", "metric": "parameters", "class": "", "value": 5.0},
    ]
    assert card_values(rows) == {
        "tracks ari_calibrated": 0.1,
        "tracks validation ari_calibrated": 0.2,
        "tracks validation loss": 0.3,
        "pid parameters": 5.0,
    }
