"""Checkpoints in a state folder: atomic, identified, read without unpickling code, last two and the best kept."""

import logging
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from tpcfm.errors import CheckpointError, MachineError
from tpcfm.files import atomic

_log = logging.getLogger("tpcfm.train")
INPUTS = {"data", "start"}
"""Parts of the identity that say what a run reads, not what it is."""
_NAME = re.compile(r"^checkpoint-(\d{9})\.pt$")
_BEST = re.compile(r"^best-(\d{9})\.pt$")
FORMAT = 1
KEPT = 2


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write one file atomically.

    Raises:
        MachineError: disk full, no permission, folder gone; what was there before is untouched.
    """
    try:
        with atomic(path) as temporary:
            torch.save(dict(content), temporary)
    except RuntimeError as error:  # PyTorch's writer reports a full disk this way
        raise MachineError(f"{path}: writing the checkpoint failed (disk full?): {_first_line(error)}") from error


def read(path: Path) -> dict[str, Any]:
    """Read one file, tensors and plain values only.

    Raises:
        CheckpointError: damaged or of another format.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # PyTorch writes checksums but does not compare them when it reads
            if (part := archive.testzip()) is not None:
                raise ValueError(f"wrong checksum of {part}")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the readers of zip, pickle and tensors raise a dozen different classes
        raise CheckpointError(f"{path}: damaged checkpoint: {_first_line(error)}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise CheckpointError(f"{path}: checkpoint format {found}, this version reads {FORMAT}")
    return content


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


class Checkpoints:
    """The checkpoints of one state folder."""

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        """``identity``: plain values that name what is trained (config hash, data fingerprint)."""
        self.folder = folder
        self.identity = dict(identity)

    def steps(self) -> list[int]:
        """Return the steps that have a checkpoint, ascending."""
        if not self.folder.is_dir():
            return []
        return sorted(int(m[1]) for p in self.folder.iterdir() if (m := _NAME.match(p.name)))

    def save(self, step: int, content: Mapping[str, Any], best_step: int | None) -> None:
        """Write the checkpoint of a step, then remove those older than the last two and superseded best weights."""
        write(self._path(step), {"format": FORMAT, "identity": self.identity, "step": step, **content})
        for old in self.steps()[:-KEPT]:
            self._path(old).unlink(missing_ok=True)
        for path in self.folder.iterdir():
            if (m := _BEST.match(path.name)) and int(m[1]) != best_step:
                path.unlink(missing_ok=True)

    def load(self) -> dict[str, Any] | None:
        """Return the newest readable checkpoint, or None where there is none.

        A damaged newest one is passed over with a warning, since the one before it continues the same run. The training
        of the same run on other data or from other weights (files were added, a backbone was trained anew) is set
        aside, and the run starts anew.

        Raises:
            CheckpointError: it belongs to another run (both named), or every checkpoint is damaged.
        """
        problems = []
        for step in reversed(self.steps()):
            try:
                content = read(self._path(step))
            except CheckpointError as error:
                problems.append(str(error))
                _log.warning("%s; trying the one before", error)
                continue
            if changes := self._changes(content["identity"]):
                self._set_aside(changes)
                return None
            return content
        if problems:
            raise CheckpointError(
                f"{self.folder}: no readable checkpoint left ({problems[0]}); remove the folder to start over"
            )
        return None

    def save_best(self, step: int, model: Mapping[str, Any]) -> None:
        """Write the weights of the best validation so far (removed once a checkpoint names a better one)."""
        write(self._best(step), {"format": FORMAT, "identity": self.identity, "step": step, "model": dict(model)})

    def load_best(self, step: int) -> dict[str, Any]:
        """Return the weights of the best validation.

        Raises:
            CheckpointError: missing or damaged.
        """
        if not self._best(step).is_file():
            raise CheckpointError(
                f"{self._best(step)}: the best weights are missing; remove {self.folder} to start again"
            )
        return read(self._best(step))["model"]

    def _path(self, step: int) -> Path:
        return self.folder / f"checkpoint-{step:09d}.pt"

    def _best(self, step: int) -> Path:
        return self.folder / f"best-{step:09d}.pt"

    def _changes(self, found: Mapping[str, Any]) -> str:
        """Say what the run reads that has changed since, "" if nothing; another run than this stops."""
        keys = sorted(k for k in {*found, *self.identity} if found.get(k) != self.identity.get(k))
        changes = "; ".join(f"{k}: checkpoint {found.get(k)!r}, now {self.identity.get(k)!r}" for k in keys)
        if {*keys} <= INPUTS:
            return changes
        raise CheckpointError(
            f"{self.folder} holds the training of another run ({changes}); "
            "give this run another state folder, or remove that one if it is no longer wanted"
        )

    def _set_aside(self, changes: str) -> None:
        """Move what an earlier training left into a folder of its own, beside the lock of this one."""
        number = 1 + sum(p.name.startswith("earlier-") for p in self.folder.iterdir())
        aside = self.folder / f"earlier-{number}"
        aside.mkdir()
        for path in self.folder.iterdir():
            if _NAME.match(path.name) or _BEST.match(path.name) or path.name == "metrics.jsonl":
                path.rename(aside / path.name)
        _log.warning("what this run reads has changed (%s): its earlier training is set aside in %s", changes, aside)
