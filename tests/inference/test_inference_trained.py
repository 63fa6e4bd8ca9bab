"""Models from Python: every kind of model directory becomes the network that was saved, features of an event of any file are those the
jobs use."""

import json
import shutil
from dataclasses import astuple, is_dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from fm4npp_toys import LAYER_RADII_CM
from model_zoo import BACKBONE, configs
from polar_mae_toys import MODEL, tensors, toy_batch
from tpcfm.errors import CheckpointError
from tpcfm.inference.one_event import open_event
from tpcfm.inference.trained import event_features, load_model
from tpcfm.models.baselines.kalman import CUTS
from tpcfm.models.baselines.settings import GraphNetConfig, VoxelUNetConfig
from tpcfm.models.polar_mae.tokens import Tokens
from tpcfm.models.registry import ARCHITECTURES, build
from tpcfm.prepare.sequences.batches import collate_sequences
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems import architectures
from tpcfm.systems.baselines.point_batches import GraphBatches, VoxelBatches
from tpcfm.systems.baselines.sparse_unet import VoxelBatches as LatticeBatches
from tpcfm.systems.baselines.track_systems import TrackBatches
from tpcfm.systems.fm4npp.backbone_features import equal_mix, event_batch
from tpcfm.systems.polar_mae.probe import encode
from tpcfm.tasks.geometry import Geometry
from tpcfm.tracking.finder import TrackerSettings
from tpcfm.train import StepInfo, save_model
from tpcfm.workspace import Workspace

NAMES = [
    "polar_mae", "point_mae", "token_encoder", "semantic-head", "group-head", "sparse_unet", "fm4npp", "track-none", "track-pretrained",
    "both-none", "both-pretrained", "sage", "graph_conv", "gcn", "gat", "voxel_unet", "eggnet", "exatrkx", "hept", "kalman",
    "edges", "dbscan", "trees",
]  # fmt: skip
INFO = StepInfo(step=0, epoch=0, seed=5, training=False)


@torch.no_grad()
def outputs(name: str, model: torch.nn.Module, space: Workspace) -> list[torch.Tensor]:
    """All that a network says about two events."""
    rows = [1, 3]
    torch.manual_seed(1)
    if name in ("polar_mae", "point_mae", "token_encoder", "semantic-head", "group-head", "sparse_unet"):
        store = PreparedStore(space.cache("groups"))
        if name == "sparse_unet":
            return leaves(model(tensors(LatticeBatches(augment=False)(store, np.array(rows), INFO))))
        batch = tensors(toy_batch(store, rows, mask_ratio=0.6, points=True))
        if name.endswith("-head"):
            return leaves(model(batch))
        tokens = Tokens.from_batch(batch)
        return leaves(model(tokens) if name == "token_encoder" else model(tokens, batch["masked"]))
    store = PreparedStore(space.cache("sequences"))
    if name in ("sage", "graph_conv", "gcn", "gat", "voxel_unet"):
        config = json.loads((space.run(name) / "config.json").read_text())["baseline"]
        if name == "voxel_unet":
            collate = VoxelBatches(VoxelUNetConfig.model_validate(config["voxel"]))
        else:
            collate = GraphBatches(GraphNetConfig.model_validate(config["graph"]))
        return leaves(model(tensors(collate(store, np.array(rows), INFO))))
    if name in ("eggnet", "exatrkx", "hept", "kalman"):
        return leaves(model(tensors(TrackBatches(name)(store, np.array(rows), INFO))))
    if name in ("edges", "dbscan", "trees"):
        return leaves(model(tensors(Geometry(pairs=4)(store, np.array(rows), INFO))))
    batch = tensors(collate_sequences(store, rows, 0))
    if name.endswith("pretrained"):
        return leaves(model(torch.randn(BACKBONE.depth, len(batch["xyz"]), BACKBONE.width), batch["offsets"]))
    return leaves(model(batch["features"], batch["offsets"]))


def leaves(value: object) -> list[torch.Tensor]:
    """Tensors of an answer, however nested."""
    if isinstance(value, torch.Tensor):
        return [value]
    if is_dataclass(value):
        value = astuple(value)  # type: ignore[arg-type]
    if isinstance(value, dict):
        value = [value[key] for key in sorted(value)]
    return [leaf for item in value for leaf in leaves(item)] if isinstance(value, list | tuple) else []


