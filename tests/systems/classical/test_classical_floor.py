"""The floor on any detector and cache: trees as scikit-learn's, runs with scores and models that predict what was scored, its place in the plan."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier

import polar_mae_toys
from fm4npp_toys import toy_cache
from plans import planned
from tpcfm.errors import ConfigError
from tpcfm.inference.predict import predict_event
from tpcfm.models.classical.trees import NEVER, TreeEnsemble
from tpcfm.plan.run import Run
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.classical import classify_points, find_instances
from tpcfm.systems.classical.settings import FinderConfig, TreesConfig
from tpcfm.workspace import Workspace

TREES = {"steps": 8, "batch_size": 1, "learning_rate": 0.3, "evaluate_every": 4}
EDGES = {"steps": 60, "batch_size": 2, "learning_rate": 3e-3, "evaluate_every": 30}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    torch.set_num_threads(1)
    space = Workspace(tmp_path_factory.mktemp("floor"))
    for detector in ("sphenix", "pilarnet", "silicon"):
        toy_cache(space.cache(detector), detector=detector, k=1)
    polar_mae_toys.toy_cache(space.cache("groups"), 12)
    return space


def job(cache: str, block: TreesConfig | FinderConfig) -> Run:
    recipe = "classify_points" if isinstance(block, TreesConfig) else "find_instances"
    what = "trees" if isinstance(block, TreesConfig) else "edges" if block.edges else "dbscan"
    common = {"stage": "baseline", "system": "mine", "family": "classical", "recipe": f"classical.{recipe}"}
    config = block.model_dump(mode="json")
    return Run(slug=f"{cache}-{what}", task=block.label, config=config, dataset="events", cache=cache, **common)


@pytest.mark.parametrize("classes", [2, 4])
def test_trees_say_what_scikit_learn_says(classes: int) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(500, 5)).astype(np.float32)
    truth = np.clip((features[:, 0] * 2 + features[:, 1]).astype(int), 0, classes - 1)
    grown = HistGradientBoostingClassifier(max_iter=12, early_stopping=False).fit(features, truth)
    stages = list(grown.staged_predict_proba(features))
    for rounds in (5, 12):
        logits = TreeEnsemble.of(grown, rounds, classes)({"geometry": torch.from_numpy(features)})
        np.testing.assert_allclose(logits.softmax(1).numpy(), stages[rounds - 1], atol=1e-5)


def test_a_class_without_labelled_points_is_never_chosen() -> None:
    features = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    grown = HistGradientBoostingClassifier(max_iter=3).fit(features, np.where(features[:, 0] > 0, 1, 3))
    logits = TreeEnsemble.of(grown, 3, 4)({"geometry": torch.from_numpy(features)})
    assert logits.shape == (200, 4)
    assert (logits[:, [0, 2]] == NEVER).all()
    assert (logits.argmax(1).numpy() == np.where(features[:, 0] > 0, 1, 3)).mean() > 0.95


@pytest.mark.parametrize(
    ("cache", "label", "classes"),
    [
        ("sphenix", "pid", 5),
        ("sphenix", "noise", 2),
        ("pilarnet", "semantic", 4),
        ("silicon", "kind", 2),
        ("groups", "semantic", 4),
    ],
)
def test_classes(workspace: Workspace, cache: str, label: str, classes: int) -> None:
    plain = {
        "label": label,
        "classes": classes,
        "n_labels": 4,
        "train": TREES,
        "weight_powers": [0.0, 0.5],
        "min_leaf": 5,
    }
    run = job(cache, TreesConfig.model_validate(plain))
    classify_points.run(run, workspace, device="cpu")
    frame = check(workspace, run, label)
    whole = frame[(frame["split"] == "test") & (frame["class"] == "")].set_index("metric")["value"]
    assert {"f1", "f1_calibrated", "accuracy", "majority"} <= set(whole.index)
    if cache != "silicon":  # the toy species are told by the signal
        assert whole["accuracy"] > whole["majority"]
    power = frame.loc[frame["metric"] == "weight_power", "value"].item()
    history = pd.read_parquet(workspace.run(run.id) / "log.parquet")
    assert power == history.loc[history["f1"].idxmax(), "weight_power"]


@pytest.mark.parametrize("model", ["edges", "dbscan"])
@pytest.mark.parametrize(("cache", "label"), [("sphenix", "track"), ("pilarnet", "group"), ("silicon", "particle")])
def test_instances(workspace: Workspace, cache: str, label: str, model: str) -> None:
    how = {"edges": {"hidden": [16]}, "dbscan": {"eps": [2.0, 4.0], "min_samples": [1]}}[model]
    plain = {"label": label, "n_labels": 4 if model == "edges" else 0, model: how, "train": EDGES, "tuning_events": 3}
    run = job(cache, FinderConfig.model_validate(plain))
    find_instances.run(run, workspace, device="cpu")
    frame = check(workspace, run, label)
    whole = frame[(frame["split"] == "test") & (frame["class"] == "")].set_index("metric")["value"]
    assert whole["ari"] == whole["ari_calibrated"]
    if model == "edges" and cache in ("sphenix", "pilarnet"):  # straight particles
        assert whole["ari"] > 0.5


def check(workspace: Workspace, run: Run, label: str) -> pd.DataFrame:
    """The model directory predicts what was scored, from the event alone; return the metrics."""
    folder, store = workspace.run(run.id), PreparedStore(workspace.cache(run.cache))
    assert not list(folder.glob("*.pkl"))
    shown = pd.read_parquet(folder / "predictions.parquet")
    row = int(store.rows("test")[0])
    found = predict_event(folder, store, row)
    first = shown[shown["event_id"] == store.value(row, "event_id")].iloc[0]
    np.testing.assert_array_equal(found["prediction"], first["prediction"])
    frame = pd.read_parquet(folder / "metrics.parquet")
    assert set(frame["task"]) == {label}
    assert {"parameters", "events_per_second", "training_seconds"} <= set(frame["metric"])
    assert (folder / "event_scores.parquet").is_file()
    return frame


def test_a_floor_stands_beside_every_system_and_alone() -> None:
    more = {"pid": {"seeds": [0, 1]}, "track": {"labels": [4, 8]}, "noise": None}
    tasks: dict[str, Any] = {"polar_mae": {"semantic": {"labels": [4]}}, "fm4npp": more}
    beside = {key: {"baselines": {"classical": {"tasks": found}}} for key, found in tasks.items()}
    alone = {
        "family": "classical",
        "dataset": "collider",
        "tasks": {"noise": {"labels": [4]}, "track": {"labels": [4]}},
    }
    plan = planned({"systems": {**beside, "floor": alone}}, "tiny")
    floor = {name: run for name, run in plan.runs.items() if run.recipe.startswith("classical.")}
    slugs = sorted(run.slug for run in floor.values())
    assert slugs == [
        "floor-noise-trees-4-s0", "floor-track-dbscan", "floor-track-edges-4-s0", "fm4npp-pid-trees-4-s0", "fm4npp-pid-trees-4-s1",
        "fm4npp-track-dbscan", "fm4npp-track-edges-4-s0", "fm4npp-track-edges-8-s0", "polar_mae-group-dbscan", "polar_mae-semantic-trees-4-s0",
    ]  # fmt: skip
    for name, run in floor.items():
        assert any(name in study.runs and study.name == f"baselines_{run.task}" for study in plan.studies.values())
        if run.system != "floor":
            heads = next(r for r in plan.runs.values() if r.stage == "finetune" and r.system == run.system)
            assert (run.cache, run.dataset) == (heads.cache, heads.dataset)


def test_a_label_that_is_not_there_is_named() -> None:
    wrong = {
        "systems": {"floor": {"family": "classical", "dataset": "collider", "tasks": {"semantic": {"labels": [4]}}}}
    }
    with pytest.raises(ConfigError, match=r"systems\.floor\.tasks.*semantic.*track, pid, noise"):
        planned(wrong, "tiny")
