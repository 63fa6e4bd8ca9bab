"""Guesses about a file of columns: which are coordinates, event, signal and labels, and the shape of the volume."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from tpcfm.readers.columns.source import text
from tpcfm.readers.columns.survey import Seen
from tpcfm.readers.ragged import Array

PLACES = r"hit|pos|point|sp|space|glob|vox|coord|loc|cell"
NO_PLACES = r"^(v|vtx|vertex|p|tp|mom|d|delta|n|dir|start|end|orig|err|sig|cov|var|true_v)[^a-z]*$|^(deltap|mom|vertex|start|end)"
EVENT = r"^(i_?)?(event|evt|ev|eid)(_?(id|no|nr|num|number|index))?$"
SIGNAL = ("energy", "edep", "charge", "adc", "signal", "amplitude", "amp", "tot", "de", "q", "e", "weight", "value")
ELEMENTS = (
    r"layer|module|volume_id|sensor|plane|wire|pad|channel|tick|time|index|surface|geo|row|col|^id$|hit_?id|^n[A-Z_]"
)
OBJECTS = r"track|trk|particle|barcode|cluster|traj|frag|group|inter|vertex|parent|primar|object|shower|mc_?id"
CLASSES = r"pid|pdg|type|class|semantic|label|noise|^is_?|flag|process|species|kind|categ"
SPECIES = {11: "electron", 13: "muon", 22: "photon", 211: "pion", 321: "kaon", 2212: "proton", 2112: "neutron"}


@dataclass(frozen=True)
class LabelGuess:
    """A column that looks like a label: its name in the event table, and ``instances``, ``classes``, or why it is left out."""

    name: str
    kind: str
    why: str = ""


def coordinate_columns(names: list[str]) -> tuple[str, str, str] | None:
    """Return the three columns that differ only in x, y, z (or in [0], [1], [2]) and look most like places."""
    found = []
    for name in names:
        for place in [m.start() for m in re.finditer(r"[xX]|\[0\]", name)]:
            old = name[place : place + (3 if name[place] == "[" else 1)]
            rest = {"x": "yz", "X": "YZ", "[0]": ("[1]", "[2]")}[old]
            others = [name[:place] + new + name[place + len(old) :] for new in rest]
            if all(other in names for other in others):
                stem = (name[:place] + name[place + len(old) :]).lower()
                score = 0 if not stem else 4 if re.search(NO_PLACES, stem) else 1 if re.search(PLACES, stem) else 2
                found.append((score, len(name), name, *others))
    return min(found)[2:] if found else None  # type: ignore[return-value]


def event_columns(seen: Mapping[str, Seen]) -> list[str]:
    """Return the columns that tell events apart: one of the event, and before it one of the run if there are several runs."""
    usable = {name: one for name, one in seen.items() if one.labels and not one.lists}
    events = [name for name in usable if re.search(EVENT, name.lower().rsplit(".", 1)[-1])]
    runs = [name for name in usable if re.fullmatch(r"(run|subrun)(_?(id|no|number))?", name.lower())]
    several = [name for name in runs if usable[name].distinct is None or len(usable[name].distinct or ()) > 1]
    return [*several, events[0]] if events else []


def signal_column(seen: Mapping[str, Seen]) -> str | None:
    """Return the column that looks most like what was measured."""
    for wanted in SIGNAL:
        for name, one in seen.items():
            if one.column.kind in "fiu" and wanted in re.split(r"[^a-z]+", name.lower()):
                return name
    return None


def label_guess(column: str, one: Seen) -> LabelGuess:
    """Return what a column of whole numbers or text may be."""
    plain = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", column).lower()).strip("_")
    name = re.sub(r"^[^a-z]+", "", re.sub(r"_id$", "", plain)) or "label"
    count = None if one.distinct is None else len(one.distinct)
    if count is not None and count < 2:
        return LabelGuess(name, "", "one value only")
    if re.search(ELEMENTS, column, re.IGNORECASE) and not re.search(OBJECTS, column, re.IGNORECASE):
        return LabelGuess(name, "", "looks like an index or a part of the detector")
    sample = np.concatenate([text(v) if v.dtype.kind in "OUS" else v for v in one.sample])
    if len(np.unique(sample)) > 0.9 * len(sample):
        return LabelGuess(name, "", "another value for nearly every point")
    if re.search(CLASSES, column, re.IGNORECASE) and count is not None:
        return LabelGuess(name, "classes")
    if re.search(OBJECTS, column, re.IGNORECASE) or count is None or count > 20:
        return LabelGuess(name, "instances")
    return LabelGuess(name, "classes")


def background_values(one: Seen) -> list[int]:
    """Return the values of instances that look like no object: negative ones, or a 0 among barcodes (large numbers)."""
    values = np.concatenate(one.sample)
    if values.dtype.kind in "OUS":
        return []
    if one.low < 0:
        negative = np.unique(values[values < 0])
        return [int(value) for value in negative] if len(negative) <= 4 else []
    others = values[values > 0]
    barcodes = len(others) > 0 and (others.min() > 1000 or one.high > 2**31)
    return [0] if one.low == 0 and barcodes else []


def is_cylinder(x: Array, y: Array) -> bool:
    """Whether points lie around the z axis alike in all directions: centred, every sixteenth filled, no corners."""
    radius = np.hypot(x, y)
    reach = max(np.abs(x).max(), np.abs(y).max())
    if len(x) < 50 or reach == 0 or np.mean(radius > 1.02 * reach) > 0.005:
        return False
    if abs(x.mean()) > 0.15 * reach or abs(y.mean()) > 0.15 * reach:
        return False
    sectors = np.bincount(((np.arctan2(y, x) + np.pi) / (2 * np.pi) * 16).astype(int) % 16, minlength=16)
    return bool(sectors.min() > 0.2 * sectors.mean())


def spacing(events: list[Array]) -> float:
    """Return the median distance of a point to its nearest neighbour in its event (points (N, 3)); 1 if there is none."""
    found = [cKDTree(points).query(points, k=2)[0][:, 1] for points in events if len(points) > 1]
    joined = np.concatenate(found) if found else np.zeros(0)
    joined = joined[joined > 0]
    return float(np.median(joined)) if len(joined) else 1.0


def unit_of(column: str, reach: float, whole: bool) -> tuple[str, str]:
    """Return the unit of coordinates, and why."""
    if named := re.search(r"[_ (\[](mm|cm|um|m)[)\]]?$", column):
        return named.group(1), "from the name of the column"
    if whole:
        return "voxel", "all coordinates are whole numbers"
    for unit, limit in (("m", 8), ("cm", 400)):
        if reach < limit:
            return unit, f"guessed: the farthest coordinate is {reach:.3g}"
    return "mm", f"guessed: the farthest coordinate is {reach:.3g}"
