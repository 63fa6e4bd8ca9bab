"""The MLflow registry: a model per family, detector and task, whose alias ``champion`` is the best run on validation events.

The alias only moves forward: to more labelled events, or at equally many to a better score. The reason stands in the description.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tpcfm import __version__
from tpcfm.detectors.model import Detector
from tpcfm.inference.preparation import model_detector
from tpcfm.inference.share.bundle import stand_alone
from tpcfm.systems.architectures import ARCHITECTURES
from tpcfm.train.mlflow_store import database, load_mlflow, said_plainly, store_uri, tracking, writing
from tpcfm.train.model_files import LOG, load_config
from tpcfm.workspace import Workspace

ALIAS = "champion"
CODE = Path(__file__).with_name("served.py")
KINDS = ("ari", "f1", "loss")
"""Scores that runs are compared by, the first that one has; of the loss the smaller is better."""


@dataclass(frozen=True)
class Candidate:
    """A finished run that predicts a label.

    Attributes:
        key: its id.
        name: of the registered model: family, detector and task.
        n_labels: labelled events it was trained on; infinite for all.
        kind, score: of `KINDS` on validation events, larger is better (the loss with a minus).
    """

    key: str
    name: str
    n_labels: float
    kind: str
    score: float

    @property
    def rank(self) -> tuple[float, int, float]:
        """More is better."""
        return self.n_labels, -KINDS.index(self.kind), self.score


def register(results: Path, plan: Mapping[str, Any], *, uri: str | None = None) -> list[str]:
    """Bring the registry up to date with the finished runs; what was registered before stays.

    Args:
        results: results folder; its runs must have been synced.
        plan: the run table.
        uri: another tracking store or server.

    Returns:
        Names of the models whose champion has moved.

    Raises:
        MachineError: mlflow is missing, another writer is at work, or the store cannot be used.
    """
    space = Workspace(results)
    best: dict[str, Candidate] = {}
    for key, entry in plan["runs"].items():
        found = candidate(space, key, entry) if space.finished(key) else None
        if found and (found.name not in best or found.rank > best[found.name].rank):
            best[found.name] = found
    if not best:
        return []
    with writing(results), said_plainly(uri or str(database(results))):
        mlflow = load_mlflow()
        with tracking(mlflow, uri or store_uri(results)):
            client = mlflow.MlflowClient(uri or store_uri(results), uri or store_uri(results))
            return [name for name, found in sorted(best.items()) if _advance(mlflow, client, space, found)]


def candidate(space: Workspace, key: str, entry: Mapping[str, Any]) -> Candidate | None:
    """Return a finished run as a candidate; None if it predicts no label, or was not validated."""
    folder = space.run(key)
    if not space.model_config(key).is_file():
        return None
    config = load_config(folder)
    known = ARCHITECTURES.get(str(config.get("architecture")))
    if known is None or "prediction" not in known.pictures or "detector" not in config:
        return None
    scores = _validation(folder)
    kind = next((kind for kind in KINDS if kind in scores), None)
    if kind is None:
        return None
    labels = entry.get("n_labels")
    name = f"{entry.get('family')}-{model_detector(config).name}-{entry.get('task')}"
    return Candidate(key, name, float("inf") if labels == "all" else float(labels or 0), kind, scores[kind])


def _validation(folder: Path) -> dict[str, float]:
    """Return the scores on validation events: of the metrics table, and of the log the last (the weights kept are of the best or last)."""
    table, found = pd.read_parquet(folder / "metrics.parquet"), {}
    rows = table[(table["split"] == "validation") & (table["class"].fillna("") == "") & table["value"].notna()]
    for metric, value in zip(rows["metric"], rows["value"], strict=True):
        found[metric.removesuffix("_calibrated").removeprefix("validation_")] = float(value)
    if (folder / LOG).is_file():
        log = pd.read_parquet(folder / LOG)
        log = log[log["split"] == "validation"]
        if "f1" in log and log["f1"].notna().any():
            found.setdefault("f1", float(log["f1"].max()))
        if "loss" in log and log["loss"].notna().any():
            found.setdefault("loss", float(log["loss"].min()))
    if "loss" in found:
        found["loss"] = -found["loss"]
    return {kind: found[kind] for kind in KINDS if kind in found}


def _advance(mlflow: Any, client: Any, space: Workspace, found: Candidate) -> bool:
    """Make a run the champion of its model if it is better than the present one."""
    present = _champion(mlflow, client, found.name)
    if present is not None and found.rank <= _rank(present.tags):
        return False
    run = _run_of(client, found.key)
    if run is None:
        return False
    model = _log(mlflow, client, space.run(found.key), run)
    if present is None:
        client.create_registered_model(found.name, description=_about(space.run(found.key)))
    reason = _reason(found, present)
    tags = {
        "run_key": found.key,
        "n_labels": _count(found.n_labels),
        "score": repr(found.score),
        "score_kind": found.kind,
    }
    version = client.create_model_version(
        found.name, model.model_uri, run.info.run_id, tags=tags, description=reason, model_id=model.model_id
    )
    client.set_registered_model_alias(found.name, ALIAS, version.version)
    return True


def _champion(mlflow: Any, client: Any, name: str) -> Any:
    """Return the version with the alias; None of a model that is not there (one without the alias is taken as damaged, and stays)."""
    try:
        return client.get_model_version_by_alias(name, ALIAS)
    except mlflow.exceptions.MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def _rank(tags: Mapping[str, str]) -> tuple[float, int, float]:
    labels = float("inf") if tags["n_labels"] == "all" else float(tags["n_labels"])
    return labels, -KINDS.index(tags["score_kind"]), float(tags["score"])


def _count(labels: float) -> str:
    return "all" if labels == float("inf") else f"{labels:g}"


def _reason(found: Candidate, present: Any) -> str:
    shown = f"{found.kind} {abs(found.score):.4g} on validation events, {_count(found.n_labels)} labelled events"
    said = f"Run {found.key}: {shown}; the best of its family, detector and task at the largest label count."
    if present is None:
        return said
    tags = present.tags
    before = f"{tags['score_kind']} {abs(float(tags['score'])):.4g}, {tags['n_labels']} labelled events"
    return f"{said} Before: version {present.version}, run {tags['run_key']}, {before}."


def _about(folder: Path) -> str:
    card = folder / "README.md"
    return card.read_text(encoding="utf-8").partition("\n|")[0].strip() if card.is_file() else folder.name


def _run_of(client: Any, key: str) -> Any:
    experiments = [e.experiment_id for e in client.search_experiments()]
    found = client.search_runs(experiments, f"tags.run_key = '{key}'", max_results=1)
    return found[0] if found else None


def _log(mlflow: Any, client: Any, folder: Path, run: Any) -> Any:
    """Log a run's model with signature, example and its scores; return what MLflow knows of it."""
    detector, labels = model_detector(load_config(folder)), _labels(load_config(folder))
    with tempfile.TemporaryDirectory() as place, mlflow.start_run(run_id=run.info.run_id):
        made = mlflow.pyfunc.log_model(
            name=folder.name,
            python_model=str(CODE),
            artifacts={"model": str(stand_alone(folder, Path(place) / "model"))},
            signature=signature(mlflow, detector, labels),
            input_example=example(detector),
            pip_requirements=[f"tpcfm=={__version__}", f"mlflow=={mlflow.__version__}"],
            metadata={"detector": detector.name, "labels": ", ".join(labels)},
        )
    _scores(client, run, made.model_id)
    return made


