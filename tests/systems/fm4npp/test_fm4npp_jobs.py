"""FM4NPP recipes end to end on toy events: outputs, exact resume, golden losses, order invariance, µP in the optimiser."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from event_tables import SPHENIX
from fm4npp_toys import toy_cache, toy_event
from tpcfm.errors import CheckpointError, DataError, Interrupted
from tpcfm.evaluate.event_scores import read_event_scores
from tpcfm.evaluate.table import COLUMNS
from tpcfm.files import read_json
from tpcfm.models.fm4npp.backbone import Fm4npp
from tpcfm.models.fm4npp.settings import AdapterConfig, Fm4nppModel
from tpcfm.plan.run import Run
from tpcfm.prepare.groups.batches import collate_sequences
from tpcfm.prepare.sequences.features import point_features
from tpcfm.prepare.sequences.serialization import BoxEdges, serial_order
from tpcfm.prepare.sequences.settings import SerializationConfig, TargetConfig
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.fm4npp import classify_points, find_tracks
from tpcfm.systems.fm4npp import pretrain as pretrain_fm4npp
from tpcfm.systems.fm4npp.coordinate_check import coordinate_check, slopes
from tpcfm.systems.fm4npp.feature_cache import FeatureCache
from tpcfm.systems.fm4npp.settings import NeighbourPretraining
from tpcfm.systems.fm4npp.support import load_backbone
from tpcfm.tasks import instances
from tpcfm.tasks.decision_choice import choose_decision
from tpcfm.train.optimizer import make_optimizer
from tpcfm.train.schedule import set_rates
from tpcfm.train.signals import StopRequest
from tpcfm.workspace import Workspace

GOLDEN = Path(__file__).parents[2] / "golden" / "fm4npp.json"
MODEL = {"width": 64, "depth": 3, "dropout": 0.0}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    space = Workspace(tmp_path_factory.mktemp("fm4npp"))
    toy_cache(space.cache("toy"))
    return space


@pytest.fixture(scope="module")
def pretrained(workspace):
    torch.set_num_threads(1)
    run = pretraining()
    pretrain_fm4npp.run(run, workspace, device="cpu")
    return run


def pretraining(steps=12, **changes):
    train = {
        "steps": steps,
        "batch_size": 4,
        "learning_rate": 2e-3,
        "clip": 0.1,
        "evaluate_every": 6,
        "checkpoint_every": 4,
    }
    block = NeighbourPretraining.model_validate({"model": MODEL, "train": train, **changes})
    return job("pretrain", "fm4npp.pretrain", "pretrain", block)


OUTPUTS = {"track": {"track": 0}, "pid": {"pid": 5}, "noise": {"noise": 2}, "pid+noise": {"pid": 5, "noise": 2}}
JOINT = {"pid": 0.5, "noise": 2.5}


def adapter(task, start="pretrained", pretrained=None, steps=8, **changes):
    train = {"steps": steps, "batch_size": 4, "learning_rate": 1e-3, "clip": 1.0, "evaluate_every": 4}
    settings = {
        "outputs": OUTPUTS[task],
        "start": start,
        "n_labels": 6,
        "width": 64,
        "queries": 20,
        "model": MODEL,
        "train": train,
    }
    settings |= {"weights": JOINT} if "+" in task else {}
    block = AdapterConfig.model_validate({**settings, **changes})
    recipe = "fm4npp.find_tracks" if task == "track" else "fm4npp.classify_points"
    return job(f"{task.replace('+', '-')}-{start}", recipe, task, block, pretrained.id if pretrained else None)


def job(slug, recipe, task, block, pretrained=None):
    stage = "pretrain" if task == "pretrain" else "finetune"
    config = block.model_dump(mode="json")
    names = {
        "slug": slug,
        "stage": stage,
        "family": "fm4npp",
        "recipe": recipe,
        "task": task,
        "dataset": "toy",
        "cache": "toy",
    }
    return Run(**names, config=config, pretrained=pretrained, seed=block.seed)


def metrics(workspace, run):
    frame = pd.read_parquet(workspace.run(run.id) / "metrics.parquet")
    assert list(frame.columns) == list(COLUMNS)
    return frame


def test_pretraining_learns_and_writes_everything(workspace, pretrained):
    folder = workspace.run(pretrained.id)
    assert {p.name for p in folder.iterdir()} == {
        "model.safetensors", "config.json", "README.md", "run.json", "log.parquet", "metrics.parquet"
    }  # fmt: skip
    values = metrics(workspace, pretrained).set_index("metric")["value"]
    log = pd.read_parquet(folder / "log.parquet")
    curve = log[log["split"] == "validation"].sort_values("step")["loss"].to_list()
    assert values["validation_loss"] == pytest.approx(curve[-1], rel=1e-6)
    assert curve[-1] < 0.7 * curve[0]
    assert values["floor_own_position"] > 0
    assert curve[-1] < values["floor_mean"]
    lengths = PreparedStore(workspace.cache("toy")).lengths
    assert 12 * 4 * lengths.min() <= values["points_seen"] <= 12 * 4 * lengths.max()
    assert values["flops"] > 6 * values["points_seen"] * 50_000
    record = read_json(folder / "run.json")
    assert record["backends"]["mamba_scan/cpu"] in ("numba", "torch")
    config = read_json(folder / "config.json")
    assert config["edges"] == PreparedStore(workspace.cache("toy")).manifest["edges"]


def test_an_interrupted_pretraining_ends_with_the_same_weights(workspace, pretrained, monkeypatch):
    # Another results folder, so that the state is its own; the same run otherwise.
    other = Workspace(workspace.root / "again")
    toy_cache(other.cache("toy"))
    calls = iter(range(1000))
    with monkeypatch.context() as patch:
        patch.setattr(StopRequest, "reason", lambda self, needed: "a test" if next(calls) == 6 else None)
        with pytest.raises(Interrupted, match="step 6 of 12"):
            pretrain_fm4npp.run(pretrained, other, device="cpu")
    pretrain_fm4npp.run(pretrained, other, device="cpu")
    one, two = (load_backbone(w.run(pretrained.id)).state_dict() for w in (workspace, other))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_golden_losses(workspace, pretrained):
    track = adapter("track", "none", steps=4)
    classes = adapter("pid+noise", "none", steps=4)
    find_tracks.run(track, workspace, device="cpu")
    classify_points.run(classes, workspace, device="cpu")
    found = {}
    for name, run in {"pretrain": pretrained, "tracks": track, "pid_noise": classes}.items():
        frame = metrics(workspace, run)
        found[name] = float(frame.loc[frame["metric"] == "validation_loss", "value"].iloc[0])
    golden = json.loads(GOLDEN.read_text())
    assert found == pytest.approx(golden, rel=2e-3), f"found {json.dumps(found)}"


@pytest.mark.parametrize("start", ["pretrained", "random", "none"])
def test_track_finding_writes_metrics_and_predictions(workspace, pretrained, start, monkeypatch):
    run = adapter("track", start, pretrained if start == "pretrained" else None, steps=4)
    tuned_on = []

    def choose(events):
        tuned_on.extend(events)
        return choose_decision(tuned_on)

    monkeypatch.setattr(instances, "choose_decision", choose)
    find_tracks.run(run, workspace, device="cpu")
    store = PreparedStore(workspace.cache("toy"))
    held = [store.value(row, "track").tolist() for row in store.rows("validation").tolist()]
    assert [truth.tolist() for truth, _, _ in tuned_on] == held, "test events play no part in the decision"
    frame = metrics(workspace, run)
    names = {
        "ari",
        "ari_pooled",
        "efficiency",
        "purity",
        "efficiency_min_size",
        "purity_min_size",
        "spacepoint_efficiency",
    }
    assert names <= set(frame.loc[frame["split"] == "test", "metric"])
    assert set(frame["n_labels"]) == {6}
    overall = frame.set_index(["split", "metric"])["value"]
    assert overall["validation", "ari_calibrated"] == pytest.approx(choose_decision(tuned_on).value)
    assert {"ari_calibrated", "efficiency_calibrated", "purity_calibrated"} <= set(overall["test"].index)
    assert set(overall[""].filter(like="decision_").index) == {
        f"decision_{n}" for n in ("threshold", "power", "min_points")
    }
    per_event = read_event_scores(workspace.run(run.id) / "event_scores.parquet")
    held_out = per_event[per_event["metric"] == "ari_calibrated"]
    assert held_out["numerator"].mean() == pytest.approx(overall["test", "ari_calibrated"])
    shown = pq.read_table(workspace.run(run.id) / "predictions.parquet").to_pylist()
    assert len(shown) == 4
    assert set(shown[0]) == {"event_id", "x", "y", "z", "energy", "truth", "prediction"}
    assert len(shown[0]["x"]) == len(shown[0]["prediction"])
    assert not list(workspace.state(run.id).glob("features*"))


def test_objects_beyond_the_queries_are_counted(workspace, caplog):
    """A set decoder finds at most as many objects as it has queries: what that leaves over is in the metrics and in the log."""
    run = adapter("track", "none", steps=1, queries=2)
    find_tracks.run(run, workspace, device="cpu")
    store = PreparedStore(workspace.cache("toy"))
    frame = metrics(workspace, run).set_index(["split", "metric"])["value"]
    over = [max(0, len(set(store.value(row, "track").tolist()) - {-1}) - 2) for row in store.rows("test").tolist()]
    assert frame["test", "objects_beyond_queries"] == sum(over) > 0
    assert frame["test", "events_beyond_queries"] == sum(n > 0 for n in over)
    assert frame["train", "objects_beyond_queries"] > 0
    assert "objects cannot be found" in caplog.text
    plenty = instances.beyond_queries(store, "track", store.rows("test"), 1000)
    assert plenty == {"events_beyond_queries": 0, "objects_beyond_queries": 0}


@pytest.mark.parametrize("task", ["pid", "noise", "pid+noise"])
def test_point_classes_write_overall_and_per_class_scores(workspace, pretrained, task):
    run = adapter(task, "pretrained", pretrained, steps=4)
    classify_points.run(run, workspace, device="cpu")
    frame = metrics(workspace, run)
    for name in task.split("+"):
        rows = frame[(frame["task"] == name) & (frame["split"] == "test")]
        assert {"accuracy", "recall", "precision", "majority"} <= set(rows.loc[rows["class"] == "", "metric"])
        classes = 5 if name == "pid" else 2
        by_particle = rows[rows["metric"] == "particle_confusion"]
        assert len(set(rows["class"]) - {"", *by_particle["class"]}) == classes
        assert len(by_particle) == classes**2
        store = PreparedStore(workspace.cache("toy"))
        tracks = [len(set(store.value(row, "track").tolist())) for row in store.rows("test").tolist()]
        assert by_particle["value"].sum() == sum(tracks)


def test_a_joint_head_has_one_trunk(workspace):
    joint, single = (adapter(task, "none") for task in ("pid+noise", "pid"))
    from tpcfm.models.fm4npp.adapters import make_adapter

    both, one = (make_adapter(AdapterConfig.model_validate(run.config)).state_dict() for run in (joint, single))
    assert {name for name in one if not name.startswith("heads.")} == {n for n in both if not n.startswith("heads.")}


def test_features_are_computed_once_and_equal_the_backbone(workspace, pretrained, monkeypatch):
    store = PreparedStore(workspace.cache("toy"))
    backbone = load_backbone(workspace.run(pretrained.id), store)
    rows = store.rows("train")
    expected = {}
    with torch.no_grad():
        for row in rows[:3]:
            batch = collate_sequences(store, [row], 0)
            expected[int(row)] = backbone.branches(
                torch.from_numpy(batch["features"]), torch.from_numpy(batch["offsets"])
            )
    for limit in (1 << 30, 0):  # in memory, in a file
        monkeypatch.setattr("tpcfm.systems.fm4npp.feature_cache.MEMORY_BYTES", limit)
        folder = workspace.root / f"features-{limit}"
        cache = FeatureCache(backbone, store, folder, 2000, torch.device("cpu"))
        cache.fill(rows)
        assert (folder / "features.f16").exists() == (limit == 0)
        monkeypatch.setattr(FeatureCache, "compute", None)
        found = cache(rows[[2, 0]])
        monkeypatch.undo()
        wanted = torch.cat([expected[int(rows[2])], expected[int(rows[0])]], dim=1)
        np.testing.assert_allclose(found, wanted.numpy(), atol=5e-3)
        cache.close()
        assert not (folder / "features.f16").exists()


def test_backbone_refuses_sequences_in_another_order(workspace, pretrained, tmp_path):
    toy_cache(tmp_path / "hilbert", order="hilbert")
    with pytest.raises(CheckpointError, match="made otherwise"):
        load_backbone(workspace.run(pretrained.id), PreparedStore(tmp_path / "hilbert"))
    toy_cache(tmp_path / "edges", splits={"train": 5, "validation": 1, "test": 1})
    with pytest.raises(CheckpointError, match="another order"):
        load_backbone(workspace.run(pretrained.id), PreparedStore(tmp_path / "edges"))


def test_too_few_labels_are_named(workspace):
    with pytest.raises(DataError, match="500 labelled events asked for, the training split holds 12"):
        find_tracks.run(adapter("track", "none", n_labels=500), workspace, device="cpu")


def test_the_order_of_the_raw_points_does_not_matter(workspace, pretrained):
    edges = BoxEdges.load(workspace.cache("toy") / "edges.json")
    model = load_backbone(workspace.run(pretrained.id)).eval()
    rng = np.random.default_rng(3)
    event = toy_event(rng, 6)
    answers = []
    for shuffle in (np.arange(len(event["x"])), rng.permutation(len(event["x"]))):
        signal, *xyz = (event[name][shuffle].astype(np.float32) for name in ("energy", "x", "y", "z"))
        features = point_features(SPHENIX, signal, np.stack(xyz, 1))
        order = serial_order(features, SerializationConfig(), edges)
        with torch.no_grad():
            out = model(torch.from_numpy(features[order]), torch.tensor([0, len(order)]))
        back = np.empty(len(order), np.int64)
        back[shuffle[order]] = np.arange(len(order))
        answers.append(out[back])
    assert torch.equal(*answers)


def test_multipliers_stay_in_the_optimiser_under_the_schedule():
    block = NeighbourPretraining.model_validate(
        {"model": {**MODEL, "width": 512}, "train": {"steps": 10, "batch_size": 1, "warmup_steps": 2}}
    )
    model = Fm4npp(block.model, 30)
    optimizer = make_optimizer(model, block.train, model.parameter_groups(block.train.weight_decay))
    for step in (0, 3, 9):
        set_rates(optimizer.param_groups, step, block.train)
        rates = {group["name"]: group["lr"] for group in optimizer.param_groups}
        assert rates["matrix"] == pytest.approx(rates["vector"] / 2)
        assert rates["head"] == pytest.approx(rates["vector"] / 2)
        assert rates["state_in"] == pytest.approx(rates["vector"] * 2**0.5)
        assert rates["state_out"] == pytest.approx(rates["vector"] / 2**1.5)
        decays = [group["lr"] * group["weight_decay"] for group in optimizer.param_groups]
        assert decays == pytest.approx([decays[0]] * len(decays))


@pytest.mark.parametrize("widths", [(64, 128, 256, 512), pytest.param((256, 512, 1024), marks=pytest.mark.slow)])
def test_coordinate_check_is_flat_with_mup_and_grows_without(workspace, widths):
    store = PreparedStore(workspace.cache("toy"))
    batch = collate_sequences(store, [0, 1])
    found = {
        kind: slopes(coordinate_check(batch, TargetConfig(), widths, kind, steps=3, model=Fm4nppModel(depth=3)))
        for kind in ("mup", "standard")
    }
    outputs = [part for part in found["mup"] if part.startswith(("branch", "prediction"))]
    assert len(outputs) == 4
    assert max(abs(found["mup"][part]) for part in outputs) < 0.15
    assert min(found["standard"][part] for part in outputs) > 0.3 or max(widths) > 512
