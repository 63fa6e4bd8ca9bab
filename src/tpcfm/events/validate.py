"""Check raw files and event tables: every deviation, with file, event and column."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tpcfm.config.splits import SPLITS
from tpcfm.detectors.model import Detector
from tpcfm.errors import DataError
from tpcfm.events.read import DAMAGE, open_table
from tpcfm.events.schema import REJECTED, detector_at, detector_of
from tpcfm.events.statistics import columns_of
from tpcfm.files import read_json, sha256
from tpcfm.readers.block import EventBlock
from tpcfm.readers.checks import check_events, fit_columns, wrong_lengths
from tpcfm.readers.kinds import begins_with, companion, require_data_file
from tpcfm.readers.registry import open_raw, recognise


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


def validate_file(path: str | Path, detector: Detector | None = None) -> Iterator[Finding]:
    """Yield every deviation of a raw file, an event table or a table of rejected events.

    Companions of event files (`about`) have none, unless what they belong to is missing.

    Args:
        path: the file; event tables say themselves what they are.
        detector: of a raw file; default: the one whose reader recognises it.
    """
    path = Path(path)
    try:
        if path.is_file() and companion(path):
            return
        require_data_file(path)
        if _is_table(path, detector):
            yield from _validate_table(path)
        else:
            with open_raw(path, detector or recognise(path)) as reader:
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
    if _is_rejected(path):
        with open_table(path) as table:
            count = table.metadata.num_rows
            return f"table of rejected events: {f'{count} with their reasons' if count else 'empty, none was rejected'}"
    return ""


def _is_rejected(path: Path) -> bool:
    try:
        return pq.read_schema(path).names == REJECTED.names
    except DAMAGE:
        return False


def _is_table(path: Path, detector: Detector | None) -> bool:
    """Whether a file is what `tpcfm ingest` writes: its metadata or columns say so, or it is Parquet of no named detector."""
    if detector_at(path) is not None or _is_rejected(path):
        return True
    return detector is None and (begins_with(path, b"PAR1") or path.suffix == ".parquet")


def _validate_table(path: Path) -> Iterator[Finding]:
    with open_table(path) as table:
        if table.schema_arrow.names == REJECTED.names:
            return
        detector = detector_of(table.schema_arrow, path)
        yield from _against_manifest(path)
        seen: set[str] = set()
        for group in range(table.num_row_groups):
            try:
                batch = table.read_row_group(group)
                findings = list(_validate_rows(path, detector, batch, seen))
            except DAMAGE as error:
                yield Finding(str(path), "", "", f"row group {group} of {table.num_row_groups} cannot be read: {error}")
                continue
            yield from findings


def _against_manifest(path: Path) -> Iterator[Finding]:
    """Compare a table with the checksum in the manifest of its folder, if there is one."""
    beside = path.with_name("manifest.json")
    if not beside.is_file():
        return
    parts = read_json(beside).get("parts", [])
    for part in parts:
        if part.get("file") == path.name and part.get("sha256") != sha256(path):
            yield Finding(str(path), "", "", f"differs from its checksum in {beside.name}; ingest the part again")


def _validate_rows(path: Path, detector: Detector, batch: pa.Table, seen: set[str]) -> Iterator[Finding]:
    """Check the events of one row group; ``seen`` are the ids of those before."""
    ids, splits = batch.column("event_id").to_pylist(), batch.column("split").to_pylist()
    n_points = batch.column("n_points").to_numpy()
    for event_id, split in zip(ids, splits):
        if event_id in seen:
            yield Finding(str(path), event_id, "event_id", "occurs twice")
        seen.add(event_id)
        if split not in SPLITS:
            yield Finding(str(path), event_id, "split", f"{split!r}, allowed: {', '.join(SPLITS)}")
    columns = fit_columns(detector, columns_of(batch))
    for name in columns:
        if 0 < batch.column(name).null_count < len(ids):
            yield Finding(
                str(path), "", name, f"null in {batch.column(name).null_count} of {len(ids)} events, not in all"
            )
    fits = np.ones(len(ids), bool)
    for name, event, reason in wrong_lengths(detector, columns, n_points):
        fits[event] = False
        yield Finding(str(path), ids[event], name, reason)
    kept = {name: None if column is None else column.select(fits) for name, column in columns.items()}
    block = EventBlock(np.flatnonzero(fits), kept)
    if not any(kept[axis] is None for axis in [*"xyz", *(signal.name for signal in detector.signal)]):
        check_events(block, detector)
    for found in block.deviations:
        yield Finding(str(path), ids[found.row], found.column, found.reason)
