"""How many events and points a dataset holds: counted if it is ingested, else from the configuration and the public releases."""

import re
from dataclasses import dataclass
from pathlib import Path

from tpcfm.files import read_json
from tpcfm.plan.table import Dataset
from tpcfm.workspace import Workspace

POINTS_PER_EVENT = {"tpcpp": 880.0, "pilarnet": 4300.0}
"""Before cuts: 861 (labelled events of TPCpp-10M) to 900; 5.2e9 points of 1,210,080 events (PILArNet-M)."""
RAW_BYTES_PER_POINT = {"tpcpp": 13.0, "pilarnet": 30.0}
EVENT_BYTES_PER_POINT = {"tpcpp": 15.0, "pilarnet": 6.0}
TPCPP_EVENTS = {"unlabeled": 100_000, "train": 10_000, "validation": 13_000, "test": 7_000}


@dataclass(frozen=True)
class Amount:
    """Events and points of a dataset, and whether they were counted."""

    events: float
    points_per_event: float
    counted: bool

    @property
    def points(self) -> float:
        """All points, before cuts."""
        return self.events * self.points_per_event


def amount(dataset: Dataset, results: Path) -> Amount:
    """Return what a dataset holds or will hold."""
    manifest = Workspace(results).events(dataset.id) / "manifest.json"
    if manifest.exists():
        found = read_json(manifest)
        return Amount(float(found["events"]), found["points"] / max(found["events"], 1), True)
    per_event = POINTS_PER_EVENT[dataset.layout]
    simulate = dataset.source["simulate"]
    if simulate:
        return Amount(float(simulate["files"] * simulate["events_per_file"]), per_event, False)
    return Amount(sum(_of_part(dataset, part.raw, part.member) for part in dataset.parts.values()), per_event, False)


def _of_part(dataset: Dataset, raw: str, member: str) -> float:
    """Return the events of one file: from the name in a public release, else from its size."""
    if member and dataset.layout == "tpcpp":
        return next((float(n) for folder, n in TPCPP_EVENTS.items() if folder in member), float(TPCPP_EVENTS["train"]))
    named = re.search(r"_(\d+)_v\d+\.h5$", member)
    if named:
        return float(named.group(1))
    size = Path(raw).stat().st_size if Path(raw).exists() else 0
    return size / (RAW_BYTES_PER_POINT[dataset.layout] * POINTS_PER_EVENT[dataset.layout])
