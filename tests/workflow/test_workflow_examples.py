"""Detectors that nobody foresaw run from their files to the report: a YAML file each, the real workflow at a tiny scale."""

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from workflow_checkout import ROOT, Checkout, copy_checkout

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
TRAIN = {"steps": 2, "batch_size": 2, "warmup_steps": 0, "evaluate_every": 1}
NAMES = ("acts", "heavy_ion_tpc", "liquid_argon_adc")


def _shortened(block: dict) -> dict:
    """Every training of a configuration cut to two steps, networks to a few channels."""
    cut = {}
    for key, value in block.items():
        if key in ("train", "pretrain"):
            cut[key] = TRAIN
        elif key == "labels":
            cut[key] = [4]
        elif isinstance(value, dict):
            cut[key] = _shortened(value)
    return cut


@pytest.fixture(params=NAMES)
def example(request, tmp_path: Path) -> tuple[str, Checkout]:
    """A copy of the workflow with one example and a file of it."""
    checkout, name = copy_checkout(tmp_path), request.param
    shutil.copytree(ROOT / "examples" / name, tmp_path / "examples" / name)
    made = {"heavy_ion_tpc": "hits.csv.gz", "liquid_argon_adc": "hits.h5"}
    if name in made:
        folder = tmp_path / "examples" / name
        few = ["--particles", "5", "12"] if name == "heavy_ion_tpc" else []
        command = [
            sys.executable,
            str(folder / "make_hits.py"),
            "--events",
            "24",
            *few,
            "--out",
            str(folder / made[name]),
        ]
        subprocess.run(command, check=True, capture_output=True)
    return name, checkout


def test_an_example_runs_from_its_files_to_the_report(example) -> None:
    name, checkout = example
    given = yaml.safe_load((ROOT / "examples" / name / "config.yaml").read_text())
    over = {"systems": _shortened(given["systems"]), "results": given["results"], "pictures": None}
    if name == "liquid_argon_adc":
        over["data"] = {
            "lartpc": {"simulate": {"files": 1, "events_per_file": 20}, "split": {"validation": 0.3, "test": 0.3}}
        }
        over["systems"]["polar_mae"]["probe"] = {"train_events": 4, "test_events": 2, "seeds": [0]}
    (checkout.folder / "short.yaml").write_text(yaml.safe_dump(over))
    files = [f"examples/{name}/config.yaml", "short.yaml"]
    result = checkout.snakemake("--configfile", *files, "--", "all", scale=None)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-6000:]
    results = checkout.folder / given["results"]
    runs = [p.parent for p in results.glob("runs/*/run.json")]
    own = [key for key in given["systems"] if given["systems"][key]]
    for system in own:
        assert any(run.name.startswith(f"{system}-pretrain") for run in runs), system
    for run in runs:
        values = pd.read_parquet(run / "metrics.parquet")
        assert values["value"].notna().any(), run.name
    page = (results / "report" / "index.html").read_text()
    detector = yaml.safe_load((ROOT / "examples" / name / "detector.yaml").read_text())
    assert detector["title"] in page


def test_the_plugin_registers_its_detector_and_reader(tmp_path: Path) -> None:
    """Installed into a folder of its own, as pip would; read through the command line by name."""
    site = tmp_path / "site"
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        str(site),
    ]
    subprocess.run([*command, str(ROOT / "examples" / "plugin")], check=True, capture_output=True)
    lines = [
        "event 1",
        "1.0 2.0 3.0 10.5 0",
        "1.5 2.0 4.0 9.0 0",
        "event 2 # empty",
        "event 3",
        "0 0 0 1 -1",
        "99 0 0 1 0",
    ]
    (tmp_path / "run.txt").write_text("\n".join(lines) + "\n")

    def tpcfm(*words: str) -> subprocess.CompletedProcess:
        environment = {"PYTHONPATH": f"{site}:{ROOT / 'src'}", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
        return subprocess.run(
            [sys.executable, "-m", "tpcfm", *words], cwd=tmp_path, env=environment, capture_output=True, text=True
        )

    listed = tpcfm("detector", "list")
    assert "text_tpc" in listed.stdout, listed.stderr
    out = ["--out", "run.parquet", "--rejected", "run.rejected.parquet"]
    done = tpcfm("ingest", "run.txt", "--detector", "text_tpc", "--dataset", "test", *out)
    assert done.returncode == 0, done.stderr
    events = pd.read_parquet(tmp_path / "run.parquet")
    assert [list(track) for track in events["track"]] == [[0, 0]]
    rejected = pd.read_parquet(tmp_path / "run.rejected.parquet")
    assert len(rejected) == 2
    assert "no hits" in rejected["reason"][0]
