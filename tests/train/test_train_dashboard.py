"""``tpcfm mlflow ui`` in a real browser: the page that compares the sizes of a scaling study shows them and their losses."""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tpcfm.evaluate.table import write_metrics
from tpcfm.files import write_json, write_text
from tpcfm.train.mlflow_sync import sync
from tpcfm.train.model_dir import history_frame
from tpcfm.workspace import Workspace

BROWSER = next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("mlflow"),
    pytest.mark.skipif(BROWSER is None, reason="no chromium or chrome is installed to look at the dashboard with"),
]
SIZES = {"m1": 0.31, "m2": 0.22, "m3": 0.13}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a study of three sizes."""
    from typer.testing import CliRunner

    from tpcfm.cli.mlflow import app

    results = tmp_path_factory.mktemp("results")
    assert CliRunner().invoke(app, ["init", "--results", str(results)]).exit_code == 0
    runs, points = {}, []
    for number, (size, loss) in enumerate(SIZES.items()):
        key = f"pretrain-{size}-0000000{number}"
        folder = Workspace(results).run(key)
        folder.mkdir(parents=True)
        rows = [{"step": 1, "split": "train", "loss": 1.0}, {"step": 2, "split": "validation", "loss": loss}]
        history_frame(rows).to_parquet(folder / "log.parquet")
        value = {"run": key, "metric": "loss", "split": "validation", "class": "", "value": loss}
        write_metrics(folder / "metrics.parquet", [value])
        write_text(folder / "README.md", f"# {key}\n")
        write_json(folder / "run.json", {"seconds": 2})
        runs[key] = {"slug": f"pretrain-{size}", "family": "fm4npp", "stage": "pretrain", "config": {"size": size}}
        points.append({"run": key, "axis": "size", "value": size})
    study = {"runs": list(runs), "experiment": "scaling", "points": points}
    sync(results, {"studies": {"scaling_size": study}, "runs": runs})
    return results


@pytest.fixture(scope="module")
def address(store: Path) -> Iterator[str]:
    """Where the dashboard answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [sys.executable, "-m", "tpcfm.cli.main", "mlflow", "ui", "--results", str(store), "--port", port]
    with (store / "ui.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        deadline = time.monotonic() + 180
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).read()
                break
            except OSError:
                assert server.poll() is None, (store / "ui.log").read_text()
                assert time.monotonic() < deadline, (store / "ui.log").read_text()
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)


@pytest.mark.parametrize(("name", "code"), [("127.0.0.1", 200), ("localhost", 200), ("elsewhere.example", 403)])
def test_it_answers_to_its_own_names_alone(address: str, name: str, code: int) -> None:
    place = urllib.parse.urlsplit(address)
    assert place.hostname == "127.0.0.1"
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=60)
    connection.request("GET", "/", headers={"Host": f"{name}:{place.port}"})
    assert connection.getresponse().status == code


def look(url: str, folder: Path, *options: str) -> str:
    """What the browser prints after opening a page."""
    quiet = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
    command = [str(BROWSER), "--headless", *quiet, f"--user-data-dir={folder}", "--window-size=1500,1400"]
    command += ["--virtual-time-budget=60000", *options, url]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout


def test_the_sizes_of_a_scaling_study_can_be_compared(address: str, store: Path, tmp_path: Path) -> None:
    def ask(path: str, body: dict) -> dict:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{address}/api/2.0/mlflow/{path}", json.dumps(body).encode(), headers)
        return json.loads(urllib.request.urlopen(request, timeout=60).read())

    experiments = ask("experiments/search", {"max_results": 10})["experiments"]
    number = next(e["experiment_id"] for e in experiments if e["name"] == "scaling")
    runs = ask("runs/search", {"experiment_ids": [number], "filter": "tags.run_key LIKE 'pretrain%'"})["runs"]
    ids = [run["info"]["run_id"] for run in runs]
    query = {"runs": json.dumps(ids), "experiments": json.dumps([number])}
    url = f"{address}/#/compare-runs?{urllib.parse.urlencode(query, quote_via=urllib.parse.quote)}"
    page = re.sub(r"<[^>]+>", " ", look(url, tmp_path, "--dump-dom"))
    assert "Comparing 3 Runs from 1 Experiment" in page
    for size, loss in SIZES.items():
        assert f"pretrain-{size}" in page
        assert str(loss) in page
    assert "study.size" in page
    picture = tmp_path / "page.png"
    look(url, tmp_path, f"--screenshot={picture}")
    assert picture.stat().st_size > 20_000, "an empty page is a few kilobytes"


def test_the_page_of_the_experiment_lists_the_study(address: str, tmp_path: Path) -> None:
    page = look(f"{address}/#/experiments?workflowType=machine_learning", tmp_path, "--dump-dom")
    assert "scaling" in page