def test_every_architecture_is_tried_here(space: Workspace) -> None:
    tried = {json.loads((space.run(name) / "config.json").read_text())["architecture"] for name in NAMES}
    assert tried == set(ARCHITECTURES) == set(architectures.ARCHITECTURES)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_directory_becomes_the_network_that_was_saved(zoo, name: str) -> None:
    space, saved = zoo
    model = load_model(space.run(name))
    assert type(model) is type(saved[name])
    assert not model.training
    weights = saved[name].state_dict()
    assert all(torch.equal(weights[key], value) for key, value in model.state_dict().items())
    before, after = outputs(name, saved[name], space), outputs(name, model, space)
    assert before
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_kalman_filter_keeps_all_cuts_of_the_tracker() -> None:
    assert len(TrackerSettings()) == CUTS


def test_token_features_are_those_of_the_probe(zoo) -> None:
    space, saved = zoo
    store = PreparedStore(space.cache("groups"))
    found = event_features(space.run("polar_mae"), store, 2)
    expected = encode(saved["polar_mae"].encoder.eval(), store, np.array([2]), "semantic").features
    assert found.layers.shape == (MODEL.depth, len(expected), MODEL.width)
    np.testing.assert_allclose(found.last.numpy(), expected, atol=1e-6)
    np.testing.assert_array_equal(found.xyz.numpy().ravel(), store.value(2, "centre_xyz"))


def test_point_features_of_a_table_are_those_of_the_cache(zoo) -> None:
    space, saved = zoo
    store = PreparedStore(space.cache("sequences"))
    run, table = space.run("fm4npp"), space.cache("sequences-events.parquet")
    with open_event(table, 3, run) as (one, row):
        found = event_features(run, one, row)
    at = store.event_ids(range(len(store))).index(found.event_id)
    again = event_features(run, store, at)
    assert found.layers.shape == (BACKBONE.depth, store.lengths[at], BACKBONE.width)
    assert torch.equal(found.layers, again.layers)
    mixed = torch.nn.functional.layer_norm(again.layers.mean(0), (BACKBONE.width,))
    np.testing.assert_allclose(equal_mix(saved["fm4npp"], event_batch(store, [at])), mixed.numpy(), atol=1e-6)
    np.testing.assert_array_equal(found.xyz.numpy()[:, 2], store.value(at, "z"))
    assert np.abs(np.hypot(*found.xyz.numpy()[:, :2].T) - LAYER_RADII_CM[:, None]).min(0).max() < 1e-3


def test_what_is_no_backbone_is_refused_by_name(space: Workspace) -> None:
    store = PreparedStore(space.cache("sequences"))
    with pytest.raises(
        CheckpointError, match="'fm4npp_adapter' makes no picture 'features'; it makes: prediction, order"
    ):
        event_features(space.run("track-none"), store, 0)


def test_what_cannot_be_built_names_folder_and_key(space: Workspace, tmp_path: Path) -> None:
    save_model(tmp_path, torch.nn.Linear(1, 1), config={"architecture": "kalman"}, card="", run={}, history=[])
    with pytest.raises(
        CheckpointError, match=rf"{tmp_path.name}: .*'kalman' in config.json; allowed: polar_mae, point_mae"
    ):
        load_model(tmp_path)
    groups, sequences = (PreparedStore(space.cache(name)) for name in ("groups", "sequences"))
    for name, config in configs(groups, sequences).items():
        for key in sorted({"model", "baseline", "adapter", "filters"} & set(config)) if name != "kalman" else []:
            with pytest.raises(CheckpointError, match=f"'{config['architecture']}' lacks the key '{key}'"):
                build({k: v for k, v in config.items() if k != key})
    broken = tmp_path / "broken"
    shutil.copytree(space.run("polar_mae"), broken)
    config = json.loads((broken / "config.json").read_text())
    config["model"]["width"] = 25
    (broken / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"(?s)broken: .*width \(25\) must be a multiple of heads"):
        load_model(broken)
