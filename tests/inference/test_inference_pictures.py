"""Pictures of trained models: an event of a raw table is prepared as the model's own cache, tables hold what the report draws,
and wrong requests say what is possible."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tpcfm.plan.pictures import Fm4nppPictures, PolarMaePictures

from fm4npp_toys import toy_cache as sequences
from polar_mae_toys import MODEL
from polar_mae_toys import toy_cache as groups
from tpcfm.config.workflow import PicturesConfig
from tpcfm.errors import CheckpointError, ConfigError, DataError
from tpcfm.inference.picture_data import Choice, picture_data
from tpcfm.inference.predict import predict_event
from tpcfm.models.fm4npp.adapters import make_adapter
from tpcfm.models.fm4npp.settings import AdapterConfig, Fm4nppModel
from tpcfm.models.polar_mae.autoencoder import make_masked_autoencoder
from tpcfm.prepare.sequences.settings import TargetConfig
from tpcfm.prepare.store import PreparedStore
from tpcfm.report.show import show_model
from tpcfm.systems.fm4npp import pictures as pictures_fm4npp
from tpcfm.systems.fm4npp.support import backbone_config, new_backbone
from tpcfm.systems.polar_mae import pictures as pictures_polar_mae
from tpcfm.train import save_model
from tpcfm.workspace import Workspace

BACKBONE = Fm4nppModel(width=64, depth=2, dropout=0.0)
TRAIN = {"steps": 1, "batch_size": 1}


def save(workspace: Workspace, name: str, model: torch.nn.Module, config: dict) -> Path:
    folder = workspace.run(name)
    save_model(folder, model, config=config, card="", run={}, history=[])
    return folder


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Untrained models of every kind beside the caches they fit."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    workspace = Workspace(Path(tmp_path_factory.mktemp("pictures")))
    store = groups(workspace.cache("groups"), 12)
    masked = {"model": MODEL.model_dump(mode="json"), "slots": 32, "tokenizer": store.settings, "detector": "pilarnet"}
    for kind in ("polar_mae", "point_mae"):
        save(workspace, kind, make_masked_autoencoder(kind, MODEL, 32), {"architecture": kind, **masked})
    sequences(workspace.cache("sequences"))
    line = PreparedStore(workspace.cache("sequences"))
    save(
        workspace,
        "backbone",
        new_backbone(BACKBONE, TargetConfig(), 0),
        backbone_config(BACKBONE, TargetConfig(), line),
    )
    shared = {"serialization": line.settings["serialization"], "edges": line.manifest["edges"], "detector": "sphenix"}
    for task in ("tracks", "pid", "noise"):
        for start in ("pretrained", "none"):
            block = AdapterConfig(task=task, start=start, n_labels=1, width=16, queries=8, model=BACKBONE, train=TRAIN)
            config = {"architecture": f"fm4npp_{task}", "adapter": block.model_dump(mode="json"), **shared}
            save(workspace, f"{task}-{start}", make_adapter(block), config | {"pretrained": "backbone"})
    return workspace


def collider_table(space: Workspace) -> Path:
    return space.root / "cache" / "sequences-events.parquet"


def test_an_event_of_a_table_is_predicted_as_in_the_cache(space: Workspace) -> None:
    run, store = space.run("tracks-pretrained"), PreparedStore(space.cache("sequences"))
    given = picture_data(collider_table(space), 3, [run], "", Choice())
    event = given["events"]["tracks-pretrained"]
    known = predict_event(run, store, list(store.event_ids(np.arange(len(store)))).index(given["event_id"]))
    assert given["task"] == "track"
    np.testing.assert_array_equal(event["prediction"], known["prediction"])
    np.testing.assert_array_equal(event["truth"], known["truth"])


@pytest.mark.parametrize(
    ("cache", "runs", "picture"),
    [
        ("groups", ["polar_mae"], "attention"),
        ("groups", ["polar_mae"], "reconstruction"),
        ("groups", ["polar_mae", "point_mae"], "features"),
        ("sequences", ["pid-none", "pid-pretrained"], "prediction"),
        ("sequences", ["backbone"], "features"),
        ("sequences", ["backbone"], "order"),
    ],
)
def test_every_picture_becomes_a_still_and_a_page(
    space: Workspace, tmp_path: Path, cache: str, runs: list[str], picture: str
) -> None:
    data = picture_data(space.cache(cache), 1, [space.run(run) for run in runs], picture, Choice(tokens=[0, 2]))
    for ending in ("png", "html"):
        show_model(data, tmp_path / f"{picture}.{ending}")
        assert (tmp_path / f"{picture}.{ending}").stat().st_size > 5000
    assert data["points"] == PreparedStore(space.cache(cache)).lengths[1]


def test_wrong_requests_say_what_is_possible(space: Workspace, tmp_path: Path) -> None:
    polar, backbone = space.run("polar_mae"), space.run("backbone")
    with pytest.raises(ConfigError, match=r"--layer 4: this model has 1 to 3"):
        picture_data(space.cache("groups"), 0, [polar], "attention", Choice(layer=4))
    with pytest.raises(ConfigError, match=r"--token 999: this event has tokens 0 to"):
        picture_data(space.cache("groups"), 0, [polar], "attention", Choice(tokens=[999]))
    with pytest.raises(ConfigError, match=r"--mask-ratio 1.0"):
        picture_data(space.cache("groups"), 0, [polar], "reconstruction", Choice(mask_ratio=1.0))
    with pytest.raises(CheckpointError, match=r"no picture 'attention'; it makes: features, order"):
        picture_data(space.cache("sequences"), 0, [backbone], "attention", Choice())
    silent = tmp_path / "kalman"
    shutil.copytree(backbone, silent)
    config = json.loads((silent / "config.json").read_text())
    (silent / "config.json").write_text(json.dumps({**config, "architecture": "baseline_kalman"}))
    with pytest.raises(CheckpointError, match=r"'baseline_kalman' makes no pictures; .*predictions.parquet"):
        picture_data(space.cache("sequences"), 0, [silent], "", Choice())
    with pytest.raises(DataError, match=r"a collider event; this model was trained on liquid-argon"):
        picture_data(collider_table(space), 0, [polar], "", Choice())
    with pytest.raises(DataError, match=r"no event 99: it has 20"):
        picture_data(collider_table(space), 99, [backbone], "", Choice())
    with pytest.raises(ConfigError, match=r"2 runs; the picture 'attention' shows one"):
        picture_data(space.cache("groups"), 0, [polar, space.run("point_mae")], "attention", Choice())
    with pytest.raises(ConfigError, match=r"different things \(noise, pid\)"):
        picture_data(space.cache("sequences"), 0, [space.run("pid-none"), space.run("noise-none")], "", Choice())


def test_attention_table_holds_every_layer_and_head(space: Workspace, tmp_path: Path) -> None:
    pictures_polar_mae.write_pictures(PolarMaePictures("groups", {"polar_mae": "polar_mae"}), space, tmp_path)
    tokens = pd.read_parquet(tmp_path / "attention_tokens.parquet")
    table = pd.read_parquet(tmp_path / "attention.parquet")
    assert len(table) == table["query"].nunique() * MODEL.depth * MODEL.heads
    assert set(table["layer"]) == {1, 2, 3}
    np.testing.assert_allclose([w.sum() for w in table["weight"]], 1, rtol=1e-4)
    assert {len(w) for w in table["weight"]} == {len(tokens)}


def test_collider_tables_hold_features_numbers_paths_boxes_and_pairs(space: Workspace, tmp_path: Path) -> None:
    adapters = {task: f"{task}-pretrained" for task in ("tracks", "pid", "noise")}
    compared = {"adapter only": "tracks-none", "pretrained": "tracks-pretrained"}
    config = PicturesConfig(events=2, points=40, tsne_dims=[2])
    pictures_fm4npp.write_pictures(
        Fm4nppPictures("", "sequences", "backbone", adapters, compared), config, space, tmp_path
    )
    points, numbers = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("features", "grouping"))
    assert set(points["label"]) == {"track", "pid", "noise"}
    assert set(points["method"]) >= {"pca", "tsne"}
    assert (points.groupby(["label", "source", "stage", "method", "dims"]).size() <= 40).all()
    full = numbers[(numbers["space"] == "features") & (numbers["label"] == "track")]
    assert set(zip(full["source"], full["stage"], strict=True)) == {
        ("input", ""), ("random", ""), ("pretrained", ""),
        *((task, stage) for task in adapters for stage in ("before", "after")),
    }  # fmt: skip
    assert full["purity"].between(0, 1).all()
    paths = pd.read_parquet(tmp_path / "paths.parquet")
    sums = paths.groupby("order")[["x", "y", "z"]].sum()
    assert len(sums) == 4
    np.testing.assert_allclose(sums - sums.iloc[0], 0, atol=1e-2)  # the same points in every order
    pairs = pd.read_parquet(tmp_path / "pairs.parquet")
    assert (pairs["distance"] < pictures_fm4npp.CLOSE_CM).all()
