"""Still pictures of events for papers and talks (matplotlib): the same colours as the rotatable displays."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tpcfm.files import atomic
from tpcfm.report.draw.displays import DETECTORS, PALETTE
from tpcfm.report.draw.style import INK, MUTED

Event = Mapping[str, npt.NDArray[Any]]


def project(points: npt.NDArray[np.float64], azimuth: float, elevation: float) -> npt.NDArray[np.float64]:
    """Return (N, 3): horizontal, vertical and depth of an orthographic view (angles in degrees)."""
    a, e = np.radians(azimuth), np.radians(elevation)
    turn = np.array([[-np.sin(a), np.cos(a), 0], [0, 0, 1], [np.cos(a), np.sin(a), 0]])
    tilt = np.array([[1, 0, 0], [0, np.cos(e), -np.sin(e)], [0, np.sin(e), np.cos(e)]])
    return points @ (tilt @ turn).T


def draw_event(
    axes: Axes, event: Event, column: str, layout: str, *, azimuth: float = 35, elevation: float = 20, size: float = 2.0
) -> None:
    """Draw one event, coloured by a column, in an orthographic view; nearer points lie on top."""
    detector = DETECTORS[layout]
    view = project(np.stack([event[k].astype(float) for k in "xyz"], 1), azimuth, elevation)
    for x, y, z in ((t.x, t.y, t.z) for t in detector.outline()):
        line = project(np.stack([np.asarray(v, dtype=float) for v in (x, y, z)], 1), azimuth, elevation)
        axes.plot(line[:, 0], line[:, 1], color=MUTED, linewidth=0.5, alpha=0.5, zorder=0)
    order = np.argsort(view[:, 2], kind="stable")
    values = event[column]
    if column == "energy":
        shown = np.log10(np.clip(values, 1e-3, None))
        drawn = axes.scatter(
            view[order, 0], view[order, 1], s=size, c=shown[order], cmap="viridis", linewidths=0, rasterized=True
        )
        axes.figure.colorbar(drawn, ax=axes, shrink=0.6, label=f"log10 {detector.energy_label}")
    else:
        names, colours = detector.names.get(column, {}), detector.colours.get(column, {})
        labels, inverse = np.unique(values, return_inverse=True)
        table = [colours.get(int(v), PALETTE[i % len(PALETTE)] if v >= 0 else "#c9c9c9") for i, v in enumerate(labels)]
        axes.scatter(
            view[order, 0], view[order, 1], s=size, c=np.array(table)[inverse[order]], linewidths=0, rasterized=True
        )
        if names:
            for value, colour in zip(labels.tolist(), table, strict=True):
                axes.scatter([], [], s=24, c=colour, label=names.get(value, str(value)))
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=5, handletextpad=0.2, columnspacing=1.0)
    axes.set_aspect("equal")
    axes.axis("off")


def save_still(path: Path, event: Event, columns: Sequence[str], layout: str, title: str = "") -> None:
    """Write a PNG, SVG or PDF with one panel per column of one event."""
    _save(path, [(column, event, column) for column in columns], layout, title)


def still_figure(panels: Sequence[tuple[str, Event, str]], layout: str, title: str = "") -> Figure:
    """Return a figure with one panel per (heading, event, column)."""
    figure, grid = plt.subplots(1, len(panels), figsize=(6.2 * len(panels), 5.6), layout="constrained", squeeze=False)
    for axes, (name, event, column) in zip(grid[0], panels, strict=True):
        draw_event(axes, event, column, layout)
        axes.set_title(name, color=INK)
    figure.suptitle(title, fontsize=9, color=MUTED)
    return figure


def _save(path: Path, panels: Sequence[tuple[str, Event, str]], layout: str, title: str) -> None:
    figure = still_figure(panels, layout, title)
    with atomic(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=160)
    plt.close(figure)
