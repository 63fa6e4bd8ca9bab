"""The MLflow store holds what the run folders hold: nested by study, complete, once, however often one syncs."""

import json
import os
import shlex
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tpcfm.cli.mlflow import app
from tpcfm.errors import DataError, MachineError
from tpcfm.evaluate.table import write_metrics
from tpcfm.files import write_json, write_text
from tpcfm.train.lock import StateLock
from tpcfm.train.log import MetricsLog
from tpcfm.train.mlflow_store import database, initialise
from tpcfm.train.mlflow_sync import figure_studies, flatten, sync
from tpcfm.train.model_dir import history_frame
from tpcfm.workspace import Workspace

pytestmark = pytest.mark.xdist_group("mlflow")  # they share one store, which takes long to make
ROWS = 150


def rows_of(number, upto=ROWS):
    return [
        {"step": s, "split": "train", "loss": number + 1 / s, "lr": 1e-3, "seconds": 0.5 * s}
        for s in range(1, upto + 1)
    ] + [{"step": upto, "split": "validation", "loss": number + 0.5, "f1": float("nan")}]


def write_run(results, key, number, rows=None):
    """A finished run folder, as ``save_model`` leaves it."""
    folder = Workspace(Path(results)).run(key)
    folder.mkdir(parents=True, exist_ok=True)
    history_frame(rows or rows_of(number)).to_parquet(folder / "log.parquet")
    write_metrics(
        folder / "metrics.parquet",
        [
            {"run": key, "metric": "f1", "split": "test", "class": c, "value": 0.5 + number / 10}
            for c in ("", "track", "mu/e")
        ],
    )
    write_text(folder / "README.md", f"# {key}\n")
    (folder / "model.safetensors").write_bytes(bytes(1000))
    write_json(folder / "run.json", {"revision": {"commit": "abc", "dirty": False}, "data": "f00d", "seconds": 75})
    return key


def plan_of(*keys):
    runs = {
        key: {"slug": key.rsplit("-", 1)[0], "family": "fm4npp", "stage": "pretrain", "cache": "seq-1", "config": {"train": {"steps": 9}, "seed": i}}
        for i, key in enumerate(keys)
    }  # fmt: skip
    points = [{"run": key, "axis": "size", "value": f"m{i}"} for i, key in enumerate(keys)]
    studies = {
        "own.scaling_size": {"runs": list(keys), "experiment": "scaling", "points": points},
        "own.pretrain": {"runs": list(keys[:1]), "experiment": "pretrain", "points": []},
    }
    return {"studies": studies, "runs": runs}


def children(results, experiment):
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{results}/mlflow/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    parents = {r.info.run_id for r in runs if r.data.tags.get("kind") == "study"}
    kids = {r.data.tags["run_key"]: r for r in runs if r.info.run_id not in parents}
    assert len(kids) == len(runs) - len(parents)
    assert all(r.data.tags["mlflow.parentRunId"] in parents for r in kids.values())
    return client, parents, kids


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory):
    """A migrated store, made once (many seconds) and copied."""
    results = tmp_path_factory.mktemp("store")
    done = CliRunner().invoke(app, ["init", "--results", str(results), "--stamp", str(results / "stamp.json")])
    assert done.exit_code == 0, done.output
    assert "created" in done.output
    assert json.loads((results / "stamp.json").read_text())["store"].endswith("mlflow.db")
    return results / "mlflow" / "mlflow.db"


@pytest.fixture
def results(tmp_path, empty_store):
    (tmp_path / "mlflow").mkdir()
    shutil.copy2(empty_store, tmp_path / "mlflow" / "mlflow.db")
    return tmp_path


