"""Results that are not what their names say are refused: every table is of its own run, its data, its weights and its state of the runs."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pages import demo_plan
from tpcfm.errors import DataError
from tpcfm.evaluate.event_scores import NAME as EVENT_SCORES
from tpcfm.evaluate.event_scores import write_event_scores
from tpcfm.evaluate.sources import NAME, check_results, digest, write_run_sources, write_sources
from tpcfm.evaluate.table import write_metrics
from tpcfm.files import read_json, write_json
from tpcfm.plan.table import Plan
from tpcfm.workspace import Workspace


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    """A pretraining and the runs that start from it, as trainings leave them; and a study of theirs."""
    root = tmp_path_factory.mktemp("results")
    plan = demo_plan(root, "polar_mae")
    parent = plan.of_experiment("pretrain")[0]
    runs = [parent, *[run for run in plan.runs if plan.runs[run].pretrained == parent][:2]]
    plan = plan.model_copy(update={"runs": {name: plan.runs[name] for name in runs}})
    work = Workspace(root)
    for number, (name, run) in enumerate(plan.runs.items()):
        write_json(work.cache_manifest(run.cache), {"fingerprint": "a" * 64})
        row = {"run": name, "family": run.family, "dataset": run.dataset, "metric": "f1", "split": "test"}
        write_metrics(work.metrics(name), [{**row, "value": float(number)}])
        sums = {("f1", ""): np.array([[float(number), 1.0]])}
        write_event_scores(work.run(name) / EVENT_SCORES, ["e"], [("probe", 0, sums)])
        work.weights(name).write_bytes(b"weights of " + name.encode())
        write_json(work.record(name), {"run": run.model_dump(mode="json"), "data": "a" * 64, "seconds": number})
        write_run_sources(run, work)
    write_metrics(work.study_table("scaling", "fits"), [{"run": parent, "metric": "b", "value": 1.0}])
    write_sources(work.study("scaling"), map(work.metrics, runs))
    return plan, root


@pytest.fixture
def results(original: tuple[Plan, Path], tmp_path: Path) -> tuple[Plan, Workspace, list[str]]:
    """A copy of them to spoil: plan, workspace, runs (the pretraining first)."""
    plan, root = original
    shutil.copytree(root, tmp_path / "moved")
    plan = plan.model_copy(update={"config": {**plan.config, "results": str(tmp_path / "moved")}})
    return plan, Workspace(tmp_path / "moved"), list(plan.runs)


def swap(first: Path, second: Path) -> None:
    aside = first.with_name("aside")
    first.rename(aside)
    second.rename(first)
    aside.rename(second)


def swapped(name: str) -> Callable[[Workspace, list[str]], object]:
    return lambda work, runs: swap(work.run(runs[1]) / name, work.run(runs[2]) / name)


def without_stamp(change: Callable[[Workspace, list[str]], object]) -> Callable[[Workspace, list[str]], object]:
    """The same for results of a time without ``sources.json``."""

    def do(work: Workspace, runs: list[str]) -> None:
        for run in runs:
            (work.run(run) / NAME).unlink()
        change(work, runs)

    return do


def trained_anew(work: Workspace, runs: list[str]) -> None:
    """The pretraining was made again, with other weights; what started from the old ones was not."""
    work.weights(runs[0]).write_bytes(b"other weights")
    (work.run(runs[0]) / NAME).unlink()


SPOILT = {
    "metrics of two runs swapped": (swapped("metrics.parquet"), "holds numbers of the run"),
    "the same, in older results": (without_stamp(swapped("metrics.parquet")), "holds numbers of the run"),
    "scores per event swapped": (swapped(EVENT_SCORES), "another checksum"),
    "records swapped": (swapped("run.json"), "is of the run"),
    "records swapped in older results": (without_stamp(swapped("run.json")), "is of the run"),
    "stamps swapped": (swapped(NAME), "another checksum"),
    "a number edited": (
        lambda work, runs: write_metrics(work.metrics(runs[1]), [{"run": runs[1], "metric": "f1", "value": 9.0}]),
        "another checksum",
    ),
    "a table gone": (lambda work, runs: (work.run(runs[1]) / EVENT_SCORES).unlink(), "is gone"),
    "damaged metrics": (lambda work, runs: work.metrics(runs[1]).write_bytes(b"PAR1"), "damaged"),
    "another state of the data": (
        lambda work, runs: [write_json(p, {"fingerprint": "b" * 64}) for p in work.root.glob("cache/*/manifest.json")],
        "trained on data aaaaaaaaaaaa",
    ),
    "the pretraining made anew": (trained_anew, "was made from another"),
    "a study table edited": (
        lambda work, runs: write_metrics(work.study_table("scaling", "fits"), [{"run": "", "metric": "b", "value": 2}]),
        "another checksum",
    ),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_what_does_not_belong_is_refused_and_named(results, kind: str) -> None:
    plan, work, runs = results
    change, said = SPOILT[kind]
    check_results(plan, folders=[work.study("scaling")])
    change(work, runs)
    with pytest.raises(DataError, match=said) as error:
        check_results(plan, folders=[work.study("scaling")])
    assert str(work.root) in str(error.value)
    assert "run the same command again" in str(error.value)


def test_fits_of_an_earlier_state_of_the_runs_are_refused(results) -> None:
    plan, work, runs = results
    row = {"run": runs[1], "metric": "f1", "value": 3.0}
    write_metrics(work.metrics(runs[1]), [row])  # trained again, and stamped again: as a run it is good
    write_run_sources(plan.runs[runs[1]], work)
    check_results(plan)
    with pytest.raises(DataError, match="was made from another"):
        check_results(plan, folders=[work.study("scaling")])


def test_results_without_their_data_are_shown(results) -> None:
    plan, work, _ = results
    shutil.rmtree(work.root / "cache")
    check_results(plan, folders=[work.study("scaling"), work.root / "nowhere"])


def test_recorded_checksums_are_taken_where_they_fit(tmp_path: Path) -> None:
    table = tmp_path / "a.parquet"
    table.write_bytes(b"1234")
    write_json(tmp_path / "a.statistics.json", {"bytes": 4, "sha256": "recorded"})
    assert digest(table, recorded=True) == "recorded"
    assert digest(table) != "recorded"
    table.write_bytes(b"12345")
    assert digest(table, recorded=True) == digest(table)
    assert read_json(tmp_path / "a.statistics.json")["bytes"] == 4
