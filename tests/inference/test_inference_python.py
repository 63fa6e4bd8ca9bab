"""`tpcfm.load` and points as people hold them: every form gives the same answer, and what does not fit is said in words."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import tpcfm
from fm4npp_toys import toy_event
from polar_mae_toys import toy_event as voxel_event
from tpcfm.errors import DataError
from tpcfm.inference.names import model_folder
from tpcfm.workspace import Workspace

NAMES = ["x", "y", "z", "energy"]


@pytest.fixture(scope="module")
def events() -> list[pd.DataFrame]:
    """Three collider events as frames."""
    rng = np.random.default_rng(8)
    return [pd.DataFrame({name: event[name] for name in NAMES}) for event in (toy_event(rng, 4) for _ in range(3))]


@pytest.fixture
def model(space: Workspace) -> tpcfm.Model:
    return tpcfm.load(space.run("pid-pretrained"), device="cpu")


def test_every_form_of_points_gives_the_same_answer(model: tpcfm.Model, events: list[pd.DataFrame]) -> None:
    known = model.predict(events)
    assert [found.n_points for found in known] == [len(event) for event in events]
    table = events[1].to_numpy()
    forms = (table, table.astype(np.float32), torch.tensor(table, requires_grad=True), events[1], dict(events[1]),
             {name: torch.tensor(events[1][name].to_numpy()) for name in NAMES})  # fmt: skip
    for points in forms:
        found = model.predict(points)
        assert isinstance(found, tpcfm.Prediction)
        np.testing.assert_array_equal(found["pid"], known[1]["pid"])
        np.testing.assert_allclose(found.scores["pid"], known[1].scores["pid"], rtol=2e-4, atol=2e-5)
    several = model.predict([table, events[2]])
    np.testing.assert_array_equal(several[1]["pid"], known[2]["pid"])
    assert model.predict([]) == []


def test_rows_of_a_frame_are_labelled_in_place(model: tpcfm.Model, events: list[pd.DataFrame]) -> None:
    known = model.predict(events)
    joined = pd.concat([event.assign(event=f"e{9 - i}", mine=i) for i, event in enumerate(events)])
    joined = joined.set_axis(np.arange(100, 100 + len(joined)))
    found = model.predict(joined, event="event")
    assert found.index.equals(joined.index)
    np.testing.assert_array_equal(found["pid"], np.concatenate([one["pid"] for one in known]))
    # Rows of one event need not be neighbours; within an event their order is theirs.
    mixed = joined.sort_values("x", kind="stable")
    again = model.predict(mixed, event=["event"])
    alone = model.predict(mixed[mixed["event"] == "e8"][NAMES])
    assert again.index.equals(mixed.index)
    np.testing.assert_array_equal(again[mixed["event"] == "e8"]["pid"], alone["pid"])
    with pytest.raises(DataError, match="the frame has no column run; it has x, y, z"):
        model.predict(joined, event="run")
    with pytest.raises(DataError, match="names a column of a pandas frame; given is a ndarray"):
        model.predict(events[0].to_numpy(), event="run")


def test_awkward_arrays_are_events(model: tpcfm.Model, events: list[pd.DataFrame]) -> None:
    awkward = pytest.importorskip("awkward")
    jagged = awkward.zip({name: awkward.Array([event[name].tolist() for event in events]) for name in NAMES})
    for found, known in zip(model.predict(jagged), model.predict(events), strict=True):
        np.testing.assert_array_equal(found["pid"], known["pid"])
    np.testing.assert_array_equal(model.predict(jagged[2])["pid"], model.predict(events[2])["pid"])


def test_points_out_of_the_detector_get_no_answer_and_a_reason(model: tpcfm.Model, events: list[pd.DataFrame]) -> None:
    far = events[0].copy()
    far.loc[3, "x"] = 1e4
    found = model.predict([far, events[1], events[0].iloc[:0]])
    assert "radius: 1 of" in found[0].reason
    assert not found[0].answered.any()
    assert set(found[0]["pid"]) == {-1}
    assert found[1].answered.all()
    assert found[2].reason == "x: no points"
    assert found[2].frame().empty


def test_cut_classes_are_cut_where_their_label_is_given(space: Workspace) -> None:
    model = tpcfm.load(space.run("sparse_unet"), device="cpu")
    event = voxel_event(np.random.default_rng(3))
    points = pd.DataFrame({name: event[name] for name in NAMES})
    whole = model.predict(points)
    low = model.detector.classes()["semantic"].removed[0]
    classes = np.where(np.arange(len(points)) < 5, low, 0).astype(np.int8)
    found = model.predict(points.assign(semantic=classes))
    assert found.answered.sum() == whole.answered.sum() - whole.answered[:5].sum()
    with pytest.raises(DataError, match="x: must be whole numbers for pilarnet"):
        model.predict(points.assign(x=points["x"] + 0.5))


@pytest.mark.parametrize("run", ["fm4npp", "polar_mae"])
def test_features_of_arrays(space: Workspace, run: str, events: list[pd.DataFrame]) -> None:
    model = tpcfm.load(space.run(run), device="cpu")
    assert "embeds" in repr(model)
    given = voxel_event(np.random.default_rng(3)) if run == "polar_mae" else events[0]
    found = model.embed({name: given[name] for name in NAMES})
    assert isinstance(found, tpcfm.Embedding)
    assert found.features.dtype == np.float32
    assert found.features.shape[0] == len(found.xyz) > 1
    if found.point is not None:
        np.testing.assert_array_equal(found.xyz[:, 0], np.float32(np.asarray(given["x"])[found.point]))


def test_what_is_no_event_is_said(model: tpcfm.Model, events: list[pd.DataFrame]) -> None:
    with pytest.raises(DataError, match=r"shape \(5, 3\); needed is \(N, 4\), the columns x, y, z, energy"):
        model.predict(np.zeros((5, 3)))
    with pytest.raises(DataError, match="no column energy; needed are x, y, z, energy, there are x, y, z"):
        model.predict(events[0][["x", "y", "z"]])
    with pytest.raises(DataError, match="columns of different lengths"):
        model.predict({name: np.zeros(3 if name == "x" else 4) for name in NAMES})
    with pytest.raises(DataError, match="energy: holds <U1; needed are numbers"):
        model.predict({**{name: np.zeros(2) for name in NAMES}, "energy": np.array(["a", "b"])})


def test_a_model_is_found_by_path_name_or_beginning(space: Workspace, tmp_path: Path) -> None:
    assert model_folder(space.run("sage")) == space.run("sage")
    assert model_folder("sage", space.root) == space.run("sage")
    assert model_folder("graph_c", space.root) == space.run("graph_conv")
    with pytest.raises(DataError, match="several begin so: pid-lora, pid-none, pid-pretrained"):
        model_folder("pid-", space.root)
    with pytest.raises(DataError, match=r"no such folder or run; in .* there are: both-none"):
        model_folder("nothing", space.root)
    with pytest.raises(DataError, match=r"not a model directory: it holds no config\.json"):
        model_folder(tmp_path)
    with pytest.raises(DataError, match="a model lies in results/runs"):
        model_folder("sage", tmp_path)
    with pytest.raises(DataError, match="no MLflow store in"):
        model_folder("models:/a@champion", tmp_path)


def test_importing_the_package_is_light_and_touches_no_folder(tmp_path: Path) -> None:
    code = "import sys, tpcfm; print(sorted({'torch', 'numpy', 'pydantic'} & set(sys.modules)), dir(tpcfm))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] ['Embedding', 'Model', 'Prediction', '__version__', 'load']"
    assert not list(tmp_path.iterdir())
    with pytest.raises(AttributeError, match="public are Embedding, Model, Prediction"):
        tpcfm.nothing  # noqa: B018


def test_an_entry_of_the_mlflow_registry_is_a_model(space: Workspace, tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    code = f"""
import os, mlflow
from pathlib import Path
from tpcfm.inference.names import model_folder
from tpcfm.train.mlflow_store import initialise, store_uri
results = Path({str(tmp_path)!r})
initialise(results)
mlflow.set_tracking_uri(store_uri(results))
client = mlflow.MlflowClient()
client.create_registered_model("pid")
client.create_model_version("pid", {space.run("sage").as_uri()!r})
client.set_registered_model_alias("pid", "champion", "1")
print("found", (model_folder("models:/pid@champion", results) / "config.json").read_text() == Path({str(space.model_config("sage"))!r}).read_text())
try:
    model_folder("models:/pid@other", results)
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert "found True" in done.stdout, done.stderr[-2000:]
    assert "DataError model 'models:/pid@other': not in the MLflow registry" in done.stdout
