"""One training in several processes, on one node or several: started once per node under torchrun, cores shared, the exit code kept.

A real step over two nodes is in test_cluster_nodes.py.
"""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tpcfm.cli import _launch
from tpcfm.errors import MachineError


def child(monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Let a small program stand in for torchrun and its processes."""
    text = f"import os, sys, pathlib, signal, time\n{body}"
    monkeypatch.setattr(_launch, "torchrun_command", lambda processes, arguments, place: [sys.executable, "-c", text])
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.delenv("SLURM_STEP_NUM_NODES", raising=False)


def test_one_process_does_the_work_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    child(monkeypatch, "sys.exit(3)")
    assert _launch.relaunch(0) is None
    assert _launch.relaunch(1) is None


def test_processes_of_torchrun_do_not_start_more(monkeypatch: pytest.MonkeyPatch) -> None:
    child(monkeypatch, "sys.exit(3)")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    assert _launch.relaunch(4) is None


def test_a_variable_left_over_from_elsewhere_does_not_hold_processes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    child(monkeypatch, "sys.exit(3)")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    assert _launch.relaunch(4) == 3


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


STUBBORN = """
import os, subprocess, sys, time
worker = "import signal, time; [signal.signal(n, signal.SIG_IGN) for n in (signal.SIGTERM, signal.SIGINT)]; print(1, flush=True); time.sleep(60)"
if len(sys.argv) > 1:
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    started = subprocess.Popen([sys.executable, "-c", worker], stdout=subprocess.PIPE)
    started.stdout.readline()
    print(started.pid, flush=True)
    sys.exit(started.wait())
from tpcfm.cli import _launch
_launch.torchrun_command = lambda processes, arguments, place: [sys.executable, __file__, "as torchrun"]
sys.exit(_launch.relaunch(2))
"""


def test_a_second_interrupt_ends_all_processes_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOCAL_RANK", "MASTER_ADDR", "SLURM_STEP_NUM_NODES"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "launch.py").write_text(STUBBORN)
    command = [sys.executable, str(tmp_path / "launch.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as launcher:
        assert launcher.stdout
        worker = int(launcher.stdout.readline())
        launcher.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            launcher.wait(1)  # asked once, they may take their time to save
        launcher.send_signal(signal.SIGINT)
        assert launcher.wait(20) == 130
    assert not psutil.pid_exists(worker) or psutil.Process(worker).status() == psutil.STATUS_ZOMBIE


def test_torchrun_takes_our_options_as_ours() -> None:
    from torch.distributed.run import get_args_parser

    arguments = ["pretrain", "--plan", "p.json", "--run", "r", "--max-minutes", "5"]
    command = _launch.torchrun_command(4, arguments)
    assert command[1:3] == ["-m", "torch.distributed.run"]
    read = get_args_parser().parse_args(command[3:])
    assert (read.nnodes, read.node_rank) == ("1:1", 0)
    assert (read.nproc_per_node, read.standalone, read.module, read.training_script) == ("4", True, True, "tpcfm")
    assert read.training_script_args == arguments


STEP = {
    "SLURM_STEP_NUM_NODES": "3",
    "SLURM_STEP_NUM_TASKS": "3",
    "SLURM_STEP_NODELIST": "nowhere[07-09]",
    "SLURM_LAUNCH_NODE_IPADDR": "10.0.0.7",
    "SLURM_NODEID": "2",
    "SLURM_JOB_ID": "1234567",
}


def step(monkeypatch: pytest.MonkeyPatch, **over: str) -> None:
    """The environment of a task that srun started."""
    for name, value in (STEP | over).items():
        monkeypatch.setenv(name, value)


def test_nodes_meet_at_the_first_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.distributed.run import get_args_parser

    step(monkeypatch)
    arguments = ["pretrain", "--run", "r"]
    read = get_args_parser().parse_args(_launch.torchrun_command(4, arguments, _launch.place())[3:])
    assert (read.nnodes, read.node_rank, read.nproc_per_node, read.standalone) == ("3", 2, "4", False)
    assert (read.master_addr, read.training_script_args) == ("10.0.0.7", arguments)
    assert 1024 < read.master_port < 2**16
    step(monkeypatch, SLURM_STEP_NODELIST="localhost,nowhere[1-2]")
    found = _launch.place()
    assert found is not None
    assert found.address == "localhost", "a name that resolves is better than the address of whoever called srun"


def test_one_process_per_node_still_joins_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    child(monkeypatch, "sys.exit(7)")
    step(monkeypatch)
    assert _launch.relaunch(1) == 7


def test_several_tasks_per_node_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    step(monkeypatch, SLURM_STEP_NUM_TASKS="12")
    with pytest.raises(MachineError, match=r"12 tasks on 3 nodes.*--ntasks-per-node=1"):
        _launch.relaunch(4)


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("gpu7", "gpu7"),
        ("gpu[07-09,12],other", "gpu07"),
        ("a-1,a-2", "a-1"),
        ("rack[3,5]-n.site", "rack3-n.site"),
    ],
)
def test_first_host_of_a_node_list(nodes: str, first: str) -> None:
    assert _launch.first_host(nodes) == first
