"""What a training leaves in its state folder as it goes: values in ``metrics.jsonl``, words in ``train.log``; both survive retries."""

import json
import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tpcfm.errors import DataError, MachineError
from tpcfm.files import write_text
from tpcfm.losses.objective import finite_or_none

Row = dict[str, Any]


class MetricsLog:
    """Rows of ``step``, ``split`` and values, one JSON object per line; the truth that every mirror copies."""

    def __init__(self, path: Path, last_step: int | None) -> None:
        """Open the log, without rows beyond ``last_step`` (they will be made again); None starts an empty one.

        A last line cut short by a crash is dropped too.
        """
        self.path = path
        self.rows: list[Row] = []
        if last_step is not None and path.is_file():
            self.rows = [row for row in read_rows(path) if row["step"] <= last_step]
        write_text(path, "".join(json.dumps(row) + "\n" for row in self.rows))

    def add(self, row: Row) -> None:
        """Append one row.

        Raises:
            MachineError: the disk is full or gone.
        """
        row = {k: finite_or_none(v) if isinstance(v, float) else v for k, v in row.items()}
        self.rows.append(row)
        try:
            with open(self.path, "a", encoding="utf-8") as stream:
                stream.write(json.dumps(row) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise MachineError(f"{self.path}: cannot append the training log: {error.strerror or error}") from error


def read_rows(path: Path) -> list[Row]:
    """Read a log; a broken last line (a crash in mid-write) is left out.

    Raises:
        DataError: another line is not JSON.
    """
    rows = []
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            if number + 1 < len(lines):
                raise DataError(f"{path}: line {number + 1} is not JSON: {error}") from error
    return rows


class _Words(logging.FileHandler):
    """Appends; a disk that is full or gone loses words here, never the training."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Say nothing: the same words went to the standard error stream."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:  # opening is not covered by handleError
            self.handleError(record)

    def say(self, text: str) -> None:
        """Add a line that is for this file alone."""
        self.emit(logging.makeLogRecord({"name": "tpcfm.train", "levelname": "INFO", "msg": text}))


@contextmanager
def words(path: Path) -> Iterator[Callable[[], None]]:
    """Append what the trainer says to a file. Yields what writes the first line of this attempt: call it once the folder is ours.

    A workflow removes the log of a job before it tries again; this one tells of every attempt.
    """
    logger = logging.getLogger("tpcfm.train")
    handler = _Words(path, mode="a", encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    ours = False

    def begin() -> None:
        nonlocal ours
        ours = True
        job = os.environ.get("SLURM_JOB_ID")
        handler.say(f"begins on {socket.gethostname()}, process {os.getpid()}" + (f", Slurm job {job}" if job else ""))

    logger.addHandler(handler)
    try:
        yield begin
    except BaseException as error:
        if ours:
            handler.say(f"ends with {type(error).__name__}: {error}")
        raise
    finally:
        logger.removeHandler(handler)
        handler.close()
