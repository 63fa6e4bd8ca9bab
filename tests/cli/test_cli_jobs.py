"""Verbs that run one entry of the run table: a finished run is left as it is; the run table shows whole run ids."""

import subprocess
import sys
from pathlib import Path

import pytest

from plans import planned
from tpcfm.workspace import RUN_FILES, Workspace

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def plan():
    return planned(scale="tiny")


def tpcfm(*arguments, cwd=ROOT):
    command = [sys.executable, "-m", "tpcfm", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


def test_a_finished_run_is_left_as_it_is(plan, tmp_path):
    run = next(name for name, entry in plan.runs.items() if entry.stage == "pretrain")
    path = plan.write(tmp_path)
    folder = Workspace(tmp_path / plan.config["results"]).run(run)
    folder.mkdir(parents=True)
    for name in RUN_FILES:
        (folder / name).write_text("as it was")
    before = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    result = tpcfm("pretrain", "--plan", str(path), "--run", run, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert f"{run}: finished already" in result.stdout
    result = tpcfm("pretrain", "--plan", str(path), "--run", run[:-3], cwd=tmp_path)
    assert f"{run}: finished already, see" in result.stdout, "the beginning of an id stands for the run"
    assert {p.name: p.stat().st_mtime_ns for p in folder.iterdir()} == before
    (folder / "metrics.parquet").unlink()
    result = tpcfm("pretrain", "--plan", str(path), "--run", run, cwd=tmp_path)
    assert result.returncode != 0, "an unfinished run is run, and here its cache is missing"
    assert "finished already" not in result.stdout


def test_the_run_table_shows_whole_ids_in_a_pipe(plan):
    result = tpcfm("plan", "--scale", "tiny")
    assert result.returncode == 0, result.stderr
    assert set(plan.runs) <= set(result.stdout.split())
