"""What hosted checks, catalogues and archives read is valid and says what the project does: commands exist, versions agree, the wheel works."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tpcfm.config.text import read_yaml
from tpcfm.config.workflow import WorkflowConfig

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
HOSTED = sorted((ROOT / ".github/workflows").glob("*.yml"))


@pytest.mark.parametrize("path", HOSTED, ids=lambda path: path.stem)
def test_hosted_checks_call_what_the_makefile_has(path: Path) -> None:
    jobs = read_yaml(path)["jobs"]
    called = re.findall(
        r"\bmake ([a-z-]+)", " ".join(str(step.get("run")) for job in jobs.values() for step in job["steps"])
    )
    assert called
    assert set(called) <= TARGETS


def test_tests_run_on_every_python_that_is_promised() -> None:
    matrix = read_yaml(ROOT / ".github/workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"]
    lowest = PROJECT["requires-python"].removeprefix(">=")
    assert matrix["python"][0] == lowest
    assert {"ubuntu-latest", "macos-latest"} <= set(matrix["os"])


def test_versions_and_licences_agree() -> None:
    citation, archive = read_yaml(ROOT / "CITATION.cff"), json.loads((ROOT / ".zenodo.json").read_text())
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == archive["license"] == PROJECT["license"]
    assert citation["title"] == archive["title"]
    cited = {re.search(r"arXiv:([\d.]+)", entry["notes"]).group(1) for entry in citation["references"]}  # type: ignore[union-attr]
    assert {entry["identifier"].removeprefix("arXiv:") for entry in archive["related_identifiers"]} == cited


def test_hooks_and_dependencies_are_those_of_the_project() -> None:
    hooks = read_yaml(ROOT / ".pre-commit-config.yaml")["repos"][0]["hooks"]
    for hook in hooks:
        script = next((word for word in hook["entry"].split() if word.startswith("tools/")), None)
        assert script is None or (ROOT / script).is_file()
    for entry in read_yaml(ROOT / ".github/dependabot.yml")["updates"]:
        assert (ROOT / entry["directory"].lstrip("/")).is_dir()


def test_the_catalogue_page_names_real_blocks_and_files() -> None:
    text = (ROOT / "config/README.md").read_text()
    named = re.findall(r"`([^`\s]+)`", text)
    for path in (name for name in named if "/" in name and not name.startswith("--")):
        assert (ROOT / path).exists(), path
    blocks = set(re.findall(r"`(\w+)`", text.split("The blocks:")[1].split("\n\n")[0]))
    assert blocks <= set(WorkflowConfig.model_fields)
    assert (
        read_yaml(ROOT / ".snakemake-workflow-catalog.yml")["usage"]["software-stack-deployment"]["apptainer"] is True
    )


@pytest.mark.slow
def test_the_wheel_works_outside_the_checkout(tmp_path: Path) -> None:
    """Built from a copy, unpacked, and used from another folder with nothing of the checkout on the path."""
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
        str(copy),
    ]
    built = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stderr[-2000:]
    (wheel,) = tmp_path.glob("tpcfm-*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    held = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}

    def tpcfm(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "tpcfm", *words],
            cwd=elsewhere,
            env=held,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    assert "sphenix" in tpcfm("detector", "list")
    tpcfm("simulate", "lartpc", "--events", "2", "--out", "events.h5")
    assert tpcfm("validate", "events.h5", "--detector", "pilarnet") == "events.h5: ok\n"
