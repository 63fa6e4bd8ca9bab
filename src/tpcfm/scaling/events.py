"""How many events and points a dataset holds: counted if it is ingested, else from the configuration and the public releases."""

import re
from dataclasses import dataclass
from pathlib import Path

from tpcfm.files import read_json
from tpcfm.plan.table import Dataset
from tpcfm.workspace import Workspace

RAW_BYTES_PER_POINT, EVENT_BYTES_PER_POINT = 20.0, 12.0
POINTS_PER_EVENT = 2000.0
"""Where the detector file says nothing (``published``: ``points_per_event raw_bytes_per_point event_bytes_per_point``)."""


@dataclass(frozen=True)
class Amount:
    """Events and points of a dataset, bytes of a point, and whether events and points were counted."""

    events: float
    points_per_event: float
    counted: bool
    raw_bytes: float = RAW_BYTES_PER_POINT
    event_bytes: float = EVENT_BYTES_PER_POINT

    @property
    def points(self) -> float:
        """All points, before cuts."""
        return self.events * self.points_per_event


def amount(dataset: Dataset, results: Path) -> Amount:
    """Return what a dataset holds or will hold."""
    known = dataset.load_detector().published
    raw = float(known.get("raw_bytes_per_point", RAW_BYTES_PER_POINT))
    sizes = (raw, float(known.get("event_bytes_per_point", EVENT_BYTES_PER_POINT)))
    manifest = Workspace(results).event_manifest(dataset.id)
    if manifest.exists():
        found = read_json(manifest)
        return Amount(float(found["events"]), found["points"] / max(found["events"], 1), True, *sizes)
    per_event = float(known.get("points_per_event", POINTS_PER_EVENT))
    simulate = dataset.source["simulate"]
    if simulate:
        return Amount(float(simulate["files"] * simulate["events_per_file"]), per_event, False, *sizes)
    events = 0.0
    for part in dataset.parts.values():
        named = re.search(r"_(\d+)_v\d+\.h5$", part.member)  # PILArNet-M files say how many events they hold
        folders = [n for folder, n in known.get("events_per_file", {}).items() if folder in part.member]
        if part.member and (named or folders):
            events += float(named.group(1)) if named else float(folders[0])
        else:
            events += (Path(part.raw).stat().st_size if Path(part.raw).exists() else 0) / (raw * per_event)
    return Amount(events, per_event, False, *sizes)
