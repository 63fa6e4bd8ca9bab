"""Several processes for one training: the command starts itself again under torchrun, one process per GPU."""

import os
import subprocess
import sys
from pathlib import Path


def torchrun_command(processes: int, arguments: list[str]) -> list[str]:
    """Return the command line that runs ``tpcfm <arguments>`` in several processes on this machine, on a free port."""
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "--max-restarts", "0"]
    # `--`: torchrun would take our `--run` for an abbreviation of an option of its own.
    return [sys.executable, *start, "-m", "--", "tpcfm", *arguments]


def relaunch(processes: int) -> int | None:
    """Run the present command in several processes and return its exit code; None if this process is to do the work itself.

    The cores of the job (``OMP_NUM_THREADS``) are shared among the processes. SIGTERM reaches them all: torchrun passes it on.
    75 comes back if any of them saved and stopped early: torchrun itself reports every failure as 1.
    """
    if processes <= 1 or "LOCAL_RANK" in os.environ:
        return None
    import signal
    import tempfile

    with tempfile.TemporaryDirectory(prefix="tpcfm-launch-") as folder:
        threads = max(1, int(os.environ.get("OMP_NUM_THREADS", 0) or 1) // processes)
        said = Path(folder) / "exit"
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TPCFM_EXIT_FILE": str(said)}
        child = subprocess.Popen(torchrun_command(processes, sys.argv[1:]), env=environment)
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: child.send_signal(signal.SIGTERM))
        code = child.wait()
        return int(said.read_text()) if code and said.is_file() else code


def report_exit(code: int) -> None:
    """Tell the process that started this one under torchrun which exit code to give."""
    if path := os.environ.get("TPCFM_EXIT_FILE"):
        Path(path).write_text(str(code))
