"""Prepared events in memory, seen as a cache: what predictions of files are made of, without writing one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tpcfm.detectors.model import Detector
from tpcfm.errors import DataError
from tpcfm.prepare.store import PreparedStore


class HeldEvents(PreparedStore):
    """Some prepared events in memory, with the interface of a cache on disk. Nothing is copied, nothing is kept elsewhere.

    Args:
        manifest: ``kind``, ``settings``, ``detector`` and, for sequences, ``edges``, as in the manifest of a cache.
        detector: of the events, with a fixed scaling of its signal.
        events: rows as `tpcfm.prepare.groups.cache.group_event` or `tpcfm.prepare.sequences.cache.sequence_event` make them.
        source: where they come from, for messages.
    """

    def __init__(
        self,
        manifest: Mapping[str, Any],
        detector: Detector,
        events: Sequence[Mapping[str, Any]] = (),
        source: str | Path = "events in memory",
    ) -> None:
        self.folder = Path(source)
        self.manifest, self.settings = dict(manifest), manifest["settings"]
        self.detector = detector
        self.fingerprint = ""
        self._held = events

    def __reduce__(self) -> Any:
        return HeldEvents, (self.manifest, self.detector, self._held, self.folder)

    def __len__(self) -> int:
        return len(self._held)

    def __getitem__(self, row: int) -> dict[str, Any]:
        """Return one event."""
        return dict(self._held[row])

    def value(self, row: int, column: str) -> Any:
        """Return one column of one event."""
        if column not in self._held[row]:
            raise DataError(f"{self.folder}: no column {column!r}; there are: {', '.join(self.columns)}")
        return self._held[row][column]

    @property
    def columns(self) -> list[str]:
        """Names of the columns (empty without events)."""
        return list(self._held[0]) if self._held else []

    def scan(self, name: str) -> npt.NDArray[Any]:
        """Return ``n_points`` of all events, or the rows of a split."""
        if name == "n_points":
            return np.array([event["n_points"] for event in self._held], np.int32)
        return np.flatnonzero([event["split"] == name for event in self._held])

    def _indexed(self, name: str) -> npt.NDArray[Any]:
        return self.scan(name)
