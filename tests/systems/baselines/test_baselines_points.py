"""Baselines of point classification end to end: graphs and voxels against brute force, the adapters' events and metrics, what a
row says about its training."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from event_tables import SPHENIX
from fm4npp_toys import LAYER_RADII_CM, toy_cache
from tpcfm.errors import DataError, Interrupted
from tpcfm.evaluate.classification import ConfusionTally
from tpcfm.models.baselines.settings import GraphNetConfig, VoxelUNetConfig
from tpcfm.models.fm4npp.settings import AdapterConfig
from tpcfm.plan.run import Run
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.baselines import classify_points as classify_points_baseline
from tpcfm.systems.baselines.baseline_task import BaselineTask
from tpcfm.systems.baselines.point_batches import GraphBatches, VoxelBatches
from tpcfm.systems.baselines.settings import PointBaselineConfig
from tpcfm.systems.fm4npp import classify_points
from tpcfm.systems.fm4npp.adapter_task import AdapterTask
from tpcfm.train import StepInfo
from tpcfm.train.signals import StopRequest
from tpcfm.workspace import Workspace

CLASSES = {"pid": 5, "noise": 2}
INFO = StepInfo(0, 0, 0, training=False)
GRAPH = GraphNetConfig(width=16, layers=2, neighbours=8)
VOXEL = VoxelUNetConfig(filters=4, depth=2, width=16, decoder_layers=1, heads=2)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    torch.set_num_threads(1)
    space = Workspace(tmp_path_factory.mktemp("points"))
    toy_cache(space.cache("toy"))
    return space


def job(model="sage", task="pid", slug="", n_labels=6, **train):
    settings = {"steps": 4, "batch_size": 2, "learning_rate": 1e-3, "evaluate_every": 2, "log_every": 1, **train}
    block = PointBaselineConfig.model_validate(
        {
            "model": model,
            "label": task,
            "classes": CLASSES[task],
            "n_labels": n_labels,
            "graph": None if model == "voxel_unet" else GRAPH.model_dump(),
            "voxel": VOXEL.model_dump() if model == "voxel_unet" else None,
            "train": settings,
        }
    )
    names = {"stage": "baseline", "family": "fm4npp", "recipe": "baselines.classify_points", "task": task}
    config = block.model_dump(mode="json")
    return Run(slug=f"{task}-{model}{slug}", dataset="toy", cache="toy", config=config, n_labels=n_labels, **names)


def trained(workspace, run):
    classify_points_baseline.run(run, workspace, device="cpu")
    return pd.read_parquet(workspace.run(run.id) / "metrics.parquet")


def value(frame, metric):
    rows = frame[(frame["metric"] == metric) & (frame["class"] == "")]
    assert len(rows) == 1
    return rows["value"].item()


def test_graphs_equal_brute_force(workspace):
    store = PreparedStore(workspace.cache("toy"))
    config = GraphNetConfig(neighbours=12, max_distance=0.3)
    batch = GraphBatches(config)(store, np.arange(3), INFO)
    x, y, z = batch["xyz"].astype(np.float64).T
    radius, phi = np.hypot(x, y), np.arctan2(y, x)
    layer = np.abs(radius[:, None] - LAYER_RADII_CM).argmin(1)
    place = np.stack([np.arctanh(z / np.sqrt(radius**2 + z**2)) / 1.96, np.cos(phi), np.sin(phi), layer / 48], 1)
    assert np.allclose(batch["point_features"], np.column_stack([batch["features"][:, 0], place]), atol=1e-5)
    event = np.repeat(np.arange(3), np.diff(batch["offsets"]))
    location = batch["point_features"][:, 1:].astype(np.float64)
    checked = 0
    for i in range(len(location)):
        found = batch["edge_source"][batch["edge_bounds"][i] : batch["edge_bounds"][i + 1]]
        distance = np.sqrt(((location - location[i]) ** 2).sum(1))
        allowed = (event == event[i]) & (distance < 0.3) & (np.arange(len(location)) != i)
        wanted = sorted(np.flatnonzero(allowed), key=lambda j: (distance[j], j))[:12]
        assert np.allclose(distance[found], distance[wanted], atol=1e-12)
        assert allowed[found].all()
        assert len(set(found)) == len(found)
        checked += len(found) < 12
    assert checked, "the distance limit was never felt"


def test_voxels_equal_brute_force(workspace):
    store = PreparedStore(workspace.cache("toy"))
    config = VoxelUNetConfig(grid=(8, 16, 12))
    radii = np.array(store.detector.layers.radii)  # 48 layers, four to a voxel
    batch = VoxelBatches(config)(store, np.arange(3), INFO)
    features = GraphBatches(GRAPH)(store, np.arange(3), INFO)["point_features"].astype(np.float64)
    x, y, z = batch["xyz"].astype(np.float64).T
    radius = np.hypot(x, y)
    groups: dict[tuple[int, ...], list[int]] = {}
    event = np.repeat(np.arange(3), np.diff(batch["offsets"]))
    for i in range(len(x)):
        cell = (
            int((np.arcsinh(z[i] / radius[i]) + 2) / 4 * 8),
            min(int((np.arctan2(y[i], x[i]) + np.pi) / (2 * np.pi) * 16), 15),
            int(np.abs(radii - radius[i]).argmin()) // 4,
        )
        groups.setdefault((int(event[i]), *cell), []).append(i)
    assert len(groups) == len(batch["voxel"])
    assert np.all(np.diff(batch["voxel_event"]) >= 0)
    for row, (e, cell) in enumerate(zip(batch["voxel_event"], batch["voxel"])):
        points = groups[(int(e), *map(int, cell))]
        assert set(np.flatnonzero(batch["point_voxel"] == row)) == set(points)
        assert np.allclose(batch["voxel_features"][row], features[points].mean(0), atol=1e-4)


def test_events_are_those_of_the_adapters(workspace):
    run = job()
    block = AdapterConfig(outputs={"pid": 5}, start="none", n_labels=6, train={"steps": 1, "batch_size": 1}, seed=0)
    other = Run(**{**run.model_dump(), "recipe": "fm4npp.classify_points", "config": block.model_dump(mode="json")})
    adapter = AdapterTask(other, workspace, "cpu")
    theirs = PointBaselineConfig.model_validate(run.config)
    assert (theirs.n_labels, theirs.seed, theirs.validation_events) == (6, 0, 1000)
    mine = BaselineTask(run, workspace, "cpu", theirs, GraphBatches(GRAPH))
    for name in ("training", "validation", "test"):
        assert getattr(mine, name).tolist() == getattr(adapter, name).tolist()


@pytest.mark.parametrize(("model", "task"), [("sage", "pid"), ("gat", "noise"), ("voxel_unet", "pid")])
def test_writes_what_the_adapters_write_and_the_cost(workspace, model, task):
    run = job(model, task)
    frame = trained(workspace, run)
    folder = workspace.run(run.id)
    assert {p.name for p in folder.iterdir()} == {
        "model.safetensors", "config.json", "README.md", "run.json", "log.parquet", "metrics.parquet", "predictions.parquet", "event_scores.parquet"
    }  # fmt: skip
    assert set(frame["n_labels"]) == {6}
    assert set(frame["family"]) == {"fm4npp"}
    for metric in ("training_seconds", "events_per_second", "parameters"):
        assert value(frame, metric) > 0
    assert value(frame, "stopped_early") == 0
    assert value(frame, "training_steps") == 4

    # All four test events are among the predictions, so the scores can be had from them.
    shown = pq.read_table(folder / "predictions.parquet").to_pylist()
    assert len(shown) == 4
    tally = ConfusionTally(SPHENIX.labels[task].names)
    for event in shown:
        tally.update(np.array(event["truth"]), np.array(event["prediction"]))
    test = frame[(frame["split"] == "test") & (frame["class"] == "")].set_index("metric")["value"]
    assert {name: test[name] for name in tally.values()} == pytest.approx(tally.values())
    assert test["f1_calibrated"] > 0

    block = AdapterConfig(
        outputs={task: CLASSES[task]}, start="none", n_labels=6, width=16, heads=2, validation_events=1000, seed=0,
        model={"width": 64}, train={"steps": 1, "batch_size": 1},
    )  # fmt: skip
    other = Run(**{**run.model_dump(), "recipe": "fm4npp.classify_points", "config": block.model_dump(mode="json")})
    classify_points.run(other, workspace, device="cpu")
    adapter = pd.read_parquet(workspace.run(other.id) / "metrics.parquet")
    rows = lambda t: set(zip(t["task"], t["split"], t["metric"], t["class"]))  # noqa: E731
    own = {(task, "validation", "cross_entropy", "")}  # of an adapter's task; joint ones have several
    assert rows(adapter) - own <= rows(frame)


def test_a_plateau_stops_training_and_is_marked(workspace):
    # A learning rate far below the precision of the weights: nothing ever gets better.
    run = job(slug="-plateau", steps=40, learning_rate=1e-30, weight_decay=0.0, patience=2)
    frame = trained(workspace, run)
    assert value(frame, "stopped_early") == 1
    assert value(frame, "training_steps") == 6


def test_a_stopped_training_continues_to_the_same_weights(workspace, monkeypatch):
    whole = trained(workspace, job(slug="-whole", steps=6, checkpoint_every=2))
    asked = iter([False, False, False, True])
    monkeypatch.setattr(StopRequest, "reason", lambda *_: "test" if next(asked, False) else None)
    run = job(slug="-parts", steps=6, checkpoint_every=2)
    with pytest.raises(Interrupted):
        classify_points_baseline.run(run, workspace, device="cpu")
    parts = trained(workspace, run)
    assert value(parts, "validation_loss") == value(whole, "validation_loss")


def test_too_few_labelled_events_are_named(workspace):
    with pytest.raises(DataError, match="500 labelled events asked for, the training split holds 12"):
        classify_points_baseline.run(job(n_labels=500), workspace, device="cpu")


def test_a_run_holds_the_settings_of_its_own_network_only():
    train = {"steps": 1, "batch_size": 1}
    with pytest.raises(ValueError, match="needs the block `voxel`"):
        PointBaselineConfig(model="voxel_unet", label="pid", classes=5, n_labels=1, graph=GRAPH, train=train)
    with pytest.raises(ValueError, match="needs the block `graph` and no other"):
        PointBaselineConfig(model="gcn", label="pid", classes=5, n_labels=1, graph=GRAPH, voxel=VOXEL, train=train)
