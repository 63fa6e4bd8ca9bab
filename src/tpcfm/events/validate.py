"""Check raw files and event tables: every deviation, with file, event and column."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from tpcfm.detectors import pilarnet, sphenix
from tpcfm.errors import DataError
from tpcfm.events.job import open_raw
from tpcfm.events.manifest import open_table
from tpcfm.events.schema import REJECTED, layout_of
from tpcfm.events.splits import SPLITS
from tpcfm.events.statistics import columns_of
from tpcfm.files import read_json, sha256
from tpcfm.readers.kinds import companion, kind_of
from tpcfm.readers.ragged import Ragged
from tpcfm.readers.tpcpp import R_RANGE_CM, Z_LIMIT_CM

_PER_CLUSTER = {"cluster_size": 1, "cluster_momentum": 1, "cluster_vertex": 3}
_RANGES: dict[str, dict[str, tuple[float, float]]] = {
    "pilarnet": {
        **dict.fromkeys("xyz", (0, pilarnet.EDGE - 1)),
        "energy": (0, np.inf),
        **dict.fromkeys(("fragment", "group", "interaction"), (-1, np.inf)),
        "semantic": (0, pilarnet.LOW_ENERGY),
        "pid": (min(pilarnet.PID), max(pilarnet.PID)),
        "cluster_size": (0, np.inf),
    },
    "tpcpp": {
        **dict.fromkeys("xy", (-R_RANGE_CM[1], R_RANGE_CM[1])),
        "z": (-Z_LIMIT_CM, Z_LIMIT_CM),
        "energy": (0, np.inf),
        "track": (0, np.inf),
        "pid": (min(sphenix.PID), max(sphenix.PID)),
        "noise": (0, 1),
    },
}  # allowed values of the columns of the event tables


@dataclass(frozen=True)
class Finding:
    """One deviation.

    Attributes:
        file: the file it is in.
        event: row in a raw file or event id in a table; "" if it concerns the whole file.
        column: where in the event, "" if it concerns the whole file.
        reason: what was found and what was expected.
    """

    file: str
    event: str
    column: str
    reason: str

    def __str__(self) -> str:
        event = f": event {self.event}" if self.event else ""
        column = f": {self.column}" if self.column else ""
        return f"{self.file}{event}{column}: {self.reason}"


def validate_file(path: str | Path) -> Iterator[Finding]:
    """Yield every deviation of a raw file, an event table or a table of rejected events (told by their content).

    Companions of event files (`about`) have none, unless what they belong to is missing.
    """
    path = Path(path)
    try:
        if path.is_file() and companion(path):
            return
        kind = kind_of(path)
        if kind == "table":
            yield from _validate_table(path)
        else:
            with open_raw(path, kind) as reader:
                for block in reader.blocks():
                    for found in block.deviations:
                        yield Finding(str(path), str(found.row), found.column, found.reason)
    except DataError as error:
        yield Finding(str(path), "", "", str(error).removeprefix(f"{path}: "))


def about(path: str | Path) -> str:
    """Return what is worth knowing of a file without deviations that is no file of events; "" of one that is."""
    path = Path(path)
    if what := companion(path):
        return f"no events in it: {what}"
    if kind_of(path) == "table":
        with open_table(path) as table:
            if table.schema_arrow.names == REJECTED.names:
                count = table.metadata.num_rows
                return f"table of rejected events: {f'{count} with their reasons' if count else 'empty, none was rejected'}"
    return ""


def _validate_table(path: Path) -> Iterator[Finding]:
    with open_table(path) as table:
        if table.schema_arrow.names == REJECTED.names:
            return
        layout = layout_of(table.schema_arrow, path)
        yield from _against_manifest(path)
        seen: set[str] = set()
        for group in range(table.num_row_groups):
            try:
                batch = table.read_row_group(group)
            except (pa.ArrowException, OSError) as error:
                yield Finding(str(path), "", "", f"row group {group} of {table.num_row_groups} cannot be read: {error}")
                continue
            yield from _validate_rows(path, layout, batch, seen)


def _against_manifest(path: Path) -> Iterator[Finding]:
    """Compare a table with the checksum in the manifest of its folder, if there is one."""
    beside = path.with_name("manifest.json")
    if not beside.is_file():
        return
    parts = read_json(beside).get("parts", [])
    for part in parts:
        if part.get("file") == path.name and part.get("sha256") != sha256(path):
            yield Finding(str(path), "", "", f"differs from its checksum in {beside.name}; ingest the part again")


def _validate_rows(path: Path, layout: str, batch: pa.Table, seen: set[str]) -> Iterator[Finding]:
    """Check the events of one row group; ``seen`` are the ids of those before."""
    ids, splits = batch.column("event_id").to_pylist(), batch.column("split").to_pylist()
    n_points = batch.column("n_points").to_numpy()
    for event_id, split in zip(ids, splits):
        if event_id in seen:
            yield Finding(str(path), event_id, "event_id", "occurs twice")
        seen.add(event_id)
        if split not in SPLITS:
            yield Finding(str(path), event_id, "split", f"{split!r}, allowed: {', '.join(SPLITS)}")
    columns = columns_of(batch)
    for name in columns:
        if 0 < batch.column(name).null_count < len(ids):
            yield Finding(
                str(path), "", name, f"null in {batch.column(name).null_count} of {len(ids)} events, not in all"
            )
    clusters = columns.get("cluster_size")
    for name, column in columns.items():
        if column is None:
            continue
        if name in _PER_CLUSTER and clusters is not None:
            expected = clusters.lengths * _PER_CLUSTER[name]
        elif name.startswith("particle_"):
            first = columns["particle_track"]
            expected = column.lengths if first is None else first.lengths
        else:
            expected = n_points
        for i in np.flatnonzero(column.lengths != expected):
            yield Finding(str(path), ids[i], name, f"{column.lengths[i]} values, expected {expected[i]}")
        low, high = _RANGES[layout].get(name, (-np.inf, np.inf))
        yield from _out_of_range(path, ids, name, column, low, high)
    if clusters is not None:
        ends = np.concatenate([[0], np.cumsum(clusters.values.astype(np.int64))])
        totals = ends[clusters.offsets[1:]] - ends[clusters.offsets[:-1]]
        for i in np.flatnonzero(totals != n_points):
            yield Finding(str(path), ids[i], "cluster_size", f"adds up to {totals[i]}, n_points is {n_points[i]}")


def _out_of_range(path: Path, ids: list[str], name: str, column: Ragged, low: float, high: float) -> Iterator[Finding]:
    values = column.values
    wrong = ~((values >= low) & (values <= high) & np.isfinite(values))
    places = np.flatnonzero(wrong)
    owners = np.searchsorted(column.offsets, places, side="right") - 1
    events, first, counts = np.unique(owners, return_index=True, return_counts=True)
    for event, place, count in zip(events, places[first], counts):
        reason = (
            f"{count} of {column.lengths[event]} values are not from {low:g} to {high:g}; the first is {values[place]}"
        )
        yield Finding(str(path), ids[event], name, reason)
