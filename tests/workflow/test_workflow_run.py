"""The tiny scale runs from raw files to report and dashboards; nothing is done twice; what breaks, breaks alone and cleanly."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest

from plans import setting
from tpcfm.evaluate.table import COLUMNS
from workflow_checkout import BIN, Checkout, copy_checkout, environment

pytestmark = [pytest.mark.workflow, pytest.mark.slow]


def _planned(checkout: Checkout, over: dict | None = None) -> list[str]:
    """Rule and wildcards of every job that a dry run would do."""
    result = checkout.snakemake("-n", "--", "all", over=over)
    text = result.stdout + result.stderr
    assert result.returncode == 0, text[-3000:]
    return [
        line.split("Job ", 1)[1]
        for line in text.splitlines()
        if line.startswith("Job ") and ":" in line and "stats" not in line
    ]


def test_every_run_leaves_model_record_and_metrics(tiny: Checkout) -> None:
    plan = tiny.plan()
    for name, run in plan.runs.items():
        folder = tiny.folder / "results" / "runs" / name
        assert json.loads((folder / "run.json").read_text())
        metrics = pd.read_parquet(folder / "metrics.parquet")
        assert list(metrics.columns) == list(COLUMNS)
        assert set(metrics["run"]) == {name}
        assert metrics["value"].notna().any()
        if run.stage != "probe":
            assert (folder / "model.safetensors").stat().st_size > 0
            assert (folder / "README.md").read_text()


def test_the_report_opens_without_a_network_and_holds_every_section(tiny: Checkout) -> None:
    page = (tiny.folder / "results/report/index.html").read_text()
    for anchor in (
        "data",
        "events",
        "tokenizers",
        "pretraining",
        "scaling",
        "ablations",
        "probes",
        "labels",
        "predictions",
    ):
        assert f'<h2 id="{anchor}">' in page, anchor
    head = page[: page.index("<script>")] + page[page.rindex("</script>") :]
    assert 'src="http' not in head
    assert "<link" not in head
    assert "scale: tiny" in page


def test_the_dashboards_hold_every_run_once(tiny: Checkout) -> None:
    import mlflow

    store = f"sqlite:///{tiny.folder}/results/mlflow/mlflow.db"
    client = mlflow.MlflowClient(store)
    experiments = [e.experiment_id for e in client.search_experiments()]
    keys = []
    page = client.search_runs(experiments, max_results=1000)
    for run in page:
        if "run_key" in run.data.tags and "mlflow.parentRunId" in run.data.tags:
            keys.append((run.info.experiment_id, run.data.tags["mlflow.parentRunId"], run.data.tags["run_key"]))
    assert len(keys) == len(set(keys))
    plan = tiny.plan()
    named = " ".join(key for _, _, key in keys)
    assert all(run in named for run in plan.runs)


def test_a_second_run_does_nothing(tiny: Checkout) -> None:
    assert _planned(tiny) == []


def test_editing_a_comment_reruns_nothing(tiny: Checkout) -> None:
    for name in ("src/tpcfm/systems/fm4npp/pretrain.py", "workflow/rules/train.smk"):
        with open(tiny.folder / name, "a") as stream:
            stream.write("# a comment\n")
    assert _planned(tiny) == []


def test_how_jobs_run_reruns_nothing(tiny: Checkout) -> None:
    knobs = {
        "log_every": 3,
        "checkpoint_every": 5,
        "workers": 1,
        "max_points": 777,
        "neighbours": "loader",
        "device": "cpu",
    }
    assert _planned(tiny, {"execution": {**knobs, "runs": {"*": {"log_every": 2}}}}) == []


def test_changing_one_ablation_value_reruns_only_what_depends_on_it(tiny: Checkout) -> None:
    jobs = "\n".join(_planned(tiny, setting("systems.fm4npp.ablations.k", [3])))
    assert "fm4npp-pretrain-m1-k-3" in jobs
    for untouched in ("Simulating", "Ingesting", "Grouping", "Serialising", "polar_mae", "track", "Fitting"):
        assert untouched not in jobs


@pytest.fixture
def with_caches(tiny: Checkout, tmp_path: Path) -> Checkout:
    """A copy with events and caches of the tiny scale, but no runs."""
    copy = copy_checkout(tmp_path)
    for name in ("raw", "events", "edges", "cache"):
        shutil.copytree(tiny.folder / "results" / name, tmp_path / "results" / name, copy_function=shutil.copy2)
    shutil.copytree(tiny.folder / ".snakemake" / "metadata", tmp_path / ".snakemake" / "metadata")
    return copy


@pytest.mark.parametrize("family", ["polar_mae", "fm4npp"])
def test_a_killed_pretraining_continues_to_the_same_weights(
    with_caches: Checkout, tmp_path_factory, family: str
) -> None:
    over = {
        "systems": {family: {"pretrain": {"steps": 80, "evaluate_every": 40}}},
        "execution": {"stages": {"pretrain": {"checkpoint_every": 2}}},
    }
    plan = with_caches.plan(over)
    run = next(r for r, e in plan.runs.items() if e.family == family and e.stage == "pretrain")
    target = f"results/runs/{run}/model.safetensors"
    results = with_caches.folder / "results"

    unbroken = with_caches.snakemake("--", target, over=over)
    assert unbroken.returncode == 0, unbroken.stderr[-4000:]
    expected = (with_caches.folder / target).read_bytes()
    shutil.rmtree(results / "runs")
    shutil.rmtree(results / "state")

    command = [
        str(BIN / "snakemake"),
        "--cores",
        "2",
        "--configfile",
        "workflow/scales/tiny.yaml",
        "over.yaml",
        "--",
        target,
    ]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=with_caches.folder, env=environment(), start_new_session=True, **quiet)
    log = results / "state" / run / "metrics.jsonl"
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and not (log.exists() and '"step": 6' in log.read_text()):
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (with_caches.folder / target).exists()
    assert any((with_caches.folder / ".snakemake/locks").iterdir()), "the dead run left its lock"

    again = with_caches.snakemake("--", target, over=over)
    assert again.returncode == 0, again.stderr[-4000:]
    text = "".join(p.read_text() for p in (results / "logs" / "pretrain").glob("*.log"))
    assert "continues at step" in text
    assert (with_caches.folder / target).read_bytes() == expected


@pytest.mark.parametrize("damage", ["missing", "truncated", "wrong layout"])
def test_a_damaged_raw_file_fails_its_own_job_only(tiny: Checkout, checkout: Checkout, damage: str) -> None:
    raw = next((tiny.folder / "results" / "raw").glob("lartpc-*")) / "part_000.h5"
    good, bad = checkout.folder / "good.h5", checkout.folder / "bad.h5"
    shutil.copy(raw, good)
    content = raw.read_bytes()
    bad.write_bytes(content[: len(content) // 3] if damage == "truncated" else b"not what it says" * 100)
    source = {"simulate": None, "files": ["good.h5", "bad.h5"]}
    over = {"systems": {"fm4npp": None}, "data": {"lartpc": source}}
    name = next(iter(checkout.plan(over).datasets))
    if damage == "missing":
        bad.unlink()
        result = checkout.snakemake("-k", "--", f"results/events/{name}/manifest.json", over=over)
        assert result.returncode != 0
        assert "bad.h5" in result.stdout + result.stderr
        return
    result = checkout.snakemake("-k", "--", f"results/events/{name}/manifest.json", over=over)
    text = result.stdout + result.stderr
    assert result.returncode != 0
    assert "bad.h5" in text
    assert "Traceback" not in text
    written = sorted(p.name for p in (checkout.folder / "results" / "events" / name).iterdir())
    assert written == ["good.parquet", "good.rejected.parquet", "good.statistics.json"]
