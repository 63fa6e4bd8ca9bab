"""Colours of points by any column of an event: classes and instances of the detector, signals, coordinates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tpcfm.detectors.model import ClassLabel, Detector, InstanceLabel
from tpcfm.report.draw.panels import Bar, Cloud, Panel, Picture, points

PALETTE = (
    ("#2456a6", "#d1495b", "#2a8a63", "#c98a1b", "#7a5195", "#5b7c99", "#a15c38", "#e07a9a")
    + ("#3fa7a3", "#8a9a2b", "#4b4e9e", "#b5552d", "#6fae3a", "#9c4a86", "#1f7fbf", "#b89b00")
)  # fmt: skip
NOTHING, FAINT, WRONG = "#c9c9c9", "#d3d9e0", "#d1495b"
LEGEND = 40  # most instances with an entry each
Values = npt.NDArray[Any]


def colour_columns(detector: Detector, event: Mapping[str, Any]) -> list[str]:
    """Return what an event can be coloured by, the most telling first; a coordinate only if there is nothing else."""
    kinds = [[*detector.classes()], [*detector.instances()], [signal.name for signal in detector.signal]]
    held = [[name for name in kind if event.get(name) is not None] for kind in kinds]
    first = [kind[0] for kind in held if kind]
    return [*first, *(name for kind in held for name in kind[1:])] or ["z"]


def event_picture(event: Mapping[str, Values], columns: Sequence[str], detector: Detector, title: str = "") -> Picture:
    """Return one event in several colourings.

    Args:
        event: ``x y z`` (N,) in the detector's unit, and every column named.
        columns: labels, signals or coordinates; each is a button of the rotatable form and a panel of the still.
        detector: of the event.
        title: of the picture.
    """
    xyz = points(event)
    size = marker_size(len(xyz))
    panels = []
    for column in columns:
        values, label = np.asarray(event[column]), detector.labels.get(column)
        if isinstance(label, ClassLabel):
            panels.append(Panel(column, class_clouds(xyz, values, label, size, counts=True)))
        elif isinstance(label, InstanceLabel):
            panels.append(Panel(column, _instance_clouds(xyz, label.encode(values), column, size)))
        else:
            grade = Grade.of(values, _with_unit(column, detector), log=column not in "xyz")
            panels.append(Panel(column, [Cloud(xyz, values=grade(values), size=size)], bar=grade.bar))
    return Picture(panels, detector, title=title, alternatives=True)


def marker_size(count: int) -> float:
    """Return the diameter of the markers of so many points."""
    return 3.0 if count <= 3000 else 2.2 if count <= 12_000 else 1.7


def class_clouds(
    xyz: Values, values: Values, label: ClassLabel, size: float = 2.4, *, counts: bool = False
) -> list[Cloud]:
    """Return a cloud per class that is there, in the detector's colours: what is not predicted lies underneath, unknown values are grey."""
    colours, clouds = label.colours(), []
    unknown = sorted(set(np.unique(values).tolist()) - set(label.classes))
    for value in (*unknown, *sorted(label.classes, key=lambda value: value in label.values)):
        chosen = values == value
        if chosen.any():
            name = (
                label.classes[value].name
                if value in label.classes
                else "no class"
                if value == -1
                else f"unknown {value}"
            )
            entry = f"{name} ({int(chosen.sum())})" if counts else name
            clouds.append(Cloud(xyz[chosen], colours.get(value, NOTHING), name=entry, size=size))
    return clouds


def palette(values: Values) -> list[str]:
    """Return a colour per point, the same for equal values."""
    return [PALETTE[k % len(PALETTE)] for k in np.unique(values, return_inverse=True)[1]]


def _instance_clouds(xyz: Values, ids: Values, column: str, size: float) -> list[Cloud]:
    inside = ids >= 0
    found = np.unique(ids[inside])
    colours = np.array(palette(ids[inside]), dtype=object)
    clouds = []
    if not inside.all():
        clouds.append(Cloud(xyz[~inside], NOTHING, name=f"no {column} ({int((~inside).sum())})", size=size))
    if len(found) > LEGEND:
        clouds += [Cloud(xyz[inside], colours.tolist(), size=size)]
    else:
        parts = [ids[inside] == one for one in found]
        clouds += [
            Cloud(xyz[inside][part], colours[part][0], name=f"{column} {one} ({int(part.sum())})", size=size)
            for one, part in zip(found.tolist(), parts)
        ]
    return clouds


def _with_unit(column: str, detector: Detector) -> str:
    unit = detector.coordinates.unit if column in "xyz" else {s.name: s.unit for s in detector.signal}.get(column, "1")
    return column if unit == "1" else f"{column} ({unit})"


@dataclass(frozen=True)
class Grade:
    """How numbers become places on a colour bar."""

    bar: Bar
    floor: float | None
    """Smallest number of a logarithmic bar; None for a linear one."""

    def __call__(self, values: Any) -> npt.NDArray[np.float64]:
        """Return places on the bar."""
        given = np.asarray(values, dtype=np.float64)
        return given if self.floor is None else np.log10(np.maximum(given, self.floor))

    @classmethod
    def of(cls, values: Any, title: str, *, log: bool = True) -> "Grade":
        """Return the bar that fits some numbers; a few extreme ones do not stretch it.

        Args:
            values: numbers.
            title: of the bar.
            log: logarithmic, if none is negative and they span a factor of three.
        """
        given = np.asarray(values, dtype=np.float64)
        positive = given[given > 0]
        low, high = np.quantile(given, (0.005, 0.995)) if len(given) else (0.0, 1.0)
        if log and len(positive) and given.min() >= 0 and high > 3 * np.quantile(positive, 0.005):
            low, high = np.log10(np.quantile(positive, (0.005, 0.995)))
            steps = (1, 2, 5) if high - low < 2.5 else (1,)
            marks = [step * 10.0**k for k in range(int(np.floor(low)), int(np.ceil(high)) + 1) for step in steps]
            ticks = {float(np.log10(v)): f"{v:g}" for v in marks if low <= np.log10(v) <= high}
            return cls(Bar(title, (float(low), float(high)), ticks=ticks), float(positive.min()))
        return cls(Bar(title, (float(low), float(high)) if high > low else None), None)
