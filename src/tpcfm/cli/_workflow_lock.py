"""Snakemake's lock of a working folder, released where its owner is provably dead (power loss, SIGKILL).

Snakemake's lock names nobody. Each run of the workflow therefore says who it is in ``.snakemake/tpcfm/<pid>.json`` while it works.
"""

import json
import os
import socket
from pathlib import Path

import psutil

from tpcfm.files import write_text
from tpcfm.train.lock import is_alive


def announce(folder: Path) -> None:
    """Say that this process runs the workflow.

    Args:
        folder: ``.snakemake`` of the working folder.
    """
    me = psutil.Process()
    owner = {"host": socket.gethostname(), "pid": me.pid, "started": me.create_time()}
    write_text(_owners(folder) / f"{owner['host']}-{me.pid}.json", json.dumps(owner))


def leave(folder: Path) -> None:
    """Take that word back."""
    (_owners(folder) / f"{socket.gethostname()}-{os.getpid()}.json").unlink(missing_ok=True)


def release(folder: Path) -> bool:
    """Remove Snakemake's lock if every run that may hold it is known, was on this host, and no longer lives.

    Returns:
        Whether a lock was removed.
    """
    locks, found = folder / "locks", list(_owners(folder).glob("*.json"))
    if not found or not locks.is_dir() or not any(locks.iterdir()):
        return False
    for path in found:
        try:
            owner = json.loads(path.read_text())
        except (OSError, ValueError):
            return False
        if owner.get("host") != socket.gethostname() or is_alive(owner):
            return False
    for path in [*locks.iterdir(), *found]:
        path.unlink(missing_ok=True)
    return True


def _owners(folder: Path) -> Path:
    return folder / "tpcfm"
