"""One process that has everything imported, and forks for each job of a workflow on this machine.

A small job spends four of its five seconds on imports. ``TPCFM_WARM`` names the socket of a process that has them behind it:
``tpcfm`` then hands over its arguments, folder, environment and open files, passes signals on, and ends as the fork ends.
If nobody listens (yet), it works by itself. The workflow starts such a process for runs of several jobs without a container;
it ends with the workflow.

The forked process is a child of that process, not of the caller: who kills the caller kills it too, and who measures the
caller's memory (``benchmark`` of Snakemake) does not see it.
"""

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

VARIABLE = "TPCFM_WARM"
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
LIBRARIES = ("torch._dynamo", "pandas", "pyarrow.parquet", "h5py", "sklearn.metrics", "matplotlib.figure")
_LENGTH = struct.Struct("!I")
_CODE = struct.Struct("!i")


def start(log: Path) -> subprocess.Popen[bytes] | None:
    """Start the process and tell the jobs of this one where it listens.

    Args:
        log: file for what it says itself.

    Returns:
        The process, which ends when the other end of its standard input is closed (with this process at the latest); None where
        it would not serve: outside Linux, on machines with an NVIDIA device, which must not be touched before a fork, and where
        the command ``tpcfm`` is that of another environment.
    """
    ours = shutil.which("tpcfm") == str(Path(sys.executable).with_name("tpcfm"))
    if sys.platform != "linux" or Path("/dev/nvidiactl").exists() or not ours:
        return None
    folder = tempfile.mkdtemp(prefix="tpcfm-warm-")  # for its owner only
    path = f"{folder}/socket"
    command = [sys.executable, "-c", f"from {__name__} import main; main({path!r})"]
    # Libraries read the number of threads when they are loaded; each job sets its own.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as said:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=said, stderr=said, env=environment, start_new_session=True
        )
    os.environ[VARIABLE] = path
    return process


def ask(path: str) -> int | None:
    """Let the process at a socket do what this one was called for.

    Returns:
        Its exit code; None if nobody answers there.
    """
    with socket.socket(socket.AF_UNIX) as wire:
        try:
            wire.connect(path)
        except OSError:
            return None
        for number in FORWARDED:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, lambda number, _: wire.sendall(bytes([number])))
        told = json.dumps({"argv": sys.argv, "folder": os.getcwd(), "environment": dict(os.environ)}).encode()
        socket.send_fds(wire, [_LENGTH.pack(len(told))], [0, 1, 2])
        wire.sendall(told)
        answer = wire.recv(_CODE.size, socket.MSG_WAITALL)
    if len(answer) < _CODE.size:
        print("tpcfm: the process that ran this job is gone", file=sys.stderr)
        return 1
    code: int = _CODE.unpack(answer)[0]
    return code if code >= 0 else 128 - code


def main(path: str) -> None:
    """Import everything, listen, and become each job that is asked for, in a fork."""
    load()
    gc.freeze()
    job = serve(path)
    if job is None:
        os.unlink(path)
        os.rmdir(os.path.dirname(path))
        return
    become(job)
    from tpcfm.cli.main import main as run

    run()


def load() -> None:
    """Import what jobs import. Nothing is computed: torch cannot compute gradients in a fork of a process that did."""
    import tpcfm

    names = [m.name for m in pkgutil.walk_packages(tpcfm.__path__, "tpcfm.")]
    for name in (*LIBRARIES, *names):
        if not name.endswith("__main__"):
            with contextlib.suppress(ImportError):  # what is optional
                importlib.import_module(name)


def serve(path: str) -> dict[str, Any] | None:
    """Answer until the standard input ends and the last job is done.

    Returns:
        In a fork, what it is asked to do; None at the end.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen(64)
    wanted = selectors.DefaultSelector()
    wanted.register(listening, selectors.EVENT_READ, "asked")
    wanted.register(0, selectors.EVENT_READ, "left")
    jobs: dict[int, tuple[int, socket.socket | None]] = {}  # of each running fork: its pidfd, and who waits for it
    left = False
    while jobs or not left:
        for key, _ in wanted.select():
            if key.data == "left":
                left = True
                wanted.unregister(0)
                wanted.unregister(listening)
                listening.close()
            elif key.data == "asked":
                caller, _address = listening.accept()
                job = _received(caller)
                if job is None:
                    caller.close()
                elif pid := os.fork():
                    for file in job["files"]:
                        os.close(file)
                    jobs[pid] = os.pidfd_open(pid), caller
                    wanted.register(jobs[pid][0], selectors.EVENT_READ, ("ended", pid))
                    wanted.register(caller, selectors.EVENT_READ, ("told", pid))
                else:
                    wanted.close()
                    for end in (listening, caller, *(c for _, c in jobs.values() if c)):
                        end.close()
                    for pidfd, _caller in jobs.values():
                        os.close(pidfd)
                    return job
            else:
                what, pid = key.data
                if pid not in jobs:
                    continue
                pidfd, waiting = jobs[pid]
                if what == "told" and waiting:
                    number = waiting.recv(1)
                    os.kill(pid, number[0] if number else signal.SIGKILL)
                    if not number:
                        wanted.unregister(waiting)
                        waiting.close()
                        jobs[pid] = pidfd, None
                elif what == "ended":
                    wanted.unregister(pidfd)
                    os.close(pidfd)
                    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                    if waiting:
                        wanted.unregister(waiting)
                        with contextlib.suppress(OSError), waiting:
                            waiting.sendall(_CODE.pack(code))
                    del jobs[pid]
    return None


def become(job: dict[str, Any]) -> None:
    """Take over the arguments, folder, environment and open files of the caller."""
    for number in FORWARDED:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    for place, file in enumerate(job["files"]):
        os.dup2(file, place)
        os.close(file)
    os.chdir(job["folder"])
    os.environ.clear()
    os.environ.update(job["environment"])
    os.environ.pop(VARIABLE, None)  # what this job starts is its own
    sys.argv[:] = job["argv"]
    tempfile.tempdir = None
    from threadpoolctl import threadpool_limits

    threadpool_limits(int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1))


def _received(caller: socket.socket) -> dict[str, Any] | None:
    """Return what a caller asks for; None if it is gone before it has said so."""
    head, files, _flags, _address = socket.recv_fds(caller, _LENGTH.size, 3)
    if len(head) == _LENGTH.size and len(files) == 3:
        told = caller.recv(_LENGTH.unpack(head)[0], socket.MSG_WAITALL)
        if len(told) == _LENGTH.unpack(head)[0]:
            return {**json.loads(told), "files": files}
    for file in files:
        os.close(file)
    return None
