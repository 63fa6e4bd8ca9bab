"""Pictures of trained models: an event of a raw table is prepared as the model's own cache, tables hold what the report draws,
and wrong requests say what is possible."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from polar_mae_toys import MODEL
from tpcfm.config.workflow import PicturesConfig
from tpcfm.errors import CheckpointError, ConfigError, DataError
from tpcfm.inference.picture_data import picture_data
from tpcfm.inference.predict import predict_event
from tpcfm.prepare.store import PreparedStore
from tpcfm.report.show import show_model
from tpcfm.systems.architectures import ARCHITECTURES, PICTURES, Choice
from tpcfm.systems.fm4npp import pictures as pictures_fm4npp
from tpcfm.systems.fm4npp.choice import Fm4nppPictures
from tpcfm.systems.polar_mae import pictures as pictures_polar_mae
from tpcfm.systems.polar_mae.choice import PolarMaePictures
from tpcfm.workspace import Workspace


def collider_table(space: Workspace) -> Path:
    return space.cache("sequences-events.parquet")


def test_an_event_of_a_table_is_predicted_as_in_the_cache(space: Workspace) -> None:
    run, store = space.run("track-pretrained"), PreparedStore(space.cache("sequences"))
    given = picture_data(collider_table(space), 3, [run], "", Choice())
    event = given["events"]["track-pretrained"]
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
        ("groups", ["semantic-head", "sparse_unet"], "prediction"),
        ("sequences", ["pid-none", "both-pretrained", "sage"], "prediction"),
        ("sequences", ["track-pretrained", "eggnet"], "prediction"),
        ("sequences", ["fm4npp"], "features"),
        ("sequences", ["kalman"], "order"),
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
    polar, backbone = space.run("polar_mae"), space.run("fm4npp")
    with pytest.raises(ConfigError, match=r"--layer 4: this model has 1 to 3"):
        picture_data(space.cache("groups"), 0, [polar], "attention", Choice(layer=4))
    with pytest.raises(ConfigError, match=r"--token 999: this event has tokens 0 to"):
        picture_data(space.cache("groups"), 0, [polar], "attention", Choice(tokens=[999]))
    with pytest.raises(ConfigError, match=r"--mask-ratio 1.0"):
        picture_data(space.cache("groups"), 0, [polar], "reconstruction", Choice(mask_ratio=1.0))
    with pytest.raises(CheckpointError, match=r"no picture 'attention'; it makes: features, order"):
        picture_data(space.cache("sequences"), 0, [backbone], "attention", Choice())
    with pytest.raises(CheckpointError, match=r"'token_encoder' makes no pictures; these do: "):
        picture_data(space.cache("groups"), 0, [space.run("token_encoder")], "", Choice())
    with pytest.raises(DataError, match=r"sphenix \(.*; this model was trained on events of pilarnet \("):
        picture_data(collider_table(space), 0, [polar], "", Choice())
    with pytest.raises(DataError, match=r"--run .*no: no such folder; there are: .*fm4npp, gat"):
        picture_data(collider_table(space), 0, [space.run("no")], "", Choice())
    with pytest.raises(CheckpointError, match=r"pid-none: prepares events in another way than .*semantic-head"):
        picture_data(space.cache("groups"), 0, [space.run("semantic-head"), space.run("pid-none")], "", Choice())
    with pytest.raises(DataError, match=r"no event 99: it has 20"):
        picture_data(collider_table(space), 99, [backbone], "", Choice())
    with pytest.raises(ConfigError, match=r"2 runs; the picture 'attention' shows one"):
        picture_data(space.cache("groups"), 0, [polar, space.run("point_mae")], "attention", Choice())
    with pytest.raises(ConfigError, match=r"different things \(noise, pid\)"):
        picture_data(space.cache("sequences"), 0, [space.run("pid-none"), space.run("noise-none")], "", Choice())
    runs = [space.run("both-none"), space.run("noise-none")]
    with pytest.raises(ConfigError, match=r"--color pid: not predicted by all of these runs; allowed: noise"):
        picture_data(space.cache("sequences"), 0, runs, "", Choice(label="pid"))


@pytest.mark.parametrize("run", ["both-none", "both-pretrained"])
def test_the_label_of_a_joint_model_can_be_chosen(space: Workspace, run: str) -> None:
    for label in ("pid", "noise"):
        data = picture_data(collider_table(space), 2, [space.run(run)], "", Choice(label=label))
        assert data["task"] == label
    shared = picture_data(collider_table(space), 2, [space.run(run), space.run("noise-none")], "", Choice())
    assert shared["task"] == "noise"


def test_every_picture_has_its_maker() -> None:
    assert {name for one in ARCHITECTURES.values() for name in one.pictures} == set(PICTURES)
    needed = {"prediction": ["predictor"], "features": ["embedder"], "order": []}
    for one in ARCHITECTURES.values():
        for name in (maker for picture in one.pictures for maker in needed.get(picture, [picture])):
            assert callable(getattr(one.module, name)), (one.path, name)


def test_attention_table_holds_every_layer_and_head(space: Workspace, tmp_path: Path) -> None:
    pictures_polar_mae.write_pictures(
        PolarMaePictures("groups", {"polar_mae": "polar_mae"}), PicturesConfig(), space, tmp_path
    )
    tokens = pd.read_parquet(tmp_path / "attention_tokens.parquet")
    table = pd.read_parquet(tmp_path / "attention.parquet")
    assert len(table) == table["query"].nunique() * MODEL.depth * MODEL.heads
    assert set(table["layer"]) == {1, 2, 3}
    np.testing.assert_allclose([w.sum() for w in table["weight"]], 1, rtol=1e-4)
    assert {len(w) for w in table["weight"]} == {len(tokens)}


def test_collider_tables_hold_features_numbers_paths_boxes_and_pairs(space: Workspace, tmp_path: Path) -> None:
    adapters = {task: f"{task}-pretrained" for task in ("track", "pid", "noise")}
    compared = {"adapter only": "track-none", "pretrained": "track-pretrained"}
    config = PicturesConfig(events=2, points=40, tsne_dims=[2])
    pictures_fm4npp.write_pictures(
        Fm4nppPictures("", "sequences", "fm4npp", adapters, compared, "track"), config, space, tmp_path
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
