"""The MLflow registry: champions move forward alone, and what is registered labels points wherever MLflow runs it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tpcfm
from fm4npp_toys import toy_event
from tpcfm.evaluate.table import write_metrics
from tpcfm.files import write_json
from tpcfm.inference.registry.champions import register
from tpcfm.inference.share.bundle import stand_alone
from tpcfm.train.mlflow_store import load_mlflow, store_uri
from tpcfm.train.mlflow_sync import sync
from tpcfm.workspace import Workspace

pytestmark = pytest.mark.xdist_group("mlflow")


def run_of(space: Workspace, results: Path, key: str, labels: int | str, f1: float) -> dict[str, Any]:
    """A finished run with the network of the zoo; returns its entry of the plan."""
    folder = stand_alone(space.run("pid-pretrained"), Workspace(results).run(key))
    row = {"run": key, "metric": "f1", "class": "", "value": f1}
    write_metrics(folder / "metrics.parquet", [row | {"split": "validation"}, row | {"split": "test", "value": 0.1}])
    write_json(folder / "run.json", {"seconds": 3})
    return {"slug": key, "family": "fm4npp", "task": "pid", "n_labels": labels, "seed": 0}


def plan_of(runs: dict[str, Any]) -> dict[str, Any]:
    return {"studies": {"heads": {"runs": list(runs), "experiment": "finetune"}}, "runs": runs}


@pytest.fixture(scope="module")
def store(zoo: tuple[Workspace, Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, dict[str, Any]]:
    """A store with a champion among three runs, a client, and the runs."""
    space, results = zoo[0], tmp_path_factory.mktemp("registry")
    runs = {key: run_of(space, results, key, labels, f1) for key, labels, f1 in
            (("few", 10, 0.9), ("good", "all", 0.6), ("bad", "all", 0.5))}  # fmt: skip
    sync(results, plan_of(runs))
    assert register(results, plan_of(runs)) == [name_of(space)]
    return results, load_mlflow().MlflowClient(store_uri(results), store_uri(results)), runs


def name_of(space: Workspace) -> str:
    return f"fm4npp-{tpcfm.load(space.run('pid-pretrained'), device='cpu').detector.name}-pid"


@pytest.fixture(scope="module")
def event() -> pd.DataFrame:
    made = toy_event(np.random.default_rng(8), 4)
    return pd.DataFrame({"event": 7, **{name: made[name] for name in ("x", "y", "z", "energy")}})


def test_the_champion_is_the_best_at_the_largest_label_count(store: Any, space: Workspace) -> None:
    results, client, runs = store
    version = client.get_model_version_by_alias(name_of(space), "champion")
    assert (version.version, version.tags["run_key"]) in {("1", "good"), (1, "good")}
    assert "f1 0.6 on validation events, all labelled events" in version.description
    logged = client.get_logged_model(version.source.rpartition("/")[2])
    assert logged.source_run_id == version.run_id
    assert {metric.key: metric.value for metric in logged.metrics}["final/test/f1"] == pytest.approx(0.1)
    assert register(results, plan_of(runs)) == [], "nothing is better"


def test_points_are_labelled_by_every_road(
    store: Any, space: Workspace, event: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, _, _ = store
    uri = f"models:/{name_of(space)}@champion"
    known = tpcfm.load(space.run("pid-pretrained"), device="cpu").predict(event.drop(columns="event"))
    np.testing.assert_array_equal(tpcfm.load(uri, results=results, device="cpu").predict(event)["pid"], known["pid"])
    mlflow = load_mlflow()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_uri(results))
    served = mlflow.pyfunc.load_model(uri)
    assert [column.name for column in served.metadata.signature.inputs] == list(event.columns)
    shuffled = event.sample(frac=1, random_state=0)
    found = served.predict(shuffled)
    assert list(found) == ["pid", "pid_score", "answered"]
    np.testing.assert_array_equal(found["pid"], known["pid"][shuffled.index])
    folder = Path(mlflow.artifacts.download_artifacts(uri))
    assert not [path for path in folder.rglob("*") if path.suffix in (".pkl", ".pickle", ".pt", ".bin")]


def test_the_champion_moves_forward_alone(store: Any, space: Workspace) -> None:
    results, client, runs = store
    name = name_of(space)
    worse = {"worse": run_of(space, results, "worse", "all", 0.55), "few2": run_of(space, results, "few2", 20, 0.99)}
    sync(results, plan_of(worse))
    assert register(results, plan_of(worse)) == [], "also where the better run is no longer in the plan"
    better = runs | {"better": run_of(space, results, "better", "all", 0.7)}
    sync(results, plan_of(better))
    assert register(results, plan_of(better)) == [name]
    version = client.get_model_version_by_alias(name, "champion")
    assert version.tags["run_key"] == "better"
    assert "Before: version 1, run good, f1 0.6" in version.description


@pytest.mark.slow
def test_mlflow_predicts_from_json(store: Any, space: Workspace, event: pd.DataFrame, tmp_path: Path) -> None:
    results, _, _ = store
    (tmp_path / "points.json").write_text(json.dumps({"dataframe_split": event.to_dict(orient="split", index=False)}))
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "models",
        "predict",
        "-m",
        f"models:/{name_of(space)}@champion",
        "--env-manager",
        "local",
    ]
    command += ["--content-type", "json", "-i", str(tmp_path / "points.json"), "-o", str(tmp_path / "out.json")]
    environment = {"MLFLOW_TRACKING_URI": store_uri(results), "MLFLOW_DISABLE_TELEMETRY": "true"}
    import os

    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, timeout=560)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out.json").read_text())["predictions"]
    assert len(found) == len(event)
    assert set(found[0]) == {"pid", "pid_score", "answered"}
