"""How many events and points a dataset holds: counted if it is ingested, else from the configuration and the public releases."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tpcfm.config.splits import SPLITS
from tpcfm.files import read_json
from tpcfm.plan.table import Dataset, Part
from tpcfm.workspace import Workspace

RAW_BYTES_PER_POINT, EVENT_BYTES_PER_POINT = 20.0, 12.0
POINTS_PER_EVENT = 2000.0
"""Where the detector file says nothing (``published``: ``points_per_event raw_bytes_per_point event_bytes_per_point``)."""


@dataclass(frozen=True)
class Amount:
    """Events of each split and points of a dataset, bytes of a point, and whether events and points were counted."""

    splits: Mapping[str, float]
    per_event: float
    counted: bool
    raw_bytes: float
    event_bytes: float

    @property
    def events(self) -> float:
        """All events."""
        return sum(self.splits.values())

    @property
    def points(self) -> float:
        """All points, before cuts."""
        return self.events * self.per_event


def amount(dataset: Dataset, workspace: Workspace) -> Amount:
    """Return what a dataset holds or will hold."""
    known = dataset.load_detector().published
    raw = float(known.get("raw_bytes_per_point", RAW_BYTES_PER_POINT))
    sizes = (raw, float(known.get("event_bytes_per_point", EVENT_BYTES_PER_POINT)))
    manifest = workspace.event_manifest(dataset.id)
    if manifest.exists():
        found = read_json(manifest)
        return Amount(found["splits"], found["points"] / max(found["events"], 1), True, *sizes)
    per_event = float(known.get("points_per_event", POINTS_PER_EVENT))
    named = known.get("events_per_file", {})
    parts = {part.name: _events(dataset, part, named, raw * per_event) for part in dataset.parts.values()}
    return Amount(_splits(dataset, parts), per_event, False, *sizes)


def _events(dataset: Dataset, part: Part, named: Mapping[str, float], bytes_per_event: float) -> float:
    """Events of a file: as configured, as its name or its folder in the release says, else by its size."""
    if part.origin == "simulate":
        return float(dataset.source["simulate"]["events_per_file"])
    if count := re.search(r"_(\d+)_v\d+\.h5$", part.member):  # a file name that says how many events it holds
        return float(count.group(1))
    if folders := [count for folder, count in named.items() if folder in part.member]:
        return float(folders[0])
    return (Path(part.raw).stat().st_size if Path(part.raw).exists() else 0) / bytes_per_event


def release_shares(dataset: Dataset) -> dict[str, tuple[float, float]]:
    """Return, by folder of the public release, the events that a dataset takes and those that are published.

    {} for other datasets, and where nothing is published of the revision.
    """
    known = dataset.load_detector().published
    published = known.get("events_by_folder", {}).get(dataset.source["revision"], {})
    taken: dict[str, float] = {}
    for part in dataset.parts.values():
        folder = part.member.rpartition("/")[0]
        if folder in published:
            taken[folder] = taken.get(folder, 0.0) + _events(dataset, part, known.get("events_per_file", {}), 1.0)
    return {folder: (events, float(published[folder])) for folder, events in taken.items()}


def _splits(dataset: Dataset, parts: Mapping[str, float]) -> dict[str, float]:
    found = dict.fromkeys(SPLITS, 0.0)
    for name, events in parts.items():
        for key, share in dataset.shares(name).items():
            found[key] += share * events
    return found
