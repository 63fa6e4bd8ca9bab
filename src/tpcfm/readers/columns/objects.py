"""Tables of true objects in a group or tree of their own, one row per object, looked up by event."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tpcfm.errors import DataError
from tpcfm.readers.columns.formats import open_source
from tpcfm.readers.columns.group import in_order, key_texts, run_starts
from tpcfm.readers.columns.source import Chunk, join, missing
from tpcfm.readers.ragged import Array, Ragged, offsets_of


class ObjectTable:
    """All objects of a file in memory.

    Args:
        path: the file.
        table: group or tree.
        keys: event columns.
        columns: name in the event table: name in the table.

    Raises:
        DataError: no such table or column.
    """

    def __init__(self, path: Path, table: str, keys: Sequence[str], columns: Mapping[str, str]) -> None:
        if not keys:
            raise DataError(f"{path}: read.objects: objects in a table of their own need an event column")
        with open_source(path, table) as source:
            for name in [*keys, *columns.values()]:
                if name not in source.columns:
                    raise missing(path, source, name, f" in {table!r}")
            wanted = list(dict.fromkeys([*keys, *columns.values()]))
            pieces = [chunk.values for chunk in in_order(source.chunks(wanted), keys)]
        values = {name: join([piece[name] for piece in pieces]) for name in wanted}
        rows = len(Chunk(values))
        starts = run_starts(values, keys, rows)
        self._rows = dict(
            zip(key_texts(path, values, keys, starts), zip(starts.tolist(), [*starts[1:].tolist(), rows]))
        )
        self._values: dict[str, Array] = {name: values[column] for name, column in columns.items()}  # type: ignore[misc]

    def of(self, keys: Sequence[str]) -> dict[str, Ragged]:
        """Return the objects of some events; events without any have none."""
        places = [self._rows.get(key, (0, 0)) for key in keys]
        rows = np.concatenate([np.arange(a, b) for a, b in places]) if places else np.zeros(0, np.int64)
        offsets = offsets_of([b - a for a, b in places])
        return {name: Ragged(offsets, values[rows]) for name, values in self._values.items()}
