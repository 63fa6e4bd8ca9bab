"""A copy of the workflow whose jobs go to Slurm and into the image, and what the tests ask Slurm."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
IMAGE = Path(os.environ.get("TPCFM_IMAGE_FILE", ROOT / "containers/tpcfm-cpu-0.1.0.sif")).resolve()
PATIENCE = 2700
"""Seconds that any wait may take; nothing waits for ever."""


def missing() -> str:
    """Why these tests cannot run here; empty if they can."""
    if not shutil.which("apptainer"):
        return "Apptainer is not installed (tools/local-cluster install)"
    if not shutil.which("sinfo"):
        return "Slurm is not installed (tools/local-cluster start --accounting)"
    states = ask("sinfo", "-h", "-N", "-p", "gpu", "-o", "%t").split()
    if len(set(states) & {"idle", "mix", "alloc", "comp"}) == 0 or len(states) < 2:
        return f"no Slurm with two nodes in the partition gpu answers: {states}"
    if "slurmdbd" not in ask("scontrol", "show", "config"):
        return "this Slurm keeps no accounts (tools/local-cluster start --accounting)"
    if not IMAGE.is_file():
        return f"the image {IMAGE} is not built (containers/build.py)"
    return ""


def ask(*command: str) -> str:
    """Return what a command of Slurm says, "" if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return "" if done.returncode else done.stdout


def marks() -> list[pytest.MarkDecorator]:
    """Marks of every file of tests that need the cluster."""
    reason = missing()
    return [
        pytest.mark.cluster,
        pytest.mark.slow,
        pytest.mark.xdist_group("cluster"),
        pytest.mark.skipif(bool(reason), reason=reason or "everything is here"),
    ]


def environment() -> dict[str, str]:
    """Environment of a user who activated the project's environment on the local cluster."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SNAKEMAKE")}
    return {
        "TPCFM_SITE": "profiles/ci/site.yaml",
        "TPCFM_APPTAINER_ARGS": "--userns" if os.geteuid() == 0 else "",
        **kept,
        "PATH": f"{BIN}:{os.environ['PATH']}",
    }


def wait(what: str, met: Callable[[], Any], process: subprocess.Popen | None = None, log: Path | None = None) -> Any:
    """Return what ``met`` says once it is true; fail when the process ends or patience does."""
    deadline = time.monotonic() + PATIENCE
    while not (found := met()):
        said = log.read_text()[-4000:] if log and log.exists() else ""
        assert process is None or process.poll() is None, f"ended before {what}:\n{said}"
        assert time.monotonic() < deadline, f"waited {PATIENCE} s for {what}:\n{said}"
        time.sleep(0.3)
    return found


class Checkout:
    """A copy of the workflow."""

    def __init__(self, folder: Path, over: dict | None = None) -> None:
        """``over`` is laid over the tiny scale."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.results = folder / "results"
        for name in ("Snakefile", "config.yaml"):
            shutil.copy(ROOT / name, folder / name)
        for name in ("workflow", "profiles", "src"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "slurm").symlink_to("profiles/slurm")
        (folder / "over.yaml").write_text(yaml.safe_dump({"container": str(IMAGE), **(over or {})}))

    def command(self, *arguments: str) -> list[str]:
        """The command line of a user, with the profile for one machine laid over."""
        scale = ["--configfile", "workflow/scales/tiny.yaml", "over.yaml"]
        profiles = ["--profile", "slurm", "--profile", "profiles/ci"]
        return [str(BIN / "snakemake"), *profiles, "--nocolor", *scale, *arguments]

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
        """Run it to its end."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=environment() | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )

    def start(self, log: Path, *arguments: str, **variables: str) -> subprocess.Popen:
        """Start it, with what it says in a file."""
        with log.open("w") as stream:
            return subprocess.Popen(
                self.command(*arguments),
                cwd=self.folder,
                env=environment() | variables,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )

    def plan(self) -> dict[str, Any]:
        """The run table, as a dry run writes it."""
        done = self.run("-n", "--quiet", "all", "--", "all")
        assert done.returncode == 0, done.stdout[-3000:]
        newest = max((self.results / "plan").glob("*.json"), key=lambda p: p.stat().st_mtime_ns)
        return json.loads(newest.read_text())

    def take_caches(self, other: "Checkout") -> None:
        """Copy events and caches from where they have been made, with what Snakemake knows about them."""
        for name in ("raw", "events", "edges", "cache"):
            shutil.copytree(other.results / name, self.results / name, copy_function=shutil.copy2)
        shutil.copytree(other.folder / ".snakemake/metadata", self.folder / ".snakemake/metadata")

    def job(self) -> str:
        """Id of the job that runs for this copy now, "" if there is none."""
        jobs = [line.split() for line in ask("squeue", "-h", "-t", "R", "-o", "%i %Z").splitlines()]
        return next((number for number, folder in jobs if folder == str(self.folder)), "")

    def jobs(self) -> dict[str, str]:
        """Id of each submission so far -> its rule, or the group of rules, by the place of its log."""
        logs = (self.results / "logs/slurm").rglob("*.log")
        return {p.stem: p.relative_to(self.results / "logs/slurm").parts[0] for p in logs if p.stem.isdigit()}


def run_id(plan: dict, beginning: str) -> str:
    """The run whose name begins like this."""
    return next(name for name in plan["runs"] if name.startswith(beginning))
