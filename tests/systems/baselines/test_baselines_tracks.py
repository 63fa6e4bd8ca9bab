"""Track-finding comparison runs end to end on toy events: outputs, the metrics of the adapters' path, choice of the clustering."""

import numpy as np
import pandas as pd
import pytest

from event_tables import SPHENIX
from fm4npp_toys import toy_cache
from tpcfm.evaluate.selected_tracks import Particles, SelectedTally, event_particles
from tpcfm.evaluate.tracking import TrackingTally
from tpcfm.plan.run import Run
from tpcfm.prepare.groups.batches import collate_sequences
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.baselines import find_tracks as find_tracks_baseline
from tpcfm.systems.baselines.find_tracks import TrackTask
from tpcfm.systems.baselines.track_settings import TrackBaselineConfig
from tpcfm.tasks import instances
from tpcfm.tasks.instances import InstanceScores
from tpcfm.tracking import finder
from tpcfm.tracking.chamber import chamber_of
from tpcfm.tracking.finder import TrackerSettings
from tpcfm.train import FitResult
from tpcfm.workspace import Workspace

TRAIN = {"steps": 2, "batch_size": 2, "learning_rate": 1e-3, "evaluate_every": 1, "log_every": 1}
BLOCKS = {
    "eggnet": {"width": 8, "iterations": 1, "passings": 1, "embedding": 4, "eps": [1.0, 0.05]},
    "exatrkx": {"embedding_width": 16, "embedding_layers": 1, "embedding": 4, "filter_width": 8, "filter_layers": 1, "width": 8, "passings": 1},
    "hept": {"width": 8, "heads": 2, "layers": 1, "block": 50, "output_width": 16, "output_layers": 1, "min_cluster": [12, 5], "min_samples": [3]},
    "kalman": {"gate": [40.0], "min_points": [60, 4], "pick_up": [1.5], "merge": [0.0]},
}  # fmt: skip


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    space = Workspace(tmp_path_factory.mktemp("tracks"))
    toy_cache(space.cache("toy"))
    return space


def make_run(model: str, **changes) -> Run:
    config = {
        "model": model,
        "label": "track",
        "n_labels": 0 if model == "kalman" else 4,
        model: BLOCKS[model],
        "train": TRAIN,
    } | changes
    block = TrackBaselineConfig.model_validate({"validation_events": 3, "tuning_events": 2, **config})
    return Run(
        slug=f"tracks-{model}",
        stage="baseline",
        family="fm4npp",
        recipe="baselines.find_tracks",
        task="track",
        config=block.model_dump(mode="json"),
        dataset="toy",
        cache="toy",
        n_labels=block.n_labels,
    )


@pytest.mark.parametrize("model", list(BLOCKS))
def test_each_system_writes_everything(workspace, model):
    run = make_run(model)
    find_tracks_baseline.run(run, workspace, device="cpu")
    folder = workspace.run(run.id)
    assert {p.name for p in folder.iterdir()} == {
        *("model.safetensors", "config.json", "README.md", "run.json", "log.parquet"),
        *("metrics.parquet", "predictions.parquet", "event_scores.parquet", "tracks.parquet"),
    }  # fmt: skip
    frame = pd.read_parquet(folder / "metrics.parquet")
    whole = frame[frame["class"] == ""]
    scores = whole[whole["split"] == "test"].set_index("metric")["value"]
    assert {"ari", "efficiency", "purity", "spacepoint_efficiency", "test_events"} <= set(scores.index)
    assert scores["test_events"] == 4
    costs = whole[whole["split"] == ""].set_index("metric")["value"]
    assert {"parameters", "events_per_second", "tuning_seconds", "tuned_at_edge", "tuning_choices"} <= set(costs.index)
    assert ("stopped_early" in costs.index) == (model != "kalman")
    assert set(frame["n_labels"]) == {0 if model == "kalman" else 4}
    published = frame[(frame["class"] != "") & (frame["metric"] == "ari")]
    assert len(published) == (2 if model == "exatrkx" else 1)
    shown = pd.read_parquet(folder / "predictions.parquet")
    assert len(shown) == 4
    assert len(shown["prediction"][0]) == len(shown["truth"][0])


def test_scores_are_those_of_the_kept_clustering(workspace):
    """The Kalman run has no weights, so its metrics can be had from the cache alone."""
    run = make_run("kalman")
    find_tracks_baseline.run(run, workspace, device="cpu")
    store = PreparedStore(workspace.cache("toy"))
    tally = TrackingTally()
    for row in store.rows("test"):
        batch = collate_sequences(store, [row], 0)
        tally.update(batch["track"], find_tracks_of(batch["xyz"], min_points=4))
    frame = pd.read_parquet(workspace.run(run.id) / "metrics.parquet")
    found = frame[(frame["class"] == "") & (frame["split"] == "test")].set_index("metric")["value"]
    for name, value in tally.values().items():
        assert found[name] == pytest.approx(value, nan_ok=True), name