@pytest.mark.slow
def test_sync_imports_everything_and_twice_is_once(results):
    keys = [write_run(results, f"m{i}-0000000{i}", i) for i in range(3)]
    write_json(results / "cache" / "seq-1" / "manifest.json", {"fingerprint": "0123456789abcdef" * 4})
    write_text(results / "report" / "figures" / "own-scaling.svg", "<svg/>")
    write_text(results / "report" / "figures" / "data-lartpc.svg", "<svg/>")
    plan = plan_of(*keys, "m9-later000")
    assert sync(results, plan) == {"created": 4, "updated": 0, "unchanged": 0, "missing": 1}
    client, parents, kids = children(results, "scaling")
    before = {key: run.info.run_id for key, run in kids.items()}
    parent = client.get_run(next(iter(parents)))
    assert parent.info.end_time - parent.info.start_time >= 75_000, "as long as its runs took"
    assert "4 runs, 3 begun. It varies size" in parent.data.tags["mlflow.note.content"]
    assert kids[keys[0]].data.tags["mlflow.note.content"] == f"# {keys[0]}"
    assert set(kids) == set(keys)
    run = kids[keys[1]]
    assert run.info.status == "FINISHED"
    assert run.data.params["config.train.steps"] == "9"
    assert run.data.params["study.size"] == "m1"
    assert run.data.tags["mlflow.source.git.commit"] == "abc"
    assert run.data.tags["data_fingerprint"] == "f00d"
    assert run.data.metrics["final/test/f1/track"] == pytest.approx(0.6)
    assert run.data.metrics["validation/loss"] == pytest.approx(1.5)
    assert "validation/f1" not in run.data.metrics  # NaN is no value
    curve = client.get_metric_history(run.info.run_id, "train/loss")
    assert [(m.step, m.value) for m in sorted(curve, key=lambda m: m.step)] == [
        (s, 1 + 1 / s) for s in range(1, ROWS + 1)
    ]
    assert curve[-1].timestamp - curve[0].timestamp == 500 * (ROWS - 1)
    assert {a.path for a in client.list_artifacts(run.info.run_id, "model")} >= {
        "model/README.md",
        "model/model.safetensors",
    }
    assert [a.path for a in client.list_artifacts(next(iter(parents)), "figures")] == ["figures/own-scaling.svg"]
    inputs = client.get_run(run.info.run_id).inputs.dataset_inputs
    assert [(i.dataset.name, i.dataset.digest) for i in inputs] == [("seq-1", ("0123456789abcdef" * 4)[:36])]
    _, report, _ = children(results, "report")
    assert [a.path for a in client.list_artifacts(next(iter(report)), "figures")] == ["figures/data-lartpc.svg"]

    assert sync(results, plan) == {"created": 0, "updated": 0, "unchanged": 4, "missing": 1}
    assert {key: run.info.run_id for key, run in children(results, "scaling")[2].items()} == before

    # A run that was made anew replaces its import; the others stay.
    write_run(results, keys[1], 5)
    assert sync(results, plan) == {"created": 1, "updated": 0, "unchanged": 3, "missing": 1}
    after = children(results, "scaling")[2]
    assert after[keys[1]].data.metrics["validation/loss"] == pytest.approx(5.5)
    assert {k: r.info.run_id for k, r in after.items() if k != keys[1]} == {
        k: v for k, v in before.items() if k != keys[1]
    }


@pytest.mark.slow
def test_a_running_job_is_shown_and_completed_later(results):
    key = "m1-00000001"
    state = Workspace(results).state(key)
    log = MetricsLog(state / "metrics.jsonl", None)
    for row in rows_of(1)[:20]:
        log.add(row)
    os.utime(state / "metrics.jsonl", (10**9, 10**9))
    plan = plan_of(key)
    with StateLock(state):
        assert sync(results, plan)["created"] == 2
    client, _, kids = children(results, "scaling")
    assert kids[key].info.status == "RUNNING"
    first = kids[key].info.run_id
    log.add(rows_of(1)[20])
    sync(results, plan)
    assert (
        children(results, "scaling")[2][key].info.status == "SCHEDULED"
    )  # nobody holds the state: stopped, to be continued
    write_run(results, key, 1)
    assert sync(results, plan)["updated"] == 2
    run = children(results, "scaling")[2][key]
    assert (run.info.run_id, run.info.status) == (first, "FINISHED")
    assert sorted(m.step for m in client.get_metric_history(first, "train/loss")) == list(range(1, ROWS + 1))
    assert run.data.tags["rows"] == str(ROWS + 1)


@pytest.mark.slow
def test_large_weights_are_left_out(results):
    key = write_run(results, "m0-00000000", 0)
    (results / "runs" / key / "model.safetensors").write_bytes(bytes(2**20 + 1))
    sync(results, plan_of(key), max_artifact_mib=1)
    client, _, kids = children(results, "scaling")
    names = {Path(a.path).name for a in client.list_artifacts(kids[key].info.run_id, "model")}
    assert "README.md" in names
    assert "model.safetensors" not in names


def _job(results, key, number):
    """A training job: appends its log row by row, then leaves its run folder."""
    log = MetricsLog(Workspace(results).state(key) / "metrics.jsonl", None)
    for row in rows_of(number):
        log.add(row)
    return write_run(results, key, number)


@pytest.mark.slow
def test_twenty_jobs_at_once_lose_nothing_while_the_store_is_synced(results):
    keys = [f"m{i}-0000000{i}" for i in range(20)]
    plan = plan_of(*keys)
    with ProcessPoolExecutor(20) as pool:
        jobs = [pool.submit(_job, results, key, i) for i, key in enumerate(keys)]
        while not all(job.done() for job in jobs):
            sync(results, plan)
        assert [job.result() for job in jobs] == keys
    sync(results, plan)
    client, _, kids = children(results, "scaling")
    assert set(kids) == set(keys)
    for i, key in enumerate(keys):
        curve = client.get_metric_history(kids[key].info.run_id, "train/loss")
        assert sorted((m.step, m.value) for m in curve) == [(s, i + 1 / s) for s in range(1, ROWS + 1)]


