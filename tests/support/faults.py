"""A small workflow, stage by stage, and what must hold when a stage is broken off and its command is given again. Not a test file."""

import errno
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from plans import ROOT
from workflow_checkout import Checkout, copy_checkout, environment

FEW = {
    "systems": {
        "polar_mae": {
            "grouping_study": None,
            "variants": None,
            "mask_ratios": [0.6],
            "tokenizer_study": None,
            "heads": {"starts": ["polar_mae"]},
            "baselines": {"sparse_unet": None, "classical": None},
        },
        "fm4npp": {
            "sizes": ["m1"],
            "scaling": None,
            "mup_study": None,
            "ablations": {"k": [], "rescale": [], "mixers": []},
            "adapters": {"depth": None, "joint": None, "starts": ["pretrained"]},
            "tasks": {"pid": None},
            "baselines": {"classes": None, "instances": None, "classical": None},
        },
    }
}
"""Laid over the tiny scale: every kind of stage, each once or twice."""
TIMES = re.compile(r"seconds|per_s|time|version|hardware|joules|memory|revision")
TIMED = {
    "run.json",
    "sources.json",
    "log.parquet",
    "metrics.parquet",
    "fits.parquet",
    "README.md",
    "score.json",
    "ledger.parquet",
}
"""Files that say how long something took, or hold a checksum of one that does."""


