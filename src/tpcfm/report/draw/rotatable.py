"""A picture as a rotatable plotly figure; all its scenes turn together."""

from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from tpcfm.report.draw.panels import Array, Cloud, Panel, Picture
from tpcfm.report.draw.style import GRID, INK, MUTED

AXIS: dict[str, Any] = {"backgroundcolor": "white", "gridcolor": GRID, "zerolinecolor": GRID, "color": MUTED}
EYE = {"x": 1.55, "y": 1.55, "z": 0.8}
CONFIG: dict[str, Any] = {
    "displaylogo": False,
    "responsive": True,
    "modeBarButtons": [["toImage", "orbitRotation", "pan3d", "resetCameraDefault3d"]],
}
LINK_CAMERAS = """
function linkCameras(figure) {
  if (!figure.layout.meta || !figure.layout.meta.linked) return;
  let busy = false;
  figure.on("plotly_relayout", change => {
    const key = Object.keys(change).find(name => /^scene[0-9]*[.]camera$/.test(name));
    if (!key || busy) return;
    const update = {};
    Object.keys(figure._fullLayout).filter(name => /^scene[0-9]*$/.test(name)).forEach(name => {
      if (name + ".camera" !== key) update[name + ".camera"] = change[key];
    });
    busy = true;
    Plotly.relayout(figure, update).then(() => { busy = false; });
  });
}
"""
"""Turns all scenes of a figure whose ``layout.meta.linked`` is true together."""


def rotatable(picture: Picture, height: int = 420) -> go.Figure:
    """Return the plotly figure of a picture, up to three panels in a row; alternatives share one scene and have buttons.

    Args:
        picture: what to draw.
        height: pixels of a row of panels, without the titles.
    """
    rows, columns = (1, 1) if picture.alternatives else picture.grid
    heading = 10 if picture.alternatives else 17 * max(1 + len(panel.text) for panel in picture.panels) + 12
    inside = rows * height + (rows - 1) * heading
    figure = make_subplots(
        rows,
        columns,
        specs=[[{"type": "scene"}] * columns] * rows,
        horizontal_spacing=0.01,
        vertical_spacing=heading / inside,
    )
    owners: list[int] = []  # panel of each trace, -1 for what is always shown
    clouds: list[Cloud | None] = []
    legend: set[str] = set()
    for number, panel in enumerate(picture.panels):
        cell = 0 if picture.alternatives else number
        place = {"row": cell // columns + 1, "col": cell % columns + 1}
        if picture.outline and (number == 0 or not picture.alternatives):
            figure.add_trace(_outline(picture), **place)
            owners.append(-1)
            clouds.append(None)
        for cloud in panel.clouds:
            first = not any(c is not None and c.values is not None for c in clouds)
            trace = _trace(picture, panel, cloud, bar=bool(panel.bar) or first)
            trace.showlegend = bool(cloud.name) and cloud.name not in legend
            trace.visible = not picture.alternatives or number == 0
            legend |= {cloud.name} if cloud.name else set()
            figure.add_trace(trace, **place)
            owners.append(number)
            clouds.append(cloud)
    _lay_out(figure, picture, (inside, heading), bool(legend), _menus(picture, owners, clouds))
    _axes(figure, picture, columns)
    for number, panel in enumerate([] if picture.alternatives else picture.panels):
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
        )
    return figure


def _outline(picture: Picture) -> go.Scatter3d:
    gap = np.full((1, 3), np.nan)
    x, y, z = np.concatenate([part for line in picture.outline for part in (line, gap)]).T
    style = {"color": MUTED, "width": 1}
    return go.Scatter3d(
        x=x, y=y, z=z, mode="lines", line=style, opacity=0.5, hoverinfo="skip", showlegend=False, name="outline"
    )


def _trace(picture: Picture, panel: Panel, cloud: Cloud, *, bar: bool) -> go.Scatter3d:
    look: dict[str, Any] = {"color": cloud.colour}
    if cloud.values is not None:
        about, (low, high) = picture.colours(panel)
        look = {"color": _small(cloud.version(picture.first)), "colorscale": about.scale, "cmin": low, "cmax": high}
        if bar and about.title:
            shown = {"title": {"text": about.title, "side": "right"}, "thickness": 12, "lenmode": "pixels", "len": 280}
            if about.ticks:
                shown |= {"tickvals": list(about.ticks), "ticktext": list(about.ticks.values())}
            look |= {"colorbar": {**shown, "x": 1.0}, "showscale": True}
    x, y, z = (_small(column) for column in np.asarray(cloud.xyz).T)
    return go.Scatter3d(
        x=x, y=y, z=z, name=cloud.name, opacity=cloud.opacity,
        mode="lines" if cloud.line else "markers",
        marker=None if cloud.line else {"size": cloud.size, "line": {"width": 0}, **look},
        line={"width": cloud.size, **look} if cloud.line else None,
        legendgroup=cloud.name or None,
        hovertemplate=f"%{{x:.1f}}, %{{y:.1f}}, %{{z:.1f}}<extra>{cloud.name}</extra>",
    )  # fmt: skip


