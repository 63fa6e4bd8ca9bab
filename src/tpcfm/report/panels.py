"""Three-dimensional pictures side by side, described once and drawn twice: rotatable (plotly) and still (matplotlib).

A picture is a row of panels with one camera; a panel holds clouds of points (and lines) in one colour, or coloured by a
value on a common colour bar. Values may have several versions (for example one per attention head): a menu in the rotatable
form, one of them in the still.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from plotly.subplots import make_subplots

from tpcfm.files import atomic
from tpcfm.report.displays import AXIS, CAMERA, FONT, Detector
from tpcfm.report.style import INK, MUTED

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
class Panel:
    """One view: a title, lines of text under it, and what is drawn."""

    title: str
    clouds: Sequence[Cloud]
    text: Sequence[str] = ()


@dataclass(frozen=True)
class Picture:
    """Panels side by side.

    Attributes:
        detector: outline and unit of the axes; None for axes without either (projections).
        bar: title of the colour bar, "" for none; ``limits`` its range (from the values unless given).
        zoom: show only the space that the points take, without the outline.
        versions: names of the versions of the values, the first shown; ``menu`` says what they are.
    """

    panels: Sequence[Panel]
    detector: Detector | None
    bar: str = ""
    limits: tuple[float, float] | None = None
    scale: str = "Viridis"
    zoom: bool = False
    versions: Sequence[str] = ()
    menu: str = ""
    title: str = ""
    ticks: Mapping[float, str] = field(default_factory=dict)

    def range(self, version: str | None = None) -> tuple[float, float]:
        """Return the limits of the colour bar."""
        if self.limits:
            return self.limits
        found = [c.version(version) for p in self.panels for c in p.clouds if c.values is not None]
        return min(float(v.min()) for v in found if v is not None), max(float(v.max()) for v in found if v is not None)


def rotatable(picture: Picture, height: int = 520) -> go.Figure:
    """Return the plotly figure of a picture; the page turns all its scenes together."""
    count = len(picture.panels)
    figure = make_subplots(1, count, specs=[[{"type": "scene"}] * count], horizontal_spacing=0.01)
    lines = max(1 + len(panel.text) for panel in picture.panels)
    shown: set[str] = set()
    coloured: list[tuple[int, Cloud]] = []
    bar = {"title": {"text": picture.bar, "side": "right"}, "thickness": 12, "len": 0.75, "x": 1.0}
    if picture.ticks:
        bar |= {"tickvals": list(picture.ticks), "ticktext": list(picture.ticks.values())}
    for number, panel in enumerate(picture.panels):
        if picture.detector and not picture.zoom:
            figure.add_traces(picture.detector.outline(), rows=1, cols=number + 1)
        for cloud in panel.clouds:
            look: dict[str, Any] = {"color": cloud.colour}
            if cloud.values is not None:
                low, high = picture.range()
                look = {"color": _small(cloud.version(None)), "colorscale": picture.scale, "cmin": low, "cmax": high}
                if not coloured and picture.bar:
                    look |= {"colorbar": bar, "showscale": True}
                coloured.append((len(figure.data), cloud))
            xyz = [_small(column) for column in np.asarray(cloud.xyz).T]
            trace = go.Scatter3d(
                x=xyz[0], y=xyz[1], z=xyz[2], name=cloud.name, opacity=cloud.opacity,
                mode="lines" if cloud.line else "markers",
                marker=None if cloud.line else {"size": cloud.size, "line": {"width": 0}, **look},
                line={"width": cloud.size, **look} if cloud.line else None,
                showlegend=bool(cloud.name) and cloud.name not in shown, legendgroup=cloud.name or None,
                hovertemplate=f"%{{x:.1f}}, %{{y:.1f}}, %{{z:.1f}}<extra>{cloud.name}</extra>",
            )  # fmt: skip
            shown.add(cloud.name)
            figure.add_trace(trace, row=1, col=number + 1)
    menus = [_menu(picture, coloured)] if picture.versions else []
    legend = any(shown)
    top = (26 if picture.title else 0) + 17 * lines + 12 + (38 if menus else 0)
    # Paper coordinates of the scenes' upper edge: the titles stand right above it.
    figure.update_layout(
        title={"text": picture.title, "font": {"size": 14, "color": INK}, "x": 0.01, "y": 0.985, "yanchor": "top"},
        height=height + top,
        margin={"l": 0, "r": 8 if not picture.bar else 70, "t": top, "b": 30 if legend else 0},
        paper_bgcolor="white",
        font=FONT,
        legend={"orientation": "h", "itemsizing": "constant", "x": 0.5, "xanchor": "center", "y": 0, "yanchor": "top", "font": {"size": 11}},
        updatemenus=menus,
        meta={"linked": count > 1},
        annotations=[
            {
                "text": "<br>".join([f"<b>{panel.title}</b>", *panel.text]),
                "x": (number + 0.5) / count,
                "y": 1.0,
                "xref": "paper",
                "yref": "paper",
                "xanchor": "center",
                "yanchor": "bottom",
                "showarrow": False,
                "font": {"size": 12, "color": INK},
                "align": "center",
            }
            for number, panel in enumerate(picture.panels)
        ],
    )  # fmt: skip
    unit = f" ({picture.detector.unit})" if picture.detector else ""
    names = "xyz" if picture.detector else ("1", "2", "3")
    few = {"nticks": 4, "tickfont": {"size": 10}}
    axes = {
        f"{a}axis": {**AXIS, **few, "title": {"text": f"{n}{unit}", "font": {"size": 11}}}
        for a, n in zip("xyz", names, strict=True)
    }
    figure.update_scenes(aspectmode="data", camera=CAMERA, **axes)
    return figure


def _menu(picture: Picture, coloured: Sequence[tuple[int, Cloud]]) -> dict[str, Any]:
    buttons = []
    for name in picture.versions:
        low, high = picture.range(name)
        change = {
            "marker.color": [_small(cloud.version(name)) for _, cloud in coloured],
            "marker.cmin": low,
            "marker.cmax": high,
        }
        buttons.append({"label": name, "method": "restyle", "args": [change, [index for index, _ in coloured]]})
    place = {"x": 0.005, "y": 1.0, "xanchor": "left", "yanchor": "bottom", "pad": {"b": 26}}
    return {"type": "dropdown", "direction": "down", "showactive": True, **place, "buttons": buttons}


def _small(values: Array | None) -> Array:
    """Return values in a type that is written in few bytes."""
    return np.asarray(values, dtype=np.float32)


def draw_panel(axes: Axes, panel: Panel, picture: Picture, azimuth: float, elevation: float, size: float) -> Any:
    """Draw one panel; return what the colour bar belongs to, if anything."""
    from tpcfm.report.stills import project

    outline = picture.detector.outline() if picture.detector and not picture.zoom else []
    for x, y, z in ((t.x, t.y, t.z) for t in outline):
        line = project(np.stack([np.asarray(v, dtype=float) for v in (x, y, z)], 1), azimuth, elevation)
        axes.plot(line[:, 0], line[:, 1], color=MUTED, linewidth=0.5, alpha=0.5, zorder=0)
    drawn = None
    for level, cloud in enumerate(panel.clouds):
        if not len(cloud.xyz):
            continue
        view = project(np.asarray(cloud.xyz, dtype=float), azimuth, elevation)
        values = cloud.version(None)
        order = np.argsort(view[:, 2], kind="stable")
        if cloud.line:
            drawn = _draw_line(axes, view, cloud, values, picture) or drawn
            continue
        shared: dict[str, Any] = {
            "s": size * (cloud.size / 2.4) ** 2,
            "linewidths": 0,
            "alpha": cloud.opacity,
            "zorder": 2 + level,
        }
        shared["rasterized"] = len(view) > 400
        if values is None:
            colour = cloud.colour if isinstance(cloud.colour, str) else np.asarray(cloud.colour)[order]
            axes.scatter(view[order, 0], view[order, 1], c=colour, label=cloud.name or None, **shared)
        else:
            low, high = picture.range()
            drawn = axes.scatter(
                view[order, 0], view[order, 1], c=np.asarray(values)[order], cmap=picture.scale.lower(), vmin=low, vmax=high, **shared
            )  # fmt: skip
    axes.set_aspect("equal")
    axes.axis("off")
    axes.set_title("\n".join([panel.title, *panel.text]), color=INK, fontsize=9, loc="center", fontweight="normal")
    return drawn


def _draw_line(axes: Axes, view: Array, cloud: Cloud, values: Array | None, picture: Picture) -> Any:
    from matplotlib.collections import LineCollection

    pieces = np.stack([view[:-1, :2], view[1:, :2]], 1)
    if values is None:
        axes.add_collection(LineCollection(list(pieces), colors=[str(cloud.colour)], linewidths=0.6 * cloud.size))
        axes.autoscale_view()
        return None
    lines = LineCollection(list(pieces), cmap=picture.scale.lower(), linewidths=0.35 * cloud.size)
    lines.set_array(np.asarray(values)[:-1])
    lines.set_clim(*picture.range())
    axes.add_collection(lines)
    axes.autoscale_view()
    return lines


def still(
    picture: Picture, *, width: float = 4.2, height: float = 4.4, azimuth: float = 40, elevation: float = 22
) -> Figure:
    """Return the matplotlib figure of a picture."""
    count = len(picture.panels)
    figure, grid = plt.subplots(1, count, figsize=(width * count, height), layout="constrained", squeeze=False)
    figure.set_dpi(130)
    drawn = None
    for axes, panel in zip(grid[0], picture.panels, strict=True):
        drawn = draw_panel(axes, panel, picture, azimuth, elevation, size=3.2) or drawn
    if drawn is not None and picture.bar:
        bar = figure.colorbar(drawn, ax=list(grid[0]), shrink=0.6, label=picture.bar)
        if picture.ticks:
            bar.set_ticks(list(picture.ticks), labels=list(picture.ticks.values()))
    entries: dict[str, Any] = {}
    for axes in grid[0]:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if 0 < len(entries) <= 12:
        figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=6, markerscale=2.5)
    heading = [picture.title] + ([f"{picture.menu} {picture.versions[0]}".strip()] if picture.versions else [])
    if any(heading):
        figure.suptitle(textwrap.fill(", ".join(h for h in heading if h), 110), fontsize=9, color=MUTED)
    return figure


def save_picture(picture: Picture, path: Path) -> None:
    """Write a picture: ``.html`` is rotatable and opens without a network, ``.png .svg .pdf`` are stills."""
    from tpcfm.files import write_text
    from tpcfm.report.displays import LINK_CAMERAS

    if path.suffix == ".html":
        html = rotatable(picture, 640).to_html(
            include_plotlyjs=True,
            config={"displaylogo": False},
            post_script=LINK_CAMERAS + "linkCameras(document.getElementById('{plot_id}'));",
        )
        write_text(path, html)
        return
    figure = still(picture)
    with atomic(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=170)
    plt.close(figure)