def find_tracks_of(xyz: np.ndarray, **cuts) -> np.ndarray:
    return finder.find_tracks(
        xyz, chamber_of(SPHENIX), TrackerSettings(gate=40.0, pick_up=1.5, merge=0.0)._replace(**cuts)
    )


def test_the_clustering_is_chosen_on_validation_events_only(workspace, monkeypatch):
    task = TrackTask(
        make_run("kalman"), workspace, "cpu", TrackBaselineConfig.model_validate(make_run("kalman").config)
    )
    seen = []
    batches = task.batches
    monkeypatch.setattr(task, "batches", lambda rows: seen.append(list(rows)) or batches(rows))
    chosen = task.choose()
    choice, ari = chosen.choice, chosen.value
    assert seen
    assert set(np.concatenate(seen)) <= set(PreparedStore(workspace.cache("toy")).rows("validation"))
    assert choice["min_points"] == 4  # 60 points have no track in the toys
    assert ari > 0.5


def test_stages_of_exatrkx_are_trained_one_after_another_and_resumed(workspace):
    run = make_run("exatrkx", train=TRAIN | {"steps": 5})
    find_tracks_baseline.run(run, workspace, device="cpu")
    log = pd.read_parquet(workspace.run(run.id) / "log.parquet")
    assert list(dict.fromkeys(log["stage"])) == [1, 2, 3]
    done = {stage: int(rows["step"].max()) for stage, rows in log.groupby("stage")}
    assert done == {1: 2, 2: 3, 3: 5}  # steps of all stages so far
    frame = pd.read_parquet(workspace.run(run.id) / "metrics.parquet").set_index("metric")["value"]
    assert frame["stopped_early"] == 0
    assert 0 < frame["filter_threshold"] <= 0.675
    before = (workspace.run(run.id) / "model.safetensors").read_bytes()
    find_tracks_baseline.run(run, workspace, device="cpu")  # finds every stage complete
    assert (workspace.run(run.id) / "model.safetensors").read_bytes() == before


def test_one_stage_on_a_plateau_is_no_plateau(workspace):
    task = TrackTask(
        make_run("exatrkx"), workspace, "cpu", TrackBaselineConfig.model_validate(make_run("exatrkx").config)
    )
    result = FitResult(4, 1, 0.5, 1.0, [])
    for ends, stopped in (([True, False, True], 0), ([True, True, True], 1)):
        task.plateaus = ends
        rows = {row["metric"]: row["value"] for row in task.cost_rows(task.system.network, result)}
        assert rows["stopped_early"] == stopped


def test_both_paths_score_alike(workspace):
    """The adapters and the baselines hand their labels to the same object; here against the bare tally."""
    store = PreparedStore(workspace.cache("toy"))
    rows = np.asarray(store.rows("test"))
    scores, tally = InstanceScores(store, "track"), TrackingTally()
    batch = collate_sequences(store, rows, 0)
    guess = np.random.default_rng(0).integers(-1, 4, len(batch["track"]))
    scores.update(rows, batch, guess)
    tally.update(batch["track"], guess, batch["offsets"])
    values = scores.values()
    for name, value in tally.values().items():
        assert values[name] == pytest.approx(value, nan_ok=True), name
    assert values["test_events"] == 4
    assert instances.InstanceScores is find_tracks_baseline.InstanceScores is InstanceScores


def test_selected_tracks_count_what_experiments_quote():
    radii = np.linspace(31.5, 75, 40)
    truth = np.repeat([3, 5], 40)
    xyz = np.concatenate([np.stack([radii * np.cos(a), radii * np.sin(a), 0.2 * radii], 1) for a in (0.0, 2.0)])
    particles = Particles(
        np.array([3, 5]), np.array([2.0, 2.0]), np.array([0.2, 0.2]), np.array([0.0, 60.0]), np.array([1, -1])
    )
    tally = SelectedTally(0.0042)
    tally.update(truth, np.where(truth == 3, 0, -1), xyz, particles)
    values = tally.values()
    assert (values["efficiency_selected_truth"], values["efficiency_selected_primary"]) == (0.5, 1.0)
    assert values["efficiency_selected_tracks"] == 2  # straight lines are stiff tracks
    tally.update(truth, truth, xyz, None)
    assert tally.values()["efficiency_selected_tracks"] == 4
    assert tally.values()["efficiency_selected_truth_tracks"] == 2

    columns = {
        "track": [3, 5],
        "px": [3.0, 0.0],
        "py": [4.0, 1.0],
        "pz": [0.0, 0.0],
        "vx": [0.0, 3.0],
        "vy": [0.0, 4.0],
    }
    event = {f"particle_{name}": np.array(values, np.float32) for name, values in columns.items()}
    found = event_particles(SPHENIX, "track", event)
    np.testing.assert_allclose(found.pt, [5, 1])
    np.testing.assert_allclose(found.distance, [0, 5])
    assert event_particles(SPHENIX, "track", dict.fromkeys(event)) is None
    assert event_particles(SPHENIX, "pid", event) is None