def _menus(picture: Picture, owners: list[int], clouds: list[Cloud | None]) -> list[dict[str, Any]]:
    place = {"x": 0.005, "y": 1.0, "xanchor": "left", "yanchor": "bottom"}
    if picture.alternatives and len(picture.panels) > 1:
        buttons = [
            {"label": p.title, "method": "update", "args": [{"visible": [owner in (-1, number) for owner in owners]}]}
            for number, p in enumerate(picture.panels)
        ]
        return [{"type": "buttons", "direction": "right", **place, "buttons": buttons}]
    if not picture.versions:
        return []
    coloured = [(at, cloud) for at, cloud in enumerate(clouds) if cloud is not None and cloud.values is not None]
    menu: list[dict[str, Any]] = []
    for name in picture.versions:
        low, high = (picture.bar or picture.colours(picture.panels[0])[0]).range([c for _, c in coloured], name)
        values = [_small(cloud.version(name)) for _, cloud in coloured]
        change = {"marker.color": values, "marker.cmin": low, "marker.cmax": high}
        menu.append({"label": name, "method": "restyle", "args": [change, [at for at, _ in coloured]]})
    active = list(picture.versions).index(picture.first) if picture.first else 0
    style = {"type": "dropdown", "direction": "down", "showactive": True, "active": active, "pad": {"b": 26}}
    return [{**style, **place, "buttons": menu}]


def _lay_out(
    figure: go.Figure, picture: Picture, size: tuple[int, int], legend: bool, menus: list[dict[str, Any]]
) -> None:
    inside, heading = size
    below = legend and not picture.alternatives
    top = (26 if picture.title else 0) + heading + (38 if menus else 0)
    where = (
        {"orientation": "h", "x": 0.5, "xanchor": "center", "y": 0, "yanchor": "top"}
        if below
        else {"x": 0.97, "xanchor": "right", "y": 0.97, "yanchor": "top", "bgcolor": "rgba(255,255,255,0.7)"}
    )
    bars = picture.bar or any(panel.bar for panel in picture.panels)
    figure.update_layout(
        title={"text": picture.title, "font": {"size": 14, "color": INK}, "x": 0.01, "y": 0.985, "yanchor": "top"},
        height=inside + top + (30 if below else 0),
        margin={"l": 0, "r": 84 if bars else 8, "t": top, "b": 30 if below else 0},
        paper_bgcolor="white",
        font={"family": "system-ui, sans-serif", "size": 12, "color": INK},
        modebar={"orientation": "v", "bgcolor": "rgba(255,255,255,0)", "color": "#b8c0c9", "activecolor": MUTED},
        legend={"itemsizing": "constant", "font": {"size": 11}, **where},
        updatemenus=menus,
        meta={"linked": len(picture.panels) > 1 and not picture.alternatives},
    )


def _axes(figure: go.Figure, picture: Picture, columns: int) -> None:
    names = "xyz" if picture.detector else "123"
    unit = f" ({picture.detector.coordinates.unit})" if picture.detector else ""
    style = {**AXIS, "nticks": 4, "tickfont": {"size": 10}}
    axes = {
        f"{axis}axis": {**style, "range": list(limit), "title": {"text": f"{name}{unit}", "font": {"size": 11}}}
        for axis, name, limit in zip("xyz", names, picture.limits(), strict=True)
    }
    # A camera fits the height of a scene: step back where scenes are narrower than high.
    back = 1.25 if columns == 3 else 1.0
    camera = {"eye": {axis: back * value for axis, value in EYE.items()}, "center": {"x": 0, "y": 0, "z": -0.12}}
    figure.update_scenes(aspectmode="data", camera=camera, **axes)


def _small(values: Array | None) -> Array:
    """Return values in a type that is written in few bytes."""
    return np.asarray(values, dtype=np.float32)
