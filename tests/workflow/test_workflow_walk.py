"""The paper's path is walked: the walk plans the same kinds of runs as the paper, and runs from the first download to the report."""

import os
import re
from typing import Any

import pandas as pd
import pytest

from plans import planned
from releases import LARTPC, mirrors, serve_miniature
from tpcfm.config.text import read_yaml
from tpcfm.plan.table import Plan
from webserver import serving
from workflow_checkout import ROOT, Checkout, copy_checkout, tpcfm

WALK = read_yaml(ROOT / "workflow/scales/walk.yaml")
COUNTS = {
    *("steps", "short_steps", "batch_size", "warmup_steps", "evaluate_every", "steps_by_size", "labels", "seeds", "learning_rates", "events"),
    *("train_events", "test_events", "tuning_events", "validation_events", "serialization_events", "points"),
    *("log_every", "workers"),
}  # fmt: skip
SIZES = {"model", "graph", "voxel", "eggnet", "exatrkx", "hept", "filters", "depth"}
OTHERS = {"split", "tsne_dims"}
"""What the walk may set besides counts and sizes of networks: the share that is held out, and which projections are drawn."""


def kinds(plan: Plan) -> set[tuple[str, ...]]:
    """What a plan compares: study, recipe, task and variant of every point, and the runs that are in no study."""
    found = set()
    for name, study in plan.studies.items():
        for point in study.points:
            run = plan.runs[point.run]
            value = "" if point.axis.startswith("learning_rate/") else point.value  # points of a grid are a count
            value = re.sub(r", \d+ steps$", ", short", value)
            found.add((name, study.experiment, run.stage, run.recipe, run.task, point.axis, value))
    inside = {run for study in plan.studies.values() for run in study.runs}
    return found | {(run.stage, run.recipe, run.task) for name, run in plan.runs.items() if name not in inside}


def test_the_walk_plans_the_kinds_of_runs_of_the_paper() -> None:
    paper, walk = planned(scale="paper"), planned(WALK, "paper")
    assert kinds(walk) == kinds(paper)
    assert len(kinds(paper)) > 150
    assert len(walk.runs) < 250
    assert [c.kind for c in walk.caches.values()] == [c.kind for c in paper.caches.values()]
    assert {d.name for d in walk.datasets.values()} == {d.name for d in paper.datasets.values()}


def test_no_training_of_the_walk_is_long() -> None:
    def steps(block: object) -> list[int]:
        if not isinstance(block, dict):
            return []
        here = [block["steps"]] if isinstance(block.get("steps"), int) else []
        return here + [n for inner in block.values() for n in steps(inner)]

    runs = {
        name: run for name, run in planned(WALK, "paper").runs.items() if "dbscan" not in run.slug
    }  # learns nothing
    found = {name: max(steps(vars(run)), default=0) for name, run in runs.items()}
    assert max(found.values()) > 0
    assert {name: n for name, n in found.items() if n > 5} == {}


def test_the_walk_cuts_counts_and_sizes_only() -> None:
    def cut(block: dict[str, Any]) -> set[str]:
        """Keys with a value, without what lies inside a block of sizes."""
        found = set()
        for key, value in block.items():
            found |= cut(value) if isinstance(value, dict) and key not in COUNTS | SIZES | OTHERS else {key}
        return found

    said = {key: value for key, value in WALK.items() if key != "scale"}
    assert cut(said) <= COUNTS | SIZES | OTHERS


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy in which the miniature was listed and the walk has been run."""
    copy = copy_checkout(tmp_path_factory.mktemp("walk"))
    with serving() as site:
        serve_miniature(site)
        where = mirrors(site)
        over = {"execution": {"mirrors": where}}
        told = copy.snakemake("-n", "--", "all", scale=("paper", "walk"), over=over)
        assert "write it with `tpcfm fetch pilarnet --list`" in told.stdout + told.stderr
        for release, url in where.items():
            listed = tpcfm(copy, "fetch", release, "--list", "--base-url", url)
            assert listed.returncode == 0, listed.stderr
        result = copy.snakemake("--", "all", scale=("paper", "walk"), over=over)
        assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-8000:]
        assert not site.busy, "both busy answers were given"
    return copy


pytestmark = pytest.mark.workflow


LONG = pytest.mark.skipif("TPCFM_WALK" not in os.environ, reason="some ten minutes: make walk")


@LONG
@pytest.mark.slow
def test_the_walk_runs_from_the_first_download_to_the_report(walked: Checkout) -> None:
    plan = walked.plan(scale=("paper", "walk"))
    results = walked.folder / "results"
    for name in plan.runs:
        metrics = pd.read_parquet(results / "runs" / name / "metrics.parquet")
        assert metrics["value"].notna().any(), name
    assert (results / "mlflow/synced.json").is_file()
    page = (results / "report/index.html").read_text()
    assert "scale: walk" in page
    assert "the validation files are the test" in page


@LONG
@pytest.mark.slow
def test_test_events_of_the_walk_are_the_published_validation_files(walked: Checkout) -> None:
    plan = walked.plan(scale=("paper", "walk"))
    name = next(k for k, d in plan.datasets.items() if d.name == "pilarnet_m")
    tables = sorted((walked.folder / "results/events" / name).glob("*_v1.parquet"))
    assert len(tables) == len(LARTPC["train"]) + len(LARTPC["val"])
    held = {
        path.name: set(pd.read_parquet(path, columns=["split"])["split"])
        for path in tables
        if "rejected" not in path.name
    }
    for table, splits in held.items():
        assert splits == {"test"} if table.startswith("val-") else splits <= {"train", "validation"}, table
    assert set().union(*held.values()) == {"train", "validation", "test"}
