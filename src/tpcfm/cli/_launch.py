"""Several processes for one training: the command starts itself again under torchrun, one process per GPU, on one node or several."""

import contextlib
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """This node among those of a Slurm step that has one task per node."""

    nodes: int
    rank: int
    address: str
    """Of the first node, where the processes meet."""
    port: int


def torchrun_command(processes: int, arguments: list[str], place: Place | None = None) -> list[str]:
    """Return the command line that runs ``tpcfm <arguments>`` in several processes of this node, alone or with other nodes."""
    start = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes), "--max-restarts", "0"]
    if place is None:
        start += ["--standalone"]  # on a free port
    else:
        start += ["--nnodes", str(place.nodes), "--node-rank", str(place.rank)]
        start += ["--master-addr", place.address, "--master-port", str(place.port)]
    # `--`: torchrun would take our `--run` for an abbreviation of an option of its own.
    return [sys.executable, *start, "-m", "--", "tpcfm", *arguments]


def first_host(nodes: str) -> str:
    """Return the first host of a Slurm node list: ``gpu[07-09,12],other`` gives ``gpu07``."""
    found = re.match(r"([^\[,]+)(?:\[([^\],-]+)[^\]]*\])?([^,\[]*)", nodes)
    return "".join(part or "" for part in found.groups()) if found else nodes


def place() -> Place | None:
    """Return where this process stands if Slurm started it with one task on each of several nodes, else None.

    Raises:
        MachineError: several tasks on a node: torchrun, not Slurm, starts the processes of a node.
    """
    import socket

    from tpcfm.errors import MachineError

    nodes = int(os.environ.get("SLURM_STEP_NUM_NODES", 1))
    tasks = int(os.environ.get("SLURM_STEP_NUM_TASKS", nodes))
    if nodes == 1:
        return None
    if tasks != nodes:
        raise MachineError(
            f"srun started {tasks} tasks on {nodes} nodes: start one per node (--ntasks-per-node=1), and give the"
            " processes of each node by --processes"
        )
    address = first_host(os.environ["SLURM_STEP_NODELIST"])
    try:
        socket.getaddrinfo(address, None)
    except OSError:  # names of nodes need not be names of hosts; within a batch job srun is called on the first node
        address = os.environ["SLURM_LAUNCH_NODE_IPADDR"]
    return Place(nodes, int(os.environ["SLURM_NODEID"]), address, 20000 + int(os.environ["SLURM_JOB_ID"]) % 20000)


def relaunch(processes: int) -> int | None:
    """Run the present command in several processes and return its exit code; None if this process is to do the work itself.

    The cores of the job (``OMP_NUM_THREADS``) are shared among the processes. SIGTERM reaches them all: torchrun passes it on. A second
    SIGINT (Ctrl-C) ends them at once, without saving, with code 130.
    75 comes back if any of them saved and stopped early: torchrun itself reports every failure as 1.

    Raises:
        MachineError: see ``place``.
    """
    if {"LOCAL_RANK", "MASTER_ADDR"} <= set(os.environ):  # one of them alone is left over from elsewhere
        return None
    here, processes = place(), max(1, processes)
    if processes == 1 and here is None:
        return None
    import signal
    import tempfile

    with tempfile.TemporaryDirectory(prefix="tpcfm-launch-") as folder:
        threads = max(1, int(os.environ.get("OMP_NUM_THREADS", 0) or 1) // processes)
        said = Path(folder) / "exit"
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TPCFM_EXIT_FILE": str(said)}
        child = subprocess.Popen(torchrun_command(processes, sys.argv[1:], here), env=environment)
        asked: list[int] = []

        def stop(number: int, _frame: object) -> None:
            asked.append(number)
            if asked.count(signal.SIGINT) > 1:
                _kill(child.pid)
            else:
                child.send_signal(signal.SIGTERM)

        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
            signal.signal(number, stop)
        code = child.wait()
        if asked.count(signal.SIGINT) > 1:
            return 130
        return int(said.read_text()) if code and said.is_file() else code


def _kill(process: int) -> None:
    """End a process and all that it has started, at once."""
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(process)
        for one in (*parent.children(recursive=True), parent):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()


def report_exit(code: int) -> None:
    """Tell the process that started this one under torchrun which exit code to give."""
    if path := os.environ.get("TPCFM_EXIT_FILE"):
        Path(path).write_text(str(code))
