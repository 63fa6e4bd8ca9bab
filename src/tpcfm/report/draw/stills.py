"""Still pictures for papers and talks (matplotlib): the same panels and colours as the rotatable form."""

import textwrap
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from tpcfm.files import atomic, write_text
from tpcfm.report.draw.panels import Array, Cloud, Panel, Picture
from tpcfm.report.draw.policy import with_policy
from tpcfm.report.draw.rotatable import CONFIG, LINK_CAMERAS, rotatable
from tpcfm.report.draw.style import INK, MUTED

LEGEND = 12  # most entries of a legend


def project(points: npt.NDArray[np.float64], azimuth: float, elevation: float) -> npt.NDArray[np.float64]:
    """Return (N, 3): horizontal, vertical and depth of an orthographic view (angles in degrees)."""
    a, e = np.radians(azimuth), np.radians(elevation)
    turn = np.array([[-np.sin(a), np.cos(a), 0], [0, 0, 1], [np.cos(a), np.sin(a), 0]])
    tilt = np.array([[1, 0, 0], [0, np.cos(e), -np.sin(e)], [0, np.sin(e), np.cos(e)]])
    return points @ (tilt @ turn).T


def draw_panel(
    axes: Axes, panel: Panel, picture: Picture, azimuth: float = 40, elevation: float = 22, size: float = 3.2
) -> Any:
    """Draw one panel, nearer points on top; return what the colour bar belongs to, if anything."""
    for points in picture.outline:
        line = project(points, azimuth, elevation)
        axes.plot(line[:, 0], line[:, 1], color=MUTED, linewidth=0.5, alpha=0.5, zorder=0)
    bar, (low, high) = picture.colours(panel)
    drawn = None
    for level, cloud in enumerate(c for c in panel.clouds if len(c.xyz)):
        view = project(np.asarray(cloud.xyz, dtype=float), azimuth, elevation)
        values = cloud.version(picture.first)
        colour: dict[str, Any] = {"cmap": bar.scale.lower(), "clim": (low, high)}
        if cloud.line:
            drawn = _draw_line(axes, view, cloud, values, colour) or drawn
            continue
        order = np.argsort(view[:, 2], kind="stable")
        shown = axes.scatter(
            view[order, 0],
            view[order, 1],
            s=size * (cloud.size / 2.4) ** 2,
            linewidths=0,
            alpha=cloud.opacity,
            zorder=2 + level,
            rasterized=len(view) > 400,
            label=cloud.name or None,
            c=cloud.colour if isinstance(cloud.colour, str) and values is None else _ordered(cloud, values, order),
            **(colour if values is not None else {}),
        )
        drawn = shown if values is not None else drawn
    axes.set_aspect("equal")
    axes.axis("off")
    axes.set_title("\n".join([panel.title, *panel.text]), color=INK, fontsize=9, loc="center", fontweight="normal")
    return drawn


def _ordered(cloud: Cloud, values: Array | None, order: Array) -> Array:
    return np.asarray(cloud.colour if values is None else values)[order]


def _draw_line(axes: Axes, view: Array, cloud: Cloud, values: Array | None, colour: dict[str, Any]) -> Any:
    pieces = list(np.stack([view[:-1, :2], view[1:, :2]], 1))
    if values is None:
        lines = LineCollection(pieces, colors=[str(cloud.colour)], linewidths=0.6 * cloud.size)
    else:
        lines = LineCollection(pieces, array=np.asarray(values)[:-1], linewidths=0.35 * cloud.size, **colour)
    axes.add_collection(lines)
    axes.autoscale_view()
    return None if values is None else lines


def still(
    picture: Picture, *, width: float = 4.2, height: float = 4.4, azimuth: float = 40, elevation: float = 22
) -> Figure:
    """Return the matplotlib figure of a picture."""
    rows, columns = picture.grid
    figure, grid = plt.subplots(
        rows, columns, figsize=(width * columns, height * rows), layout="constrained", squeeze=False
    )
    figure.set_dpi(130)
    for axes in grid.flat[len(picture.panels) :]:
        axes.axis("off")
    corners = np.array(np.meshgrid(*picture.limits())).reshape(3, -1).T
    extent = project(corners, azimuth, elevation)
    common = None
    for axes, panel in zip(grid.flat, picture.panels, strict=False):
        drawn = draw_panel(axes, panel, picture, azimuth, elevation)
        axes.set_xlim(extent[:, 0].min(), extent[:, 0].max())
        axes.set_ylim(extent[:, 1].min(), extent[:, 1].max())
        if drawn is not None and panel.bar:
            _colour_bar(figure, drawn, [axes], picture, panel)
        elif drawn is not None:
            common = drawn, panel
        if picture.alternatives and 0 < len(axes.get_legend_handles_labels()[1]) <= LEGEND:
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0.02), ncols=3, fontsize=7.5, markerscale=2.5)
    if common is not None and picture.bar:
        _colour_bar(figure, common[0], list(grid.flat), picture, common[1])
    entries: dict[str, Any] = {}
    for axes in [] if picture.alternatives else grid.flat:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if 0 < len(entries) <= LEGEND:
        figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=6, markerscale=2.5)
    version = f"{picture.menu} {picture.first or picture.versions[0]}".strip() if picture.versions else ""
    if picture.title or version:
        heading = ", ".join(part for part in (picture.title, version) if part)
        figure.suptitle(textwrap.fill(heading, 110), fontsize=9, color=MUTED)
    return figure


def _colour_bar(figure: Figure, drawn: Any, axes: list[Axes], picture: Picture, panel: Panel) -> None:
    about, (low, high) = picture.colours(panel)
    bar = figure.colorbar(drawn, ax=axes, shrink=0.6, label=about.title)
    inside = {at: name for at, name in about.ticks.items() if low <= at <= high}
    if inside:
        bar.set_ticks(list(inside), labels=list(inside.values()))


def save_picture(picture: Picture, path: Path) -> None:
    """Write a picture: ``.html`` is rotatable and opens without a network, ``.png .svg .pdf`` are stills."""
    if path.suffix == ".html":
        link = LINK_CAMERAS + "linkCameras(document.getElementById('{plot_id}'));"
        figure = rotatable(picture, 720 if picture.alternatives else 520)
        write_text(path, with_policy(figure.to_html(include_plotlyjs=True, config=CONFIG, post_script=link)))
        return
    figure = still(picture)
    with atomic(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=170)
    plt.close(figure)
