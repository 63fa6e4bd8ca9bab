"""A command handed to a warm process does what it would do by itself: output, exit code, folder, environment, signals, end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tpcfm.cli._warm import VARIABLE, ask

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks are used on Linux only")

# The process, with another command line behind it: what it does shows what reached it.
SERVER = """
import os, signal, sys, time
import tpcfm.cli.main
from tpcfm.cli import _warm

def run():
    what = sys.argv[1]
    if what == "say":
        print(os.getcwd(), os.environ.get("COLOUR"), os.environ.get("TPCFM_WARM"), sys.argv[2], sys.stdin.read())
        print("to stderr", file=sys.stderr)
        sys.exit(int(sys.argv[3]))
    if what == "fail":
        raise ValueError("no such thing")
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "gradient":
        import torch
        x = torch.ones(3, requires_grad=True)
        (x * x).sum().backward()
        print(x.grad.tolist(), torch.get_num_threads())
    if what == "wait":
        signal.signal(signal.SIGUSR1, lambda *_: print("usr1", flush=True))
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
        print(os.getpid(), flush=True)
        time.sleep(60)
        time.sleep(60)

tpcfm.cli.main.main = run
_warm.load = lambda: __import__("torch")
_warm.main(sys.argv[1])
"""


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, subprocess.Popen]]:
    folder = tmp_path_factory.mktemp("warm") / "w"
    folder.mkdir()
    path = folder / "socket"
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(path)], stdin=subprocess.PIPE)
    wait_for(path.exists)
    yield str(path), process
    assert process.stdin
    process.stdin.close()
    assert process.wait(30) == 0
    assert not folder.exists()


def wait_for(true: object, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.02)


def call(path: str, *arguments: str, **options: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "tpcfm", *arguments],
        env={**os.environ, VARIABLE: path, "COLOUR": "blue", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        **options,  # type: ignore[call-overload]
    )


def waiting(path: str) -> tuple[subprocess.Popen, int]:
    """A job that waits, and the number of the process that does its work."""
    command = [sys.executable, "-m", "tpcfm", "wait"]
    caller = subprocess.Popen(command, env={**os.environ, VARIABLE: path}, stdout=subprocess.PIPE, text=True)
    assert caller.stdout
    return caller, int(caller.stdout.readline())


def test_arguments_folder_environment_files_and_exit_code_are_those_of_the_caller(
    warm: tuple[str, subprocess.Popen], tmp_path: Path
) -> None:
    done = call(warm[0], "say", "a b", "7", cwd=tmp_path, input="given")
    assert (done.returncode, done.stdout) == (7, f"{tmp_path} blue None a b given\n")
    assert done.stderr == "to stderr\n"


def test_a_traceback_and_a_violent_end_reach_the_caller(warm: tuple[str, subprocess.Popen]) -> None:
    failed = call(warm[0], "fail")
    assert failed.returncode == 1
    assert "ValueError: no such thing" in failed.stderr
    assert call(warm[0], "die").returncode == 128 + signal.SIGKILL


def test_a_fork_computes_gradients_with_the_threads_of_its_caller(warm: tuple[str, subprocess.Popen]) -> None:
    assert call(warm[0], "gradient").stdout == "[2.0, 2.0, 2.0] 1\n"


def test_signals_are_passed_on(warm: tuple[str, subprocess.Popen]) -> None:
    caller, _ = waiting(warm[0])
    caller.send_signal(signal.SIGUSR1)
    assert caller.stdout
    assert caller.stdout.readline() == "usr1\n"
    caller.send_signal(signal.SIGTERM)
    assert caller.wait(30) == 75


def test_who_kills_the_caller_kills_the_job_and_no_other(warm: tuple[str, subprocess.Popen]) -> None:
    (first, work), (second, other) = waiting(warm[0]), waiting(warm[0])
    first.kill()
    wait_for(lambda: not psutil.pid_exists(work))
    assert psutil.pid_exists(other)
    second.terminate()
    assert second.wait(30) == 75


def test_where_nobody_listens_the_command_works_by_itself(tmp_path: Path) -> None:
    assert ask(str(tmp_path / "none")) is None
    done = call(str(tmp_path / "none"), "--version")
    assert done.returncode == 0
    assert done.stdout.startswith("tpcfm ")


def test_jobs_outlive_the_workflow_that_was_killed_and_then_the_process_ends(tmp_path: Path) -> None:
    folder = tmp_path / "w"
    folder.mkdir()
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(folder / "socket")], stdin=subprocess.PIPE)
    wait_for((folder / "socket").exists)
    caller, _ = waiting(str(folder / "socket"))
    assert server.stdin
    server.stdin.close()
    time.sleep(0.3)
    assert server.poll() is None
    caller.terminate()
    assert caller.wait(30) == 75
    assert server.wait(30) == 0