class Server:
    """The process that runs the commands (`fault_server`)."""

    def __init__(self) -> None:
        source = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests/support'}", "MLFLOW_DISABLE_TELEMETRY": "true"}
        command = [sys.executable, "-m", "fault_server"]
        self._process = subprocess.Popen(
            command, env=environment() | source, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._answer() == "ready"

    def run(self, argv: list[str], cwd: Path, fault: dict[str, Any] | None = None, seconds: float = 300) -> "Outcome":
        log = cwd / "said.log"
        request = {
            "argv": argv,
            "cwd": str(cwd),
            "log": str(log),
            "seconds": seconds,
            "fault": fault or {"kind": "none"},
        }
        assert self._process.stdin
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return Outcome(**self._answer(), said=log.read_text(errors="replace"))

    def _answer(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, f"the server has ended: {self._process.wait()}"
        return json.loads(line)

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(30)


@dataclass(frozen=True)
class Outcome:
    """How a command ended: ``code`` (negative: a signal; "hang"), changes that it made, seconds, and its words."""

    code: int | str
    steps: int
    seconds: float
    said: str


@dataclass(frozen=True)
class Stage:
    """One command of the workflow, with the results before and after it."""

    name: str
    argv: list[str]
    before: Path
    after: Path
    steps: int
    seconds: float


@dataclass
class Counts:
    """What a campaign did and found."""

    done: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add(self, kind: str) -> None:
        self.done[kind] = self.done.get(kind, 0) + 1


def stages(folder: Path, server: Server) -> Iterator[Stage]:
    """Run the commands of a dry run one after another, undisturbed, and yield each."""
    checkout = copy_checkout(folder)
    for number, (name, argv) in enumerate(commands(checkout)):
        before = folder / f"before-{number}"
        copy(folder, before)
        outcome = server.run(argv, folder)
        assert outcome.code == 0, f"{name}: {outcome}"
        after = folder / f"after-{number}"
        copy(folder, after)
        yield Stage(name, argv, before, after, outcome.steps, outcome.seconds)


def commands(checkout: Checkout) -> list[tuple[str, list[str]]]:
    """Return name and command line of every job, in an order in which they can run."""
    done = checkout.snakemake("-n", "-p", "--", "all", over=FEW)
    text = done.stdout + done.stderr
    assert done.returncode == 0, text[-3000:]
    found = []
    for command in re.findall(r"^Shell command: (?:trap : TERM USR1; )?(tpcfm .*)$", text, re.M):
        words = shlex.split(command)
        words = words[: next(at for at, word in enumerate(words) if word.startswith(">"))]
        found.append((" ".join(word for word in words[1:3] if not word.startswith("-")), words))
    return found


def copy(folder: Path, to: Path) -> None:
    """Copy the results of a folder (what the commands read beside them is the same for all)."""
    to.mkdir(exist_ok=True)
    if (folder / "results").is_dir():
        shutil.copytree(folder / "results", to / "results", symlinks=True, dirs_exist_ok=True)
    for name in ("config.yaml", "workflow"):
        if not (to / name).exists():
            (to / name).symlink_to((folder / name).resolve())


@contextmanager
def again(stage: Stage, folder: Path) -> Iterator[Path]:
    """A fresh folder with the results before a stage."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    copy(stage.before, folder)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def files(folder: Path) -> dict[str, Path]:
    """Files of results, by path: what is hidden is nobody's result."""
    root = folder / "results"
    found = {str(p.relative_to(root)): p for p in root.rglob("*") if p.is_file()}
    return {name: path for name, path in found.items() if not any(part.startswith(".") for part in Path(name).parts)}


def differences(found: Path, wanted: Path, *, whole: Path | None = None) -> list[str]:
    """Compare results: with ``whole`` (the results before) a file may also be as it was, or not there yet; else all must be equal."""
    here, there = files(found), files(wanted)
    said = [f"{name}: nobody else has it" for name in here if name not in there and not passing(name)]
    for name, path in there.items():
        if passing(name):
            continue
        if name not in here:
            said += [] if whole else [f"{name}: is missing"]
        elif not equal(here[name], path) and not (whole and equal(here[name], whole / "results" / name)):
            said.append(f"{name}: {'is half there' if whole else 'differs'}")
    return said


def passing(name: str) -> bool:
    """What may differ between two runs: logs and state of trainings, the store of the dashboards (compared by what it holds)."""
    return name.startswith(("state/", "logs/", "benchmarks/", "mlflow/", "plan/"))


def equal(one: Path, other: Path) -> bool:
    """Byte for byte; files that hold times, by all else they hold."""
    if not other.is_file():
        return False
    if one.read_bytes() == other.read_bytes():
        return True
    if one.name not in TIMED:
        return (
            one.suffix == ".html" and other.suffix == ".html" and abs(one.stat().st_size - other.stat().st_size) < 4096
        )
    try:
        return plain(one) == plain(other)
    except Exception:  # half a file
        return False


def plain(path: Path) -> Any:
    """Content of a file without times."""
    if path.suffix == ".json":
        return _without_times(json.loads(path.read_text()))
    if path.suffix == ".md":
        return [line for line in path.read_text().splitlines() if not TIMES.search(line)]
    frame = pd.read_parquet(path)
    frame = frame[[column for column in frame if not TIMES.search(str(column))]]
    if "metric" in frame:
        frame = frame[~frame["metric"].str.contains(TIMES.pattern)]
    return frame.reset_index(drop=True).to_json()


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        names = {
            k: v for k, v in value.items() if not TIMES.search(k) and k not in TIMED and not k.endswith(tuple(TIMED))
        }
        return {k: _without_times(v) for k, v in names.items()}
    return value


def broken_off(stage: Stage, fault: dict[str, Any], server: Server, folder: Path, counts: Counts) -> None:
    """Break a stage off, look at what it left, give the same command again, and compare."""
    label = f"{stage.name} {' '.join(stage.argv[1:3])} {fault}"
    patience = 60 + 20 * stage.seconds
    with again(stage, folder) as place:
        first = server.run(stage.argv, place, fault, patience)
        counts.add(fault["kind"])
        if first.code == "hang":
            counts.problems.append(f"{label}: hangs")
        elif "Traceback" in first.said:
            counts.problems.append(f"{label}: traceback: {first.said.strip().splitlines()[-1][:300]}")
        elif isinstance(first.code, int) and first.code > 0 and not first.said.strip().splitlines()[-1:]:
            counts.problems.append(f"{label}: ends with {first.code} without a word")
        elif fault["kind"] in ("errno", "size", "files") and first.code not in (0, 2, 75, -9):
            counts.problems.append(f"{label}: ends with {first.code}: {first.said.strip()[-200:]}")
        left = differences(place, stage.after, whole=stage.before)
        counts.problems += [f"{label}: left {one}" for one in left]
        second = server.run(stage.argv, place, None, patience)
        if second.code != 0:
            counts.problems.append(
                f"{label}: the same command again ends with {second.code}: {second.said.strip()[-300:]}"
            )
        else:
            counts.problems += [f"{label}: then {one}" for one in differences(place, stage.after)]


ERRORS = {
    "disk full": errno.ENOSPC,
    "read-only": errno.EROFS,
    "no permission": errno.EACCES,
    "too many files": errno.EMFILE,
    "input/output": errno.EIO,
}


def seed() -> int:
    """Seed of the campaign: printed, so that it can be given again (``TPCFM_FAULTS_SEED``)."""
    return int(os.environ.get("TPCFM_FAULTS_SEED", 0)) or int(time.time())
