"""A page of several systems: each appears in its sections, names are unique, a detector of one's own shows its labels and colours."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pages import demo_plan
from tpcfm.detectors.model import ClassLabel, Detector
from tpcfm.evaluate.table import write_metrics
from tpcfm.events.schema import event_schema
from tpcfm.files import atomic
from tpcfm.plan.run import Run
from tpcfm.plan.table import Plan
from tpcfm.report.contents import SECTIONS
from tpcfm.report.page import Section, left_out, write_report
from tpcfm.tasks.predictions import write_predictions
from tpcfm.workspace import Workspace

TOY = """
name: toy
title: Toy chamber
coordinates: {unit: mm}
volume: {shape: cylinder, r: [100, 500], z: [-600, 600]}
pitch: 3.0
signal: [{name: charge, unit: fC}]
labels:
  particle: {kind: instances, background: [0]}
  region: {kind: classes, classes: {4: {name: inner gas, colour: "#12ab34"}, 9: {name: outer wall, colour: "#fe4321"}}}
"""
TRAINING = {"steps": 20, "batch_size": 2, "evaluate_every": 10}


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    folder = tmp_path_factory.mktemp("page")
    (folder / "toy.yaml").write_text(TOY)
    (folder / "hits.csv").write_text("event,x,y,z\n")

    def change(values: dict[str, Any]) -> None:
        values["data"]["toy"] = {"detector": str(folder / "toy.yaml"), "files": [str(folder / "hits.csv")]}
        task = {"labels": [10], "train": TRAINING}
        systems = values["systems"]
        systems["polar_mae"]["tasks"]["group"] = task
        systems["own"] = {
            "family": "fm4npp",
            "dataset": "toy",
            "sizes": ["m1"],
            "pretrain": TRAINING,
            "tasks": {"particle": task, "region": task},
            "ablations": {"k": [1], "n_labels": 10},
        }

    plan = demo_plan(folder / "results", change=change)
    for run in plan.runs.values():
        _run(plan, run)
    for name, dataset in plan.datasets.items():
        path = Workspace(folder / "results").event_table(name, next(iter(dataset.parts)))
        path.parent.mkdir(parents=True)
        _event(dataset.load_detector(), path)
    return plan


def _points(detector: Detector, n: int = 40) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    low, high = detector.volume.low, detector.volume.high
    event = {axis: rng.uniform(a, b, n).astype(int) for axis, a, b in zip("xyz", low, high, strict=True)}
    return event | {signal.name: rng.uniform(1, 9, n) for signal in detector.signal}


def _values(detector: Detector, name: str, n: int = 40) -> np.ndarray:
    label = detector.labels[name]
    return np.resize(label.values if isinstance(label, ClassLabel) else [1, 2, 3], n)


def _event(detector: Detector, path: Path) -> None:
    event = _points(detector) | {name: _values(detector, name) for name in detector.labels}
    row = {field.name: event[field.name].tolist() if field.name in event else None for field in event_schema(detector)}
    table = pa.Table.from_pylist([row | {"event_id": "e", "split": "test", "n_points": 40}], event_schema(detector))
    pq.write_table(table, path)


def _scores(run: Run, detector: Detector, task: str) -> Iterator[dict[str, Any]]:
    label = detector.labels[task]
    value = 0.5 + 0.3 * (run.pretrained is not None) + 0.001 * run.seed
    classes = label.names if isinstance(label, ClassLabel) else []
    for metric in ("accuracy", "f1", "recall", "precision", "iou") if classes else ("ari", "efficiency", "purity"):
        for name in ("", *(classes if metric != "accuracy" else [])):
            yield {"metric": metric, "class": name, "value": value, "split": "test", "task": task}


def _run(plan: Plan, run: Run) -> None:
    workspace, detector = Workspace(Path(plan.config["results"])), plan.datasets[run.dataset].load_detector()
    split = {"pretrain": "validation", "probe": "test"}.get(run.stage, "")
    common = {"run": run.id, "task": run.task, "seed": run.seed, "n_labels": run.n_labels or -1, "split": split}
    rows = [{"metric": "parameters", "value": 1e6}, {"metric": "flops", "value": 1e12}]
    if run.stage == "pretrain":
        rows += [{"metric": "validation_loss", "value": 0.1}, {"metric": "floor_own_position", "value": 0.2}]
        log = pd.DataFrame({"step": [0, 10, 20], "split": "validation", "loss": [3.0, 2.0, 1.0]})
        with atomic(workspace.run(run.id) / "log.parquet") as temporary:
            log.to_parquet(temporary)
    elif run.task == "probe":
        label = detector.classes()[run.config["label"]]
        rows = [{"metric": "f1", "class": c, "value": 0.6, "low": 0.5, "high": 0.7} for c in ("", *label.names)]
    elif run.task in detector.labels:
        rows += _scores(run, detector, run.task)
        _predictions(workspace.run(run.id) / "predictions.parquet", detector, run.task)
    write_metrics(workspace.metrics(run.id), [common | row for row in rows])


def _predictions(path: Path, detector: Detector, task: str) -> None:
    numbers = detector.labels[task].encode(_values(detector, task))
    event = {"event_id": "e", **_points(detector), "truth": numbers, "prediction": np.roll(numbers, 1)}
    write_predictions(path, [event], detector, task)


@pytest.fixture(scope="module")
def parts(plan: Plan) -> list[Section]:
    return write_report(plan, Workspace(Path(plan.config["results"])).report)


def test_every_system_appears_and_names_are_unique(plan: Plan, parts: list[Section]) -> None:
    names = [item.name for part in parts for item in part.items]
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert {part.anchor for part in parts} >= {"pretraining", "probes", "labels", "above", "predictions", "ablations"}
    assert {part.anchor for part in parts} <= {entry.anchor for entry in SECTIONS}
    labels = {item.name for part in parts if part.anchor == "labels" for item in part.items}
    own = {"own-labels-particle", "own-labels-region", "own-table-region-f1"}
    assert own | {"fm4npp-labels-pid", "polar_mae-labels-semantic", "polar_mae-labels-group"} <= labels
    ablations = [item.name for part in parts if part.anchor == "ablations" for item in part.items]
    assert {"own-ablations", "fm4npp-ablations", "polar_mae-mask-ratio"} <= set(ablations)
    report = Workspace(Path(plan.config["results"])).report
    figures = {path.stem for path in (report.parent / "figures").glob("*.png")}
    assert own - {"own-table-region-f1"} <= figures
    assert figures <= set(names)
    titles = [item.title for part in parts for item in part.items if item.name.startswith("own-")]
    assert titles
    assert all(title.endswith("(own, toy)") for title in titles)


def test_a_detector_of_ones_own_shows_its_names_and_colours(parts: list[Section]) -> None:
    items = {item.name: item for part in parts for item in part.items}
    assert "<th>inner gas</th><th>outer wall</th>" in items["own-table-region-f1"].html
    assert items["own-prediction-region"].title.startswith("Classes by region")
    (event,) = (item for name, item in items.items() if name.startswith("event-toy-"))
    for shown in (items["own-prediction-region"], event):
        for word in ("inner gas", "outer wall", "#12ab34", "#fe4321"):
            assert word in shown.html
    # Nothing is published for it, so no paper stands beside.
    labels = [item for name, item in items.items() if name.startswith(("own-table", "own-labels", "own-ablations"))]
    assert not any(re.search(r"paper|arXiv", item.html + item.caption) for item in labels if "cost" not in item.name)


def test_what_is_left_out_names_the_system(plan: Plan) -> None:
    missing = left_out(plan)
    assert "joint adapter" in missing["own"]
    assert {"joint adapter", "pid at 70000 labels"} <= set(missing["fm4npp"])
    assert "semantic at 10000 labels" in missing["polar_mae"]
    assert not any(name.startswith("task") for name in missing["own"])  # nothing is published for these events