@pytest.mark.slow
def test_init_again_keeps_the_runs(results):
    key = write_run(results, "m0-00000000", 0)
    sync(results, plan_of(key))
    done = CliRunner().invoke(app, ["init", "--results", str(results)])
    assert "up to date" in done.output
    assert set(children(results, "scaling")[2]) == {key}


@pytest.mark.slow
def test_the_dashboard_starts_with_the_printed_command(results):
    sync(results, plan_of(write_run(results, "m0-00000000", 0)))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    printed = CliRunner().invoke(app, ["path", "--results", str(results), "--port", port]).output
    command = shlex.split(printed)
    assert command[:2] == ["mlflow", "ui"]
    assert command[command.index("--host") + 1] == "127.0.0.1"
    server = subprocess.Popen(
        [sys.executable, "-m", "tpcfm.cli.main", "mlflow", "ui", "--results", str(results), "--port", port],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        body = json.dumps({"max_results": 10}).encode()
        deadline = time.monotonic() + 120
        while True:
            try:
                request = urllib.request.Request(
                    f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/search",
                    body,
                    {"Content-Type": "application/json"},
                )
                answer = json.loads(urllib.request.urlopen(request, timeout=5).read())
                break
            except OSError:
                assert server.poll() is None, server.stdout.read()
                assert time.monotonic() < deadline
                time.sleep(0.5)
    finally:
        os.killpg(server.pid, 15)
        server.wait(20)
    assert {"scaling", "pretrain"} <= {e["name"] for e in answer["experiments"]}


def test_a_second_writer_is_refused(tmp_path):
    with StateLock(tmp_path / "mlflow"), pytest.raises(MachineError, match="at work in this folder"):
        sync(tmp_path, plan_of("m0-00000000"))


def test_the_dashboard_without_a_store_says_what_to_do(tmp_path):
    done = CliRunner().invoke(app, ["ui", "--results", str(tmp_path)])
    assert isinstance(done.exception, MachineError)
    assert "snakemake mlflow_sync" in str(done.exception)


@pytest.mark.slow
def test_a_store_that_another_program_holds_is_named(results):
    with closing(sqlite3.connect(database(results))) as other:
        other.execute("begin exclusive")
        with pytest.raises(MachineError, match=r"mlflow.db: .*locked.*another program holds it"):
            sync(results, plan_of("a"))
        other.rollback()
    assert sync(results, plan_of("a"))["missing"] == 2  # one run in two studies


@pytest.mark.parametrize("call", [initialise, lambda results: sync(results, plan_of("a"))], ids=["init", "sync"])
@pytest.mark.parametrize("harm", ["newer", "damaged"])
def test_a_store_that_cannot_be_used_is_named_and_left_alone(results, call, harm):
    store = database(results)
    if harm == "newer":
        with closing(sqlite3.connect(store)) as newer:
            newer.execute("update alembic_version set version_num = 'ffffffffffff'")
            newer.commit()
    else:
        store.write_bytes(bytes(range(256)) * 20)
    before = store.read_bytes()
    said = "another schema than this MLflow knows" if harm == "newer" else "move it aside"
    with pytest.raises(MachineError, match=rf"mlflow.db: .*{said}"):
        call(results)
    assert store.read_bytes() == before


def test_a_plan_of_another_kind_is_refused(tmp_path):
    with pytest.raises(DataError, match="studies"):
        sync(tmp_path, {"runs": {}})


def test_figures_go_to_the_studies_they_show():
    studies = {
        "a.scaling_size": "scaling",
        "a.scaling_data": "scaling",
        "a.mask_ratio": "ablations",
        "a.heads_pid": "finetune",
        "b.heads_pid": "finetune",
        "b.pretrain": "pretrain",
    }
    assert figure_studies("a-scaling", studies) == ["a.scaling_size", "a.scaling_data"]
    assert figure_studies("a-mask-ratio", studies) == ["a.mask_ratio"]
    assert figure_studies("a-labels-pid", studies) == ["a.heads_pid"]
    assert figure_studies("b-loss", studies) == ["b.pretrain"]
    assert figure_studies("data-lartpc", studies) == []


def test_nested_parameters_become_dotted_names():
    assert flatten({"a": 1, "b": {"c": [1, 2], "d": {"e": None}}}) == {"a": 1, "b.c": [1, 2], "b.d.e": None}
