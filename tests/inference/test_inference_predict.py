"""Predictions of one event: values of the label, point by point, for every network that predicts one."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from event_tables import SPHENIX, write_table
from fm4npp_toys import toy_event
from model_zoo import PREDICTORS, configs, events_of
from tpcfm.detectors.model import ClassLabel, Detector
from tpcfm.errors import CheckpointError, ConfigError, DataError
from tpcfm.events.read import read_event
from tpcfm.inference.one_event import open_event
from tpcfm.inference.predict import predict_event, predicted_labels
from tpcfm.models.registry import build
from tpcfm.prepare.cache import write_manifest
from tpcfm.prepare.sequences.cache import fit_edges, write_part
from tpcfm.prepare.sequences.settings import SerializationConfig, TargetConfig
from tpcfm.prepare.store import PreparedStore
from tpcfm.train import load_config, save_model
from tpcfm.workspace import Workspace


@pytest.mark.parametrize("run", PREDICTORS)
def test_every_answer_is_a_value_of_the_label_at_a_point_of_the_event(space: Workspace, run: str) -> None:
    event = read_event(events_of(space, run), 3)
    with open_event(events_of(space, run), 3, space.run(run)) as (store, row):
        found = predict_event(space.run(run), store, row)
        label = store.detector.labels[PREDICTORS[run]]
    assert found["task"] == PREDICTORS[run]
    assert found["event_id"] == event["event_id"]
    rows = found["row"]
    assert len(np.unique(rows)) == len(rows) == len(found["prediction"])
    for name in ("x", "y", "z", "energy"):
        np.testing.assert_array_equal(found[name], np.float32(event[name][rows]))
    assert ("truth" in found) == (found["task"] in event)
    if "truth" in found:
        np.testing.assert_array_equal(found["truth"], event[found["task"]][rows])
    allowed = set(label.values) if isinstance(label, ClassLabel) else set(range(-1, len(rows)))
    assert found["prediction"].dtype == np.int64
    assert set(found["prediction"].tolist()) <= allowed


@pytest.mark.parametrize("run", PREDICTORS)
def test_events_without_labels_are_predicted_alike(space: Workspace, tmp_path: Path, run: str) -> None:
    table = events_of(space, run)
    event = read_event(table, 3)
    with open_event(table, 3, space.run(run)) as (store, row):
        known, detector = predict_event(space.run(run), store, row), store.detector
    bare = {name: value for name, value in event.items() if name not in detector.labels}
    write_table(tmp_path / "bare.parquet", detector, [bare])
    with open_event(tmp_path / "bare.parquet", 0, space.run(run)) as (store, row):
        found = predict_event(space.run(run), store, row)
    assert "truth" not in found
    np.testing.assert_array_equal(found["row"], known["row"])
    np.testing.assert_array_equal(found["prediction"], known["prediction"])


def test_points_that_a_cut_took_out_have_no_answer(space: Workspace, tmp_path: Path) -> None:
    event = dict(read_event(events_of(space, "sparse_unet"), 3))
    detector = PreparedStore(space.cache("groups")).detector
    event["semantic"], event["energy"] = event["semantic"].copy(), event["energy"].copy()
    event["semantic"][:7] = detector.classes()["semantic"].removed[0]
    event["energy"][10:20] = 0.01
    write_table(tmp_path / "cut.parquet", detector, [event])
    with open_event(tmp_path / "cut.parquet", 0, space.run("sparse_unet")) as (store, row):
        found = predict_event(space.run("sparse_unet"), store, row)
    left = [*range(7, 10), *range(20, len(event["x"]))]
    assert sorted(found["row"].tolist()) == left


def test_a_model_of_several_labels_answers_the_one_asked_for(space: Workspace) -> None:
    run, store = space.run("both-pretrained"), PreparedStore(space.cache("sequences"))
    assert set(predicted_labels(run)) == {"pid", "noise"}
    for label in ("pid", "noise"):
        found = predict_event(run, store, 2, label)
        assert found["task"] == label
        np.testing.assert_array_equal(found["truth"], store.value(2, label))
    assert predict_event(run, store, 2)["task"] == predicted_labels(run)[0]
    with pytest.raises(ConfigError, match=r"does not predict 'track'; it predicts (pid, noise|noise, pid)"):
        predict_event(run, store, 2, "track")


def recoded() -> Detector:
    """The collider detector with species numbered 11, 22, ... and one of them neither trained nor scored."""
    plain = SPHENIX.model_dump(mode="json", exclude_defaults=True)
    names = list(SPHENIX.classes()["pid"].classes.values())
    classes = {11 * (k + 1): {"name": c.name} for k, c in enumerate(names)}
    plain["labels"]["pid"] = {"kind": "classes", "type": "int16", "classes": classes, "ignored": [22]}
    return Detector.model_validate(plain)


@pytest.mark.parametrize("run", ["pid-none", "sage"])
def test_classes_are_decoded_to_the_values_of_the_label(space: Workspace, tmp_path: Path, run: str) -> None:
    detector, rng = recoded(), np.random.default_rng(2)
    events = [{"event_id": f"a/b/{i}", "split": "train", **toy_event(rng, 5)} for i in range(4)]
    for event in events:
        event["pid"] = 11 * (event["pid"] + 1)
    folder, table = tmp_path / "cache" / "sequences", tmp_path / "events.parquet"
    folder.mkdir(parents=True)
    write_table(table, detector, events)
    fit_edges([table], folder / "edges.json", SerializationConfig(bins=(2, 2, 3)))
    write_part(table, folder / "edges.json", folder / "a.arrow", SerializationConfig(bins=(2, 2, 3)), TargetConfig(k=2))
    write_manifest(folder, name="sequences", edges=folder / "edges.json")
    store = PreparedStore(folder)
    config = configs(PreparedStore(space.cache("groups")), store)[run]
    config = json.loads(json.dumps(config).replace('"pid": 5', '"pid": 4'))
    torch.manual_seed(3)
    save_model(tmp_path / "run", build(config), config=config, card="", run={}, history=[])
    found = predict_event(tmp_path / "run", store, 1)
    assert set(np.unique(found["prediction"])) <= {11, 33, 44, 55}
    assert set(np.unique(found["truth"])) <= {11, 22, 33, 44, 55}
    with open_event(table, 1, tmp_path / "run") as (one, row):
        np.testing.assert_array_equal(predict_event(tmp_path / "run", one, row)["prediction"], found["prediction"])


def test_what_predicts_nothing_or_does_not_fit_is_refused(space: Workspace, tmp_path: Path) -> None:
    groups, sequences = PreparedStore(space.cache("groups")), PreparedStore(space.cache("sequences"))
    with pytest.raises(CheckpointError, match="'fm4npp' makes no picture 'prediction'; it makes: features, order"):
        predict_event(space.run("fm4npp"), sequences, 0)
    with pytest.raises(DataError, match=r"detector sphenix .*; this model was trained on events of pilarnet"):
        predict_event(space.run("sparse_unet"), sequences, 0)
    other = tmp_path / "head"
    shutil.copytree(space.run("semantic-head"), other)
    config = load_config(other)
    config["tokenizer"]["radius"] = 7.0
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"radius.*7\.0"):
        predict_event(other, groups, 0)
