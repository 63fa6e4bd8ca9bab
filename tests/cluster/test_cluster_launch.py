"""One training in several processes: started once under torchrun, cores shared, the exit code that means "continue me" kept."""

import sys

import pytest

from tpcfm.cli import _launch


def child(monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Let a small program stand in for torchrun and its processes."""
    text = f"import os, sys, pathlib, signal, time\n{body}"
    monkeypatch.setattr(_launch, "torchrun_command", lambda processes, arguments: [sys.executable, "-c", text])
    monkeypatch.delenv("LOCAL_RANK", raising=False)


def test_one_process_does_the_work_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    child(monkeypatch, "sys.exit(3)")
    assert _launch.relaunch(0) is None
    assert _launch.relaunch(1) is None


def test_processes_of_torchrun_do_not_start_more(monkeypatch: pytest.MonkeyPatch) -> None:
    child(monkeypatch, "sys.exit(3)")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert _launch.relaunch(4) is None


def test_cores_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    child(monkeypatch, "sys.exit(int(os.environ['OMP_NUM_THREADS']))")
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert _launch.relaunch(2) == 4
    assert _launch.relaunch(16) == 1


def test_exit_code_of_an_interrupted_training_survives_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    child(monkeypatch, "pathlib.Path(os.environ['TPCFM_EXIT_FILE']).write_text('75'); sys.exit(1)")
    assert _launch.relaunch(2) == 75
    child(monkeypatch, "sys.exit(1)")
    assert _launch.relaunch(2) == 1
    child(monkeypatch, "sys.exit(0)")
    assert _launch.relaunch(2) == 0


def test_torchrun_takes_our_options_as_ours() -> None:
    from torch.distributed.run import get_args_parser

    arguments = ["pretrain", "--plan", "p.json", "--run", "r", "--max-minutes", "5"]
    command = _launch.torchrun_command(4, arguments)
    assert command[1:3] == ["-m", "torch.distributed.run"]
    read = get_args_parser().parse_args(command[3:])
    assert (read.nproc_per_node, read.standalone, read.module, read.training_script) == ("4", True, True, "tpcfm")
    assert read.training_script_args == arguments
