"""Whole files through a model: a row per event in the file's order, nothing dropped, restarts, and labels like the input."""

import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from model_zoo import events_of
from rawfiles import collider_shard, lartpc_event, write_pilarnet, write_tpcpp
from tpcfm.detectors.registry import load_detector
from tpcfm.errors import CheckpointError, ConfigError, DataError
from tpcfm.inference import jobs
from tpcfm.inference.answers import Prediction
from tpcfm.inference.like_input import numbered
from tpcfm.inference.model import Model
from tpcfm.tracking.helix_fit import fit_helices
from tpcfm.workspace import Workspace


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """A raw collider file."""
    return write_tpcpp(tmp_path / "raw", collider_shard(np.random.default_rng(2), events=9), "_003")


@pytest.fixture
def voxels(tmp_path: Path) -> tuple[Path, list[dict[str, Any]]]:
    """A raw file of voxels whose events 1 and 4 no model takes: one with a broken energy, one with too few points after the cuts."""
    rng = np.random.default_rng(2)
    events = [lartpc_event(rng, points=120 + 30 * i) for i in range(6)]
    events[1]["point"][7, 3] = -1
    events[4]["point"][:, 3] = 0.01
    return write_pilarnet(tmp_path / "raw" / "bombs.h5", events), events


def model(space: Workspace, run: str) -> Model:
    return Model(space.run(run), "cpu")


def test_a_table_holds_a_row_per_event_and_a_value_per_point(space: Workspace, voxels: Any, tmp_path: Path) -> None:
    path, events = voxels
    (table,) = model(space, "sparse_unet").predict_files(path, tmp_path / "out", batch_points=400)
    assert table == tmp_path / "out" / "bombs.predictions.parquet"
    found = pq.read_table(table).to_pylist()
    assert [row["row"] for row in found] == list(range(6))
    assert [row["event_id"] for row in found] == [f"bombs/{i}" for i in range(6)]
    for row, event in zip(found, events, strict=True):
        assert (
            row["n_points"]
            == len(event["point"])
            == len(row["semantic"])
            == len(row["semantic_score"] or row["semantic"])
        )
    assert "point.energy: 1 of" in found[1]["reason"]
    assert "0 points after the cuts" in found[4]["reason"]
    for row in (1, 4):
        assert set(found[row]["semantic"]) == {None}
    good, event = found[0], events[0]
    gone = (event["point"][:, 3] <= 0.13) | (np.arange(len(event["point"])) < 20)  # under the threshold, or low-energy
    assert [value is None for value in good["semantic"]] == gone.tolist()
    assert {value for value in good["semantic"] if value is not None} <= {0, 1, 2, 3}
    rejected = pd.read_parquet(tmp_path / "out" / "bombs.rejected.parquet")
    assert rejected["row"].tolist() == [1, 4]
    assert rejected["file"].tolist() == ["bombs.h5"] * 2
    assert len(pd.read_parquet(tmp_path / "out" / "bombs.objects.parquet")) == 0


