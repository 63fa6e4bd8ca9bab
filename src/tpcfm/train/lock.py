"""One writer per state folder: a lock file that names its owner, with a heartbeat."""

import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from tpcfm.errors import MachineError
from tpcfm.files import write_text

_log = logging.getLogger("tpcfm.train")


class StateLock:
    """Exclusive use of a folder, as a context manager.

    The owner (host, process, Slurm job) is written into ``lock.json`` and its heartbeat renewed. A lock is stale when
    its process no longer lives on this host or, for another host, when its heartbeat stands still for ``patience``
    seconds as seen from here (no clocks are compared). A stale lock is taken over, and the log says so.
    """

    def __init__(self, folder: Path, *, beat: float = 10.0, patience: float = 60.0) -> None:
        self.path = folder / "lock.json"
        self.beat = beat
        self.patience = patience
        self._token = uuid.uuid4().hex
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "StateLock":
        """Take the lock.

        Raises:
            MachineError: a living process holds it (named), or the folder cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            while not self._create():
                self._remove_if_stale()
        except OSError as error:
            raise MachineError(f"{self.path}: cannot write the state folder: {error.strerror or error}") from error
        self._thread = threading.Thread(target=self._keep_beating, name="tpcfm-lock", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._end.set()
        if self._thread:
            self._thread.join()
        if (owner := self._read()) and owner.get("token") == self._token:
            self.path.unlink(missing_ok=True)

    def check(self) -> None:
        """Make sure that the lock is still ours, before something is written.

        Raises:
            MachineError: another process took over (this one must have looked dead), or the folder is gone.
        """
        owner = self._read()
        if owner is None or owner.get("token") != self._token:
            who = _name(owner) if owner else "nobody (the lock file is gone)"
            raise MachineError(f"{self.path}: this process lost the state folder to {who}; stopping without writing")

    def _content(self) -> str:
        me = psutil.Process()
        owner = {"host": socket.gethostname(), "pid": me.pid, "started": me.create_time(), "token": self._token}
        if job := os.environ.get("SLURM_JOB_ID"):
            owner["slurm_job"] = job
        return json.dumps({**owner, "heartbeat": time.time()})

    def _create(self) -> bool:
        # Written aside and linked: the lock appears with its content or not at all, on network file systems too.
        aside = self.path.with_name(f".lock-{self._token}.json")
        aside.write_text(self._content())
        try:
            os.link(aside, self.path)
            return True
        except FileExistsError:
            return False
        finally:
            aside.unlink(missing_ok=True)

    def _read(self, path: Path | None = None) -> dict[str, Any] | None:
        try:
            return json.loads((path or self.path).read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return {"token": "", "host": "unknown", "pid": "unknown"}

    def _remove_if_stale(self) -> None:
        owner = self._read()
        if owner is None:
            return
        why = self._stale(owner)
        if why is None:
            raise MachineError(
                f"{self.path}: {_name(owner)} is at work in this folder; wait for it or stop it "
                "(if it is surely gone, remove the lock file)"
            )
        # Renaming decides between two that both saw the stale lock; whoever moved a fresh one away puts it back.
        moved = self.path.with_name(f".stale-{self._token}.json")
        try:
            os.rename(self.path, moved)
        except FileNotFoundError:
            return
        if (found := self._read(moved)) is None or found.get("token") != owner.get("token"):
            os.rename(moved, self.path)
            return
        moved.unlink()
        _log.warning("%s: took over the stale lock of %s (%s)", self.path, _name(owner), why)

    def _stale(self, owner: dict[str, Any]) -> str | None:
        if owner.get("host") == socket.gethostname():
            return None if is_alive(owner) else "its process no longer runs"
        deadline = time.monotonic() + self.patience
        while time.monotonic() < deadline:
            time.sleep(min(self.beat, self.patience) / 4)
            now = self._read()
            if now is None or now != owner:
                return None if now else "it was released"
        return f"no heartbeat for {self.patience:g} s"

    def _keep_beating(self) -> None:
        while not self._end.wait(self.beat):
            owner = self._read()
            if owner is None:  # being looked at by another, or the folder is gone: `check` will say
                continue
            if owner.get("token") != self._token:
                return
            try:
                write_text(self.path, self._content())
            except MachineError as error:
                _log.warning("heartbeat: %s", error)


def is_alive(owner: Mapping[str, Any]) -> bool:
    """Return whether the process that an owner (``pid``, ``started``) names on this host still runs."""
    try:
        process = psutil.Process(int(owner["pid"]))
        return process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - owner["started"]) < 2.0
    except (psutil.NoSuchProcess, KeyError, ValueError, TypeError):
        return False


def _name(owner: dict[str, Any]) -> str:
    job = f", Slurm job {owner['slurm_job']}" if "slurm_job" in owner else ""
    return f"process {owner.get('pid')} on host {owner.get('host')}{job}"
