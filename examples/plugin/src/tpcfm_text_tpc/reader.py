"""Reader of text blocks: a line ``event N``, then a line ``x y z charge track`` per hit; ``#`` begins a remark."""

from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np

from tpcfm.detectors.model import Detector
from tpcfm.errors import DataError
from tpcfm.readers.block import EventBlock
from tpcfm.readers.checks import check_events
from tpcfm.readers.ragged import Ragged, offsets_of

COLUMNS = ("x", "y", "z", "charge", "track")


class TextReader:
    """One file of text blocks, open for reading.

    Args:
        path: the file.
        detector: whose columns are wanted.

    Raises:
        DataError: a line that is neither a hit nor the head of an event, or no event.
    """

    revision = "1"

    def __init__(self, path: str | Path, detector: Detector) -> None:
        self.path, self.detector = Path(path), detector
        self._hits: list[list[list[float]]] = []
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(), start=1):
            words = line.partition("#")[0].split()
            if words[:1] == ["event"]:
                self._hits.append([])
            elif words:
                try:
                    values = [float(word) for word in words]
                except ValueError:
                    values = []
                if len(values) != len(COLUMNS) or not self._hits:
                    raise DataError(f"{path}: line {number}: {line!r}; expected `event N` or `{' '.join(COLUMNS)}`")
                self._hits[-1].append(values)
        self.events = len(self._hits)
        if not self.events:
            raise DataError(f"{path}: holds no event (a line `event N`)")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def blocks(self) -> Iterator[EventBlock]:
        """Yield all events; those without hits, or against the rules of the detector, are rejected."""
        offsets = offsets_of([len(hits) for hits in self._hits])
        table = np.array([hit for hits in self._hits for hit in hits], np.float64).reshape(-1, len(COLUMNS))
        columns = {name: Ragged(offsets, table[:, i].astype(np.float32)) for i, name in enumerate(COLUMNS)}
        columns["track"] = Ragged(offsets, table[:, 4].astype(np.int32))
        block = EventBlock(np.arange(self.events), dict(columns), seen=self.events)
        block.flag(np.diff(offsets) == 0, "event", "no hits")
        check_events(block, self.detector)
        yield block
