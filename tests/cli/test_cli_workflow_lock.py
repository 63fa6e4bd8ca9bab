"""Snakemake's lock goes only where every run that may hold it is known, was on this host, and is dead."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tpcfm.cli._workflow_lock import announce, leave, release

HOST = socket.gethostname()


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    (tmp_path / "locks").mkdir()
    for name in ("0.input.lock", "0.output.lock"):
        (tmp_path / "locks" / name).write_text("results/x\n")
    return tmp_path


def owner(folder: Path, **changes: object) -> None:
    """A run that died: its process number may be anyone's by now."""
    words = {"host": HOST, "pid": psutil.Process().pid, "started": 1.0, **changes}
    (folder / "tpcfm").mkdir(exist_ok=True)
    (folder / "tpcfm" / f"{words['host']}-{words['pid']}.json").write_text(json.dumps(words))


def held(folder: Path) -> int:
    return len(list((folder / "locks").iterdir()))


def test_the_lock_of_a_dead_run_is_released_once(locked: Path) -> None:
    owner(locked)
    assert release(locked)
    assert held(locked) == 0
    assert not release(locked)


def test_the_lock_of_a_killed_process_is_released(locked: Path) -> None:
    text = f"from pathlib import Path; from tpcfm.cli._workflow_lock import announce; announce(Path({str(locked)!r})); input()"
    child = subprocess.Popen([sys.executable, "-c", text], stdin=subprocess.PIPE)
    while not list(locked.glob("tpcfm/*.json")):
        assert child.poll() is None
    assert not release(locked), "it still lives"
    child.kill()
    child.wait()
    assert release(locked)


def test_without_a_word_of_the_owner_nothing_is_removed(locked: Path) -> None:
    assert not release(locked)
    assert held(locked) == 2


@pytest.mark.parametrize(
    "other", [{"host": "another"}, {"started": psutil.Process().create_time()}], ids=["host", "alive"]
)
def test_one_run_that_may_live_keeps_the_lock(locked: Path, other: dict[str, object]) -> None:
    owner(locked, pid=2**22 + 1)
    owner(locked, **other)
    assert not release(locked)
    assert held(locked) == 2


def test_an_unreadable_word_keeps_the_lock(locked: Path) -> None:
    owner(locked)
    (locked / "tpcfm" / "half.json").write_text('{"host": ')
    assert not release(locked)


def test_a_run_that_ends_leaves_no_word(locked: Path) -> None:
    announce(locked)
    assert not release(locked)
    leave(locked)
    assert not list(locked.glob("tpcfm/*"))
    assert not release(locked)
    assert held(locked) == 2, "nobody is known to have held it"
