"""How files read as the events of a detector: counts, rejected events with reasons, label values, and a picture of one event."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tpcfm.detectors.model import ClassLabel, Detector
from tpcfm.errors import DataError
from tpcfm.events.statistics import Statistics
from tpcfm.files import atomic
from tpcfm.readers.block import EventBlock, first_reasons
from tpcfm.readers.registry import open_raw

Event = dict[str, npt.NDArray[np.generic]]


@dataclass
class Inspection:
    """What was found in some files."""

    detector: Detector
    files: list[str] = field(default_factory=list)
    events: int = 0
    points: int = 0
    rejected: dict[str, list[str]] = field(default_factory=dict)
    """Per column the reasons, each with file and row."""
    absent: set[str] = field(default_factory=set)
    statistics: Statistics = field(init=False)
    example: Event | None = None
    """The good event with the most points among the first ones."""

    def __post_init__(self) -> None:
        self.statistics = Statistics(self.detector)

    @property
    def bad(self) -> int:
        """Number of rejected events."""
        return sum(map(len, self.rejected.values()))

    def lines(self) -> list[str]:
        """Say it in words."""
        found = self.statistics.to_json()
        sizes = found["histograms"]["points_per_event"]
        said = [*self.files, f"{self.events} events, {self.points} points, {self.bad} rejected"]
        if self.events:
            said.append(f"points per event: {sizes['min']:.0f} to {sizes['max']:.0f}, mean {sizes['mean']:.1f}")
        said += [f"{axis}: {low:.6g} to {high:.6g}" for axis, (low, high) in found["ranges"].items()]
        for signal in self.detector.signal if self.events else []:
            h = found["histograms"][signal.name]
            said.append(f"{signal.name}: {h['min']:.4g} to {h['max']:.4g}, mean {h['mean']:.4g} {signal.unit}")
        for name, label in self.detector.labels.items() if self.events else []:
            if name in self.absent:
                column = self.detector.read.options.get("columns", {}).get(name, name)
                named = f" from {column!r}" if column != name else ""
                said.append(f"label {name}{named}: absent (null in the event table)")
            elif isinstance(label, ClassLabel):
                counts = found["classes"][name]
                shown = ", ".join(f"{v} {label.classes[int(v)].name}: {count}" for v, count in counts.items())
                said.append(f"label {name}: {shown}")
            else:
                mean = found["histograms"][f"{name}s_per_event"]["mean"]
                said.append(f"label {name}: {mean:.1f} objects per event")
        for column, reasons in self.rejected.items():
            said.append(f"rejected for {column}: {len(reasons)} events, the first: {reasons[0]}")
        return said


def inspect_files(paths: Sequence[Path], detector: Detector) -> Inspection:
    """Read files without writing anything.

    Raises:
        DataError, ConfigError: as the reader says.
    """
    found = Inspection(detector)
    for path in paths:
        with open_raw(path, detector) as reader:
            for block in reader.blocks():
                for row, reason in first_reasons(block.deviations).items():
                    column = reason.split(":")[0]
                    found.rejected.setdefault(column, []).append(f"{path.name} event {row}: {reason}")
                good = block.good()
                found.events += len(good.rows)
                found.points += len(good.columns["x"].values) if good.columns["x"] else 0
                found.absent |= {name for name in detector.labels if good.columns[name] is None}
                found.statistics.add(good.columns, np.ones(len(good.rows), bool))
                if found.example is None and len(good.rows):
                    found.example = _largest(good)
            found.files.append(f"{path.name}: read as {detector.read.reader} ({reader.revision})")
    return found


def _largest(block: EventBlock) -> Event:
    place = block.columns["x"]
    assert place is not None
    event = int(np.argmax(place.lengths))
    slices = {n: c.values[c.offsets[event] : c.offsets[event + 1]] for n, c in block.columns.items() if c is not None}
    return {name: values for name, values in slices.items() if len(values) == place.lengths[event]}


def draw_example(found: Inspection, out: Path) -> None:
    """Write the example event seen along two directions, coloured by its first label, else its signal.

    Raises:
        DataError: no good event.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if found.example is None:
        raise DataError("no good event to draw")
    detector, event = found.detector, found.example
    x, y, z = (event[axis].astype(float) for axis in "xyz")
    column = next((n for n in [*detector.labels, *(s.name for s in detector.signal)] if n in event), None)
    across, name = (np.hypot(x, y), "r") if detector.cylindrical else (y, "y")
    figure = Figure(figsize=(10, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (a, b, names) in zip(figure.subplots(1, 2), ((x, y, "xy"), (z, across, ("z", name)))):
        label = detector.labels.get(column or "")
        if isinstance(label, ClassLabel):
            for value, colour in label.colours().items():
                chosen = event[str(column)] == value
                if chosen.any():
                    axes.scatter(a[chosen], b[chosen], s=3, color=colour, label=label.classes[value].name)
            axes.legend(markerscale=3, fontsize=8)
        else:
            values = None if column is None else event[column].astype(float)
            if label is not None and values is not None:
                values = np.unique(values, return_inverse=True)[1] * 7 % 20  # neighbours in number differ in colour
            axes.scatter(a, b, s=3, c=values, cmap="tab20" if label is not None else "viridis")
        axes.set_xlabel(f"{names[0]} ({detector.coordinates.unit})")
        axes.set_ylabel(f"{names[1]} ({detector.coordinates.unit})")
        axes.set_aspect("equal" if names == "xy" else "auto")
    figure.suptitle(f"{detector.name}: one event, {len(x)} points" + (f", colour: {column}" if column else ""))
    with atomic(out) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
