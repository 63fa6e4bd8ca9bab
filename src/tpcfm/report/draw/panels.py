"""Pictures in three dimensions, described once and drawn twice: rotatable (plotly) and still (matplotlib).

A picture is a row of panels with one camera; a panel holds clouds of points (and lines) in one colour, or coloured by a
value on a colour bar. Values may have several versions (for example one per attention head): a menu in the rotatable
form, one of them in the still.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tpcfm.detectors.model import Detector
from tpcfm.report.draw.style import INK
from tpcfm.report.draw.volume import Lines, outline

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Cloud:
    """Points of one panel.

    Attributes:
        xyz: (N, 3) in the detector's unit.
        colour: one colour; or (N,) colours; ignored with values.
        values: (N,) numbers for the colour bar, or several versions of them by name.
        name: entry of the legend; "" for none. Equal names of different panels share one entry.
        size: diameter of the markers in pixels.
        line: join the points in their order.
    """

    xyz: Array
    colour: str | Sequence[str] = INK
    values: Array | Mapping[str, Array] | None = None
    name: str = ""
    size: float = 2.4
    line: bool = False
    opacity: float = 1.0

    def version(self, name: str | None) -> Array | None:
        """Return the values of a version, or the only ones."""
        if isinstance(self.values, Mapping):
            return self.values[name] if name is not None else next(iter(self.values.values()))
        return self.values


@dataclass(frozen=True)
class Bar:
    """A colour bar: title, range (from the values unless given), colour map, labels at some values."""

    title: str = ""
    limits: tuple[float, float] | None = None
    scale: str = "Viridis"
    ticks: Mapping[float, str] = field(default_factory=dict)

    def range(self, clouds: Sequence[Cloud], version: str | None = None) -> tuple[float, float]:
        """Return the limits."""
        found = [v for v in (c.version(version) for c in clouds) if v is not None and len(v)]
        if self.limits or not found:
            return self.limits or (0.0, 1.0)
        return min(float(v.min()) for v in found), max(float(v.max()) for v in found)


@dataclass(frozen=True)
class Panel:
    """One view: a title, what is drawn, lines of text under the title, and a colour bar of its own."""

    title: str
    clouds: Sequence[Cloud]
    text: Sequence[str] = ()
    bar: Bar | None = None


@dataclass(frozen=True)
class Picture:
    """Panels side by side.

    Attributes:
        detector: outline and unit of the axes; None for axes without either (projections).
        bar: colour bar common to all panels.
        zoom: show only the space that the points take, without the outline.
        alternatives: the panels show the same points: one scene with a button for each; side by side in the still.
        versions: names of the versions of the values; ``first`` is shown at first (and in stills), ``menu`` says what they are.
    """

    panels: Sequence[Panel]
    detector: Detector | None
    bar: Bar | None = None
    zoom: bool = False
    alternatives: bool = False
    versions: Sequence[str] = ()
    first: str | None = None
    menu: str = ""
    title: str = ""

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the panels."""
        count = len(self.panels)
        if self.alternatives:  # of the still; the rotatable form has one scene
            return (2, 2) if count == 4 else (-(-count // 3), min(count, 3))
        return (1, count) if count <= 3 else (-(-count // 2), 2)

    @property
    def outline(self) -> Lines:
        """Lines of the volume, if it is shown."""
        return outline(self.detector) if self.detector and not self.zoom else []

    def colours(self, panel: Panel) -> tuple[Bar, tuple[float, float]]:
        """Return the colour bar that a panel is drawn with, and its range."""
        bar = panel.bar or self.bar or Bar()
        shown = panel.clouds if panel.bar else [c for p in self.panels for c in p.clouds]
        return bar, bar.range(shown, self.first)

    def limits(self) -> list[tuple[float, float]]:
        """Return the range of each axis, common to all panels: the volume, or what the points take of it."""
        clouds = [np.asarray(c.xyz, dtype=float) for p in self.panels for c in p.clouds if len(c.xyz)]
        every = np.concatenate([*clouds, *self.outline]) if clouds or self.outline else np.zeros((1, 3))
        low, high = every.min(0), every.max(0)
        # No axis is thinner than a fifth of the longest, or a flat event would be a line.
        pad = np.maximum(0.02 * (high - low), (0.2 * (high - low).max() - (high - low)) / 2).clip(min=1e-6)
        return [(float(a), float(b)) for a, b in zip(low - pad, high + pad, strict=True)]


def points(event: Mapping[str, Any] | pd.DataFrame, prefix: str = "") -> npt.NDArray[np.float32]:
    """Return (N, 3) coordinates of the columns ``<prefix>x y z``."""
    return np.stack([np.asarray(event[prefix + axis], dtype=np.float32) for axis in "xyz"], axis=1)
