"""Ids hash what a result depends on and nothing else: how jobs run never enters, and a setting that is added later renames nothing."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from more_fields import add_a_field
from plans import ROOT, planned
from tpcfm.config.execution import Knobs
from tpcfm.plan.table import Plan
from tpcfm.systems.fm4npp.settings import NeighbourPretraining

KNOBS: dict[str, Any] = {
    "max_points": 1234,
    "log_every": 7,
    "checkpoint_every": 11,
    "workers": 3,
    "compile": True,
    "activation_checkpointing": True,
}
PLACES: dict[str, Any] = {
    "all jobs": lambda knob: knob,
    "a stage": lambda knob: {"stages": {"pretrain": knob}},
    "some runs": lambda knob: {"runs": {"fm4npp-pretrain-m1-*": knob}},
}


@pytest.fixture(scope="module")
def plan() -> Plan:
    return planned(scale="tiny")


def all_but_execution(plan: Plan) -> dict[str, Any]:
    plain = plan.model_dump(exclude={"config"})
    return {**plain, "runs": {name: {**run, "execution": {}} for name, run in plain["runs"].items()}, "hash": plan.hash}


def test_every_knob_is_tried() -> None:
    assert set(KNOBS) == set(Knobs.model_fields)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("knob", KNOBS)
def test_how_a_job_runs_changes_its_execution_and_nothing_else(plan: Plan, knob: str, place: str) -> None:
    changed = planned({"execution": PLACES[place]({knob: KNOBS[knob]})}, "tiny")
    assert all_but_execution(changed) == all_but_execution(plan)
    different = {name for name, run in changed.runs.items() if run.execution != plan.runs[name].execution}
    wanted = {
        name
        for name, run in plan.runs.items()
        if place == "all jobs"
        or (place == "a stage" and run.stage == "pretrain")
        or (place == "some runs" and name.startswith("fm4npp-pretrain-m1-"))
    }
    # What the scale sets for a stage wins over what is set for all.
    stage = plan.config["execution"]["stages"]["pretrain"]
    if place == "all jobs" and stage[knob] is not None:
        wanted = {name for name in wanted if plan.runs[name].stage != "pretrain"}
    assert different == wanted
    assert all(changed.runs[name].execution[knob] == KNOBS[knob] for name in different)


@pytest.mark.parametrize("over", [{"neighbours": "loader"}, {"device": "cpu"}])
def test_neither_stored_neighbours_nor_the_device_are_part_of_an_id(plan: Plan, over: dict[str, Any]) -> None:
    changed = planned({"execution": over}, "tiny")
    assert all_but_execution(changed) == all_but_execution(plan)
    assert changed.runs == plan.runs


def test_the_job_gets_the_settings_of_its_run_over_those_of_its_stage_over_those_of_all() -> None:
    stages = {"pretrain": {"workers": 2, "log_every": 3}}
    runs = {"fm4npp-pretrain-*": {"log_every": 4}, "*-m2-*": {"log_every": 5}}
    plan = planned({"execution": {"workers": 1, "max_points": 99, "stages": stages, "runs": runs}}, "tiny")
    for size, log_every in (("m1", 4), ("m2", 5)):
        run = plan.run(f"fm4npp-pretrain-{size}-s0")
        train = run.block(NeighbourPretraining).train
        assert train == run.train
        assert (train.max_points, train.workers, train.log_every, train.checkpoint_every) == (99, 2, log_every, 2)
        assert train.steps == run.config["train"]["steps"], "and the settings of the configuration"


SHOW = """
import json, sys
from plans import planned
found = {}
for scale in ("tiny", "paper"):
    plan = planned(scale=scale)
    parts = {kind: sorted(getattr(plan, kind)) for kind in ("datasets", "edges", "caches", "runs", "studies")}
    settings = {name: cache.settings for name, cache in plan.caches.items()}
    found[scale] = [plan.hash, parts, settings, {name: edges.serialization for name, edges in plan.edges.items()}]
json.dump(found, sys.stdout)
"""


def test_a_new_setting_with_a_default_renames_nothing(tmp_path: Path) -> None:
    def shown(source: Path) -> dict[str, Any]:
        path = os.pathsep.join([str(source), str(ROOT / "tests/support")])
        done = subprocess.run(
            [sys.executable, "-c", SHOW], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    blocks = add_a_field(tmp_path / "src")
    needed = {"TrainConfig", "TokenizerConfig", "SerializationConfig", "TargetConfig", "Fm4nppModel", "Run", "Study"}
    assert needed | {"Detector", "PicturesConfig", "Knobs", "DataSource"} <= set(blocks)
    assert shown(tmp_path / "src") == shown(ROOT / "src")
