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
from tpcfm.report.draw.displays import AXIS, CAMERA, CONFIG, FONT, MODEBAR, Detector
from tpcfm.report.draw.stills import project
from tpcfm.report.draw.style import INK, MUTED

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
        versions: names of the versions of the values; ``first`` is shown at first (and in stills), ``menu`` says what they are.
    """

    panels: Sequence[Panel]
    detector: Detector | None
    bar: str = ""
    limits: tuple[float, float] | None = None
    scale: str = "Viridis"
    zoom: bool = False
    versions: Sequence[str] = ()
    first: str | None = None
    menu: str = ""
    title: str = ""
    ticks: Mapping[float, str] = field(default_factory=dict)

    def range(self, version: str | None = None) -> tuple[float, float]:
        """Return the limits of the colour bar."""
        if self.limits:
            return self.limits
        found = [c.version(version) for p in self.panels for c in p.clouds if c.values is not None]
        return min(float(v.min()) for v in found if v is not None), max(float(v.max()) for v in found if v is not None)


def rotatable(picture: Picture, height: int = 420) -> go.Figure:
    """Return the plotly figure of a picture, up to three panels in a row; the page turns all its scenes together.

    Args:
        picture: what to draw.
        height: pixels of a row of panels, without the titles.
    """
    count = len(picture.panels)
    rows, columns = (1, count) if count <= 3 else (-(-count // 2), 2)
    heading = 17 * max(1 + len(panel.text) for panel in picture.panels) + 12
    inside = rows * height + (rows - 1) * heading
    figure = make_subplots(
        rows,
        columns,
        specs=[[{"type": "scene"}] * columns] * rows,
        horizontal_spacing=0.01,
        vertical_spacing=heading / inside,
    )
    shown: set[str] = set()
    coloured: list[tuple[int, Cloud]] = []
    bar = {"title": {"text": picture.bar, "side": "right"}, "thickness": 12, "lenmode": "pixels", "len": 280, "x": 1.0}
    if picture.ticks:
        bar |= {"tickvals": list(picture.ticks), "ticktext": list(picture.ticks.values())}
    for number, panel in enumerate(picture.panels):
        place = {"row": number // columns + 1, "col": number % columns + 1}
        for trace in picture.detector.outline() if picture.detector and not picture.zoom else []:
            figure.add_trace(trace, **place)
        for cloud in panel.clouds:
            look: dict[str, Any] = {"color": cloud.colour}
            if cloud.values is not None:
                low, high = picture.range()
                look = {
                    "color": _small(cloud.version(picture.first)),
                    "colorscale": picture.scale,
                    "cmin": low,
                    "cmax": high,
                }
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
            figure.add_trace(trace, **place)
    menus = [_menu(picture, coloured)] if picture.versions else []
    legend = any(shown)
    top = (26 if picture.title else 0) + heading + (38 if menus else 0)
    bottom = 30 if legend else 0
    figure.update_layout(
        title={"text": picture.title, "font": {"size": 14, "color": INK}, "x": 0.01, "y": 0.985, "yanchor": "top"},
        height=inside + top + bottom,
        margin={"l": 0, "r": 8 if not picture.bar else 84, "t": top, "b": bottom},
        paper_bgcolor="white",
        font=FONT,
        modebar=MODEBAR,
        legend={"orientation": "h", "itemsizing": "constant", "x": 0.5, "xanchor": "center", "y": 0, "yanchor": "top", "font": {"size": 11}},
        updatemenus=menus,
        meta={"linked": count > 1},
    )  # fmt: skip
    limits, names = _limits(picture), "xyz" if picture.detector else "123"
    unit = f" ({picture.detector.unit})" if picture.detector else ""
    axes = {
        f"{a}axis": {
            **AXIS,
            "nticks": 4,
            "tickfont": {"size": 10},
            "range": list(limit),
            "title": {"text": f"{n}{unit}", "font": {"size": 11}},
        }
        for a, n, limit in zip("xyz", names, limits, strict=True)
    }
    # A camera fits the height of a scene: step back where scenes are narrower than high.
    back = 1.25 if columns == 3 else 1.0
    camera = {**CAMERA, "eye": {axis: back * value for axis, value in CAMERA["eye"].items()}}
    figure.update_scenes(aspectmode="data", camera=camera, **axes)
    for number, panel in enumerate(picture.panels):
        domain = figure.layout[f"scene{number + 1 if number else ''}"].domain
        figure.add_annotation(
            text="<br>".join([f"<b>{panel.title}</b>", *panel.text]),
            x=(domain.x[0] + domain.x[1]) / 2,
            y=domain.y[1],
            xref="paper",
            yref="paper",
            xanchor="center",
            yanchor="bottom",
            showarrow=False,
            font={"size": 12, "color": INK},
            align="center",
        )
    return figure


def _limits(picture: Picture) -> list[tuple[float, float]]:
    """Return the range of each axis, common to all panels: the volume, or what the points take of it."""
    clouds = [np.asarray(c.xyz, dtype=float) for p in picture.panels for c in p.clouds if len(c.xyz)]
    if picture.detector and not picture.zoom:
        lines = picture.detector.outline()
        clouds += [np.stack([np.asarray(t[a], dtype=float) for a in "xyz"], 1) for t in lines]
    every = np.concatenate(clouds) if clouds else np.zeros((1, 3))
    low, high = every.min(0), every.max(0)
    # No axis is thinner than a fifth of the longest, or a flat event would be a line.
    pad = np.maximum(0.02 * (high - low), (0.2 * (high - low).max() - (high - low)) / 2).clip(min=1e-6)
    return [(float(a), float(b)) for a, b in zip(low - pad, high + pad, strict=True)]


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
    active = list(picture.versions).index(picture.first) if picture.first else 0
    return {"type": "dropdown", "direction": "down", "showactive": True, "active": active, **place, "buttons": buttons}


def _small(values: Array | None) -> Array:
    """Return values in a type that is written in few bytes."""
    return np.asarray(values, dtype=np.float32)


def draw_panel(axes: Axes, panel: Panel, picture: Picture, azimuth: float, elevation: float, size: float) -> Any:
    """Draw one panel; return what the colour bar belongs to, if anything."""
    outline = picture.detector.outline() if picture.detector and not picture.zoom else []
    for x, y, z in ((t.x, t.y, t.z) for t in outline):
        line = project(np.stack([np.asarray(v, dtype=float) for v in (x, y, z)], 1), azimuth, elevation)
        axes.plot(line[:, 0], line[:, 1], color=MUTED, linewidth=0.5, alpha=0.5, zorder=0)
    drawn = None
    for level, cloud in enumerate(panel.clouds):
        if not len(cloud.xyz):
            continue
        view = project(np.asarray(cloud.xyz, dtype=float), azimuth, elevation)
        values = cloud.version(picture.first)
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
    rows, columns = (1, count) if count <= 4 else (-(-count // 3), 3)
    figure, grid = plt.subplots(
        rows, columns, figsize=(width * columns, height * rows), layout="constrained", squeeze=False
    )
    figure.set_dpi(130)
    drawn = None
    for axes in grid.flat[count:]:
        axes.axis("off")
    corners = np.array(np.meshgrid(*_limits(picture))).reshape(3, -1).T
    extent = project(corners, azimuth, elevation)
    for axes, panel in zip(grid.flat, picture.panels, strict=False):
        drawn = draw_panel(axes, panel, picture, azimuth, elevation, size=3.2) or drawn
        axes.set_xlim(extent[:, 0].min(), extent[:, 0].max())
        axes.set_ylim(extent[:, 1].min(), extent[:, 1].max())
    if drawn is not None and picture.bar:
        bar = figure.colorbar(drawn, ax=list(grid.flat), shrink=0.6, label=picture.bar)
        if picture.ticks:
            low, high = picture.range()
            inside = {at: name for at, name in picture.ticks.items() if low <= at <= high}
            bar.set_ticks(list(inside), labels=list(inside.values()))
    entries: dict[str, Any] = {}
    for axes in grid.flat:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if 0 < len(entries) <= 12:
        figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=6, markerscale=2.5)
    heading = [picture.title] + (
        [f"{picture.menu} {picture.first or picture.versions[0]}".strip()] if picture.versions else []
    )
    if any(heading):
        figure.suptitle(textwrap.fill(", ".join(h for h in heading if h), 110), fontsize=9, color=MUTED)
    return figure


def save_picture(picture: Picture, path: Path) -> None:
    """Write a picture: ``.html`` is rotatable and opens without a network, ``.png .svg .pdf`` are stills."""
    from tpcfm.files import write_text
    from tpcfm.report.draw.displays import LINK_CAMERAS

    if path.suffix == ".html":
        html = rotatable(picture, 520).to_html(
            include_plotlyjs=True,
            config=CONFIG,
            post_script=LINK_CAMERAS + "linkCameras(document.getElementById('{plot_id}'));",
        )
        write_text(path, html)
        return
    figure = still(picture)
    with atomic(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=170)
    plt.close(figure)