def test_found_objects_stand_in_a_table_of_their_own(space: Workspace, shard: Path, tmp_path: Path) -> None:
    (table,) = model(space, "eggnet").predict_files(shard, tmp_path / "out")
    found, objects = pd.read_parquet(table), pd.read_parquet(jobs.beside(table, "objects"))
    data = np.load(shard)
    points = np.split(data["data"], np.cumsum(data["size"])[:-1])
    assert len(objects)
    for row in objects.to_dict("records"):
        mine = np.asarray(found["track"][row["row"]]) == row["object"]
        assert mine.sum() == row["n_points"]
        assert row["label"] == "track"
        event = points[row["row"]][mine]
        np.testing.assert_allclose([row[axis] for axis in "xyz"], event[:, 1:].mean(0), rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(row["energy"], event[:, 0].sum(), rtol=1e-4)
        if mine.sum() < 3:
            assert np.isnan(row["pt"])
            continue
        fit = fit_helices(np.zeros(len(event), int), event[:, 1:], load_detector("sphenix").pt_per_radius)
        np.testing.assert_allclose(
            [row[n] for n in ("pt", "eta", "phi")], [fit.pt[0], fit.eta[0], fit.phi[0]], rtol=1e-4, atol=1e-4
        )
        assert row["charge"] == fit.charge[0]


def test_tables_and_raw_files_of_the_same_events_are_answered_alike(space: Workspace, tmp_path: Path) -> None:
    from tpcfm.events.job import ingest_file

    shard = write_tpcpp(tmp_path / "raw", collider_shard(np.random.default_rng(4), events=5))
    ingest_file(shard, "sphenix", "a", tmp_path / "events.parquet", tmp_path / "bad.parquet", lambda _: "test")
    tables = model(space, "pid-pretrained").predict_files([shard, tmp_path / "events.parquet"], tmp_path / "out")
    raw, table = (pd.read_parquet(path) for path in tables)
    for label in ("pid", "pid_score"):
        for one, other in zip(raw[label], table[label], strict=True):
            np.testing.assert_array_equal(one, other)
    assert table["event_id"].tolist() == [f"a/events/{i}" for i in range(5)]


def test_finished_files_are_left_alone(space: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = [
        write_tpcpp(tmp_path / "raw", collider_shard(np.random.default_rng(i), events=3), f"_{i:03}") for i in range(3)
    ]
    out, sage = tmp_path / "out", model(space, "sage")
    first = sage.predict_files(raw[:2], out)
    kept = [path.stat().st_mtime_ns for path in first]
    asked: list[Path] = []
    original = jobs.open_events
    monkeypatch.setattr(jobs, "open_events", lambda path, *rest: asked.append(path) or original(path, *rest))
    assert sage.predict_files(str(tmp_path / "raw" / "spacepoints_*.npz"), out) == [
        *first,
        out / "spacepoints_002.predictions.parquet",
    ]
    assert asked == raw[2:]
    assert [path.stat().st_mtime_ns for path in first] == kept
    sage.predict_files(raw[:1], out, overwrite=True)
    assert asked == [raw[2], raw[0]]
    with pytest.raises(ConfigError, match=r"was made by the model sage .*now it would be gat"):
        model(space, "gat").predict_files(raw[:1], out)
    write_tpcpp(tmp_path / "raw", collider_shard(np.random.default_rng(9), events=4), "_000")
    with pytest.raises(ConfigError, match="was made of a file of the size"):
        sage.predict_files(raw[:1], out)


def test_what_stops_in_the_middle_leaves_nothing(
    space: Workspace, shard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sage, original = model(space, "sage"), Model.predict_events

    def stops(self: Model, *given: Any) -> Any:
        for number, found in enumerate(original(self, *given)):
            if number == 4:
                raise KeyboardInterrupt
            yield found

    with monkeypatch.context() as patch:
        patch.setattr(Model, "predict_events", stops)
        with pytest.raises(KeyboardInterrupt):
            sage.predict_files(shard, tmp_path / "out", batch_points=100)
    assert not list((tmp_path / "out").iterdir())
    (table,) = sage.predict_files(shard, tmp_path / "out")
    assert len(pd.read_parquet(table)) == 9


def test_a_damaged_file_stops_no_other(space: Workspace, shard: Path, tmp_path: Path) -> None:
    broken, later = tmp_path / "raw" / "spacepoints_001.npz", tmp_path / "raw" / "spacepoints_009.npz"
    broken.write_bytes(shard.read_bytes()[:500])
    shutil.copy(shard, later)
    with pytest.raises(
        DataError, match=r"spacepoints_001.npz.*\n.*read as a file of sphenix(.|\n)*1 of 3 files could not be read"
    ):
        model(space, "sage").predict_files([broken, shard, later], tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").glob("*.predictions.parquet")} == {
        "spacepoints_003.predictions.parquet", "spacepoints_009.predictions.parquet"
    }  # fmt: skip


def test_what_cannot_be_worked_through_is_refused_first(space: Workspace, tmp_path: Path) -> None:
    raw = [write_tpcpp(tmp_path / run, collider_shard(np.random.default_rng(1), events=2)) for run in ("a", "b")]
    with pytest.raises(
        ConfigError, match=r"a/spacepoints.npz, .*b/spacepoints.npz would be written as the same 'spacepoints'"
    ):
        model(space, "sage").predict_files(raw, tmp_path / "out")
    with pytest.raises(ConfigError, match="matches no file"):
        model(space, "sage").predict_files(str(tmp_path / "*.h5"), tmp_path / "out")
    with pytest.raises(ConfigError, match="batch_points: 0; allowed"):
        model(space, "sage").predict_files(raw, tmp_path / "out", batch_points=0)
    with pytest.raises(CheckpointError, match=r"predicts no label; `tpcfm embed` takes its features"):
        model(space, "fm4npp").predict_files(raw, tmp_path / "out")


def test_packs_like_the_input(space: Workspace, shard: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (table,) = model(space, "both-pretrained").predict_files(shard, out, like_input=True)
    found = pd.read_parquet(table)
    for stem, label in (("pid_labels", "pid"), ("noise_tags", "noise")):
        pack = np.load(out / f"{stem}_003.npz")
        np.testing.assert_array_equal(pack["size"], np.load(shard)["size"])
        np.testing.assert_array_equal(pack["data"], np.concatenate(found[label].to_list()))
    (out / "pid_labels_003.npz").unlink()
    model(space, "both-pretrained").predict_files(shard, out, like_input=True)
    assert (out / "pid_labels_003.npz").exists()
    with pytest.raises(ConfigError, match="lies in the --out folder"):
        model(space, "sage").predict_files(shard, shard.parent, like_input=True)
    with pytest.raises(ConfigError, match="is an event table"):
        model(space, "sage").predict_files(events_of(space, "sage"), out, like_input=True)


def test_voxels_like_the_input_hold_minus_one_without_an_answer(space: Workspace, voxels: Any, tmp_path: Path) -> None:
    path, events = voxels
    (table,) = model(space, "sparse_unet").predict_files(path, tmp_path / "out", like_input=True)
    found = pd.read_parquet(table)["semantic"]
    with h5py.File(tmp_path / "out" / "bombs.h5") as file:
        for i, event in enumerate(events):
            np.testing.assert_array_equal(file["point"][i].reshape(-1, 8), event["point"])
            np.testing.assert_array_equal(file["semantic"][i], np.nan_to_num(found[i].astype(float), nan=-1))


def test_objects_never_take_the_number_of_the_background() -> None:
    track = load_detector("sphenix").instances()["track"]
    ids = np.array([-1, 0, 1, 2])
    plain = track.model_copy(update={"background": [], "minimum": 0})
    assert numbered(ids, plain).tolist() == [-1, 0, 1, 2]
    assert numbered(ids, plain.model_copy(update={"background": [0, 2]})).tolist() == [0, 1, 3, 4]
    assert numbered(ids, plain.model_copy(update={"background": [-1], "minimum": 5})).tolist() == [-1, 5, 6, 7]


@pytest.mark.parametrize(("run", "points"), [("polar_mae", False), ("fm4npp", True)])
def test_features_of_files(space: Workspace, voxels: Any, shard: Path, tmp_path: Path, run: str, points: bool) -> None:
    path = shard if points else voxels[0]
    (table,) = jobs.embed_files(model(space, run), path, tmp_path / "out", workers=0)
    found = pq.read_table(table).to_pylist()
    assert len(found) == (9 if points else 6)
    for row in found:
        if row["reason"]:
            assert row["features"] is None
            continue
        assert len(row["features"]) == len(row["x"])
        assert (row["point"] is not None) == points
        if points:
            assert sorted(row["point"]) == list(range(row["n_points"]))
            np.testing.assert_array_equal(np.load(shard)["data"][:, 1][np.array(row["point"])], row["x"]) if not row[
                "row"
            ] else None
    assert sum(bool(row["reason"]) for row in found) == (0 if points else 2)


def test_events_too_damaged_to_count_are_listed(space: Workspace, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    path = write_pilarnet(tmp_path / "raw" / "a.h5", [lartpc_event(rng) for _ in range(3)])
    with h5py.File(path, "r+") as file:
        file["point"][1] = file["point"][1][:-3]
    (table,) = model(space, "sparse_unet").predict_files(path, tmp_path / "out", like_input=True)
    found = pd.read_parquet(table)
    assert found["row"].tolist() == [0, 1, 2]
    assert found["n_points"][1] == 0
    assert "expected a multiple of 8" in found["reason"][1]
    with h5py.File(tmp_path / "out" / "a.h5") as file:
        assert [len(row) for row in file["semantic"]] == found["n_points"].tolist()


def test_a_prediction_reads_like_a_mapping_and_a_frame(space: Workspace, shard: Path) -> None:
    data = np.load(shard)
    event = data["data"][: data["size"][0]]
    found = model(space, "pid-none").predict(event[:, [1, 2, 3, 0]])
    assert isinstance(found, Prediction)
    frame = found.frame()
    assert list(frame) == ["pid", "pid_score", "answered"]
    np.testing.assert_array_equal(frame["pid"], found["pid"])
