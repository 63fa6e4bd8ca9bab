"""Runs command lines of ``tpcfm`` in forked children, and breaks them off where it is told: one process that has imported everything already.

A request per line (JSON): ``argv``, ``cwd``, ``log``, ``seconds``, and ``fault``: {"kind": ..., "at": ...}. The answer: ``code`` (negative: the signal that
ended it, "hang": still there after so many seconds) and ``steps``, how often the command opened, made, renamed or removed something below ``results``.

Kinds: ``none``; ``kill`` (SIGKILL before step ``at``), ``time`` (SIGKILL of the group after ``at`` seconds), ``errno`` (step ``at`` fails with it),
``size`` (no file grows beyond ``at`` bytes: any write, of any library, fails there), ``files`` (no more than ``at`` open files), ``clock`` (set back by
a day at the ``at``-th look at it). Not a test file.
"""

import contextlib
import errno
import importlib
import json
import os
import pkgutil
import resource
import signal
import struct
import sys
import time
from typing import Any

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.link", "os.chmod", "os.truncate", "os.rmdir", "shutil.move"}


class Steps:
    """An audit hook that counts changes below ``results`` and acts at one of them."""

    def __init__(self, fault: dict[str, Any]) -> None:
        self.fault, self.count, self.process = fault, 0, os.getpid()

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if not (isinstance(flags, int) and flags & WRITES):
                return
        elif event in CHANGES:
            path = arguments[0]
        else:
            return
        if os.getpid() != self.process or isinstance(path, int) or "results" not in os.fsdecode(path):
            return
        self.count += 1
        if self.count != self.fault.get("at"):
            return
        if self.fault["kind"] == "kill":
            os.kill(self.process, signal.SIGKILL)
        if self.fault["kind"] == "errno":
            raise OSError(self.fault["errno"], os.strerror(self.fault["errno"]), os.fsdecode(path))


def limit(fault: dict[str, Any]) -> None:
    """Set what the system itself is to refuse."""
    if fault["kind"] == "size":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (fault["at"], fault["at"]))
    if fault["kind"] == "files":
        resource.setrlimit(resource.RLIMIT_NOFILE, (fault["at"], fault["at"]))
    if fault["kind"] == "clock":
        now, looks = time.time, [0]

        def back() -> float:
            looks[0] += 1
            return now() - 86400 * (looks[0] >= fault["at"])

        time.time = back


def child(request: dict[str, Any], pipe: int) -> None:
    """Be the command line."""
    os.setsid()
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(request["cwd"])
    steps, code = Steps(request["fault"]), 0
    sys.addaudithook(steps)
    sys.argv = request["argv"]
    limit(request["fault"])
    from tpcfm.cli.main import main

    try:
        main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:  # as the interpreter would
        import traceback

        traceback.print_exc()
        code = 1
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os.write(pipe, struct.pack("q", steps.count))
    os._exit(code & 255)


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Run one command to its end, or to the end of patience."""
    inside, outside = os.pipe()
    process = os.fork()
    if not process:
        os.close(inside)
        child(request, outside)
    os.close(outside)
    fault, began, asked = request["fault"], time.monotonic(), False
    while not (done := os.waitpid(process, os.WNOHANG))[0]:
        passed = time.monotonic() - began
        if (fault["kind"] == "time" and passed > fault["at"] and not asked) or passed > request["seconds"]:
            asked = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process, signal.SIGKILL)
            if passed > request["seconds"]:
                os.waitpid(process, 0)
                os.close(inside)
                return {"code": "hang", "steps": 0, "seconds": passed}
        time.sleep(0.002)
    with contextlib.suppress(ProcessLookupError, PermissionError):  # what it has started
        os.killpg(process, signal.SIGKILL)
    held = os.read(inside, 8)
    os.close(inside)
    code = os.waitstatus_to_exitcode(done[1])
    return {"code": code, "steps": struct.unpack("q", held)[0] if held else 0, "seconds": time.monotonic() - began}


def serve() -> None:
    """Import what the verbs import, then answer requests."""
    import tpcfm.cli
    import tpcfm.systems

    for package in (tpcfm.cli, tpcfm.systems):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            importlib.import_module(module.name)
    for name in (
        "mlflow",
        "tpcfm.report.page",
        "tpcfm.train.mlflow_sync",
        "tpcfm.inference.model",
        "tpcfm.evaluate.sources",
        "sklearn.svm",
    ):
        importlib.import_module(name)
    assert errno.ENOSPC
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)


if __name__ == "__main__":
    serve()