def _scores(client: Any, run: Any, model_id: str) -> None:
    """Link the final scores of a run, and its dataset, to the logged model."""
    from mlflow.entities import Metric

    data = run.inputs.dataset_inputs[0].dataset if run.inputs and run.inputs.dataset_inputs else None
    named = {"dataset_name": data.name, "dataset_digest": data.digest} if data else {}
    at = run.info.end_time or run.info.start_time
    linked = {metric.key for metric in client.get_logged_model(model_id).metrics or ()}  # MLflow links those of step 0
    metrics = [
        Metric(key, value, at, 0, model_id=model_id, run_id=run.info.run_id, **named)
        for key, value in run.data.metrics.items()
        if key.startswith("final/test/") and key not in linked
    ]
    for i in range(0, len(metrics), 500):
        client.log_batch(run.info.run_id, metrics=metrics[i : i + 500])


def _labels(config: Mapping[str, Any]) -> list[str]:
    return list(config["adapter"]["outputs"]) if "adapter" in config else [config["label"]]


def signature(mlflow: Any, detector: Detector, labels: list[str]) -> Any:
    """Return the columns that a served model takes and gives."""
    from mlflow.types import ColSpec, Schema

    given = [("long", "event"), *(("double", name) for name in example(detector).columns[1:])]
    made = [spec for label in labels for spec in (("long", label), ("float", f"{label}_score"))]
    schemas = (
        Schema([ColSpec(kind, name) for kind, name in some]) for some in (given, [*made, ("boolean", "answered")])
    )
    return mlflow.models.ModelSignature(*schemas)


def example(detector: Detector) -> pd.DataFrame:
    """Return two points of one event, in the middle of the volume."""
    names = ["x", "y", "z", *(signal.name for signal in detector.signal)]
    middle = (detector.volume.low + detector.volume.high) / 2
    rows = np.stack([np.r_[middle, np.ones(len(names) - 3)]] * 2)
    return pd.DataFrame({"event": np.zeros(2, np.int64), **dict(zip(names, rows.T, strict=True))})
