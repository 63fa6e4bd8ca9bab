"""The training log: ``metrics.jsonl`` in the state folder, appended as training goes."""

import json
import os
from pathlib import Path
from typing import Any

from tpcfm.errors import DataError, MachineError
from tpcfm.files import write_text
from tpcfm.train.objective import finite_or_none

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
