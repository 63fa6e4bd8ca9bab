"""Rotatable 3-D event displays (plotly), of raw files, event tables and predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from tpcfm.detectors import pilarnet, sphenix
from tpcfm.report.draw.style import GRID, INK, MUTED

PALETTE = (
    ("#2456a6", "#d1495b", "#2a8a63", "#c98a1b", "#7a5195", "#5b7c99", "#a15c38", "#e07a9a")
    + ("#3fa7a3", "#8a9a2b", "#4b4e9e", "#b5552d", "#6fae3a", "#9c4a86", "#1f7fbf", "#b89b00")
)  # fmt: skip

AXIS: dict[str, Any] = {"backgroundcolor": "white", "gridcolor": GRID, "zerolinecolor": GRID, "color": MUTED}
FONT: dict[str, Any] = {"family": "system-ui, sans-serif", "size": 12, "color": INK}
CAMERA: dict[str, Any] = {"eye": {"x": 1.55, "y": 1.55, "z": 0.8}, "center": {"x": 0, "y": 0, "z": -0.12}}
MODEBAR: dict[str, Any] = {
    "orientation": "v",
    "bgcolor": "rgba(255,255,255,0)",
    "color": "#b8c0c9",
    "activecolor": MUTED,
}
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


@dataclass(frozen=True)
class Detector:
    """What a display needs to know of a detector: axis unit, class names and colours, the outline."""

    unit: str
    names: Mapping[str, Mapping[int, str]]
    colours: Mapping[str, Mapping[int, str]]
    energy_label: str

    def outline(self) -> list[go.Scatter3d]:
        """Return the traces of the volume's outline."""
        lines = _cube() if self.unit == "voxel" else _cylinder()
        style = {"color": MUTED, "width": 1}
        return [
            go.Scatter3d(
                x=x,
                y=y,
                z=z,
                mode="lines",
                line=style,
                opacity=0.5,
                hoverinfo="skip",
                showlegend=False,
                name="outline",
            )
            for x, y, z in lines
        ]


DETECTORS = {
    "pilarnet": Detector(
        "voxel",
        {"semantic": pilarnet.SEMANTIC, "pid": pilarnet.PID},
        {"semantic": pilarnet.SEMANTIC_COLOURS},
        "energy (MeV)",
    ),
    "tpcpp": Detector(
        "cm",
        {"pid": sphenix.PID, "noise": sphenix.NOISE},
        {"pid": sphenix.PID_COLOURS, "noise": {0: PALETTE[0], 1: PALETTE[1]}},
        "ionisation (ADC)",
    ),
}


def _cube() -> list[tuple[list[float], list[float], list[float]]]:
    e = float(pilarnet.EDGE)
    ring = ([0, e, e, 0, 0], [0, 0, e, e, 0])
    lines = [(ring[0], ring[1], [z] * 5) for z in (0.0, e)]
    return [*lines, *(([x, x], [y, y], [0.0, e]) for x in (0.0, e) for y in (0.0, e))]


def _cylinder() -> list[tuple[list[float], list[float], list[float]]]:
    angle = np.linspace(0, 2 * np.pi, 49)
    rings = []
    for radius in (float(sphenix.LAYER_RADII_CM[0]), float(sphenix.LAYER_RADII_CM[-1])):
        for z in (-sphenix.HALF_LENGTH_CM, 0.0, sphenix.HALF_LENGTH_CM):
            rings.append(((radius * np.cos(angle)).tolist(), (radius * np.sin(angle)).tolist(), [z] * len(angle)))
    for turn in np.arange(6) * np.pi / 3:  # lines along the beam, so that the rings look like one volume
        x, y = radius * np.cos(turn), radius * np.sin(turn)
        rings.append(([x, x], [y, y], [-sphenix.HALF_LENGTH_CM, sphenix.HALF_LENGTH_CM]))
    return rings


def _traces(event: Mapping[str, npt.NDArray[Any]], column: str, detector: Detector, size: float) -> list[go.Scatter3d]:
    x, y, z = event["x"], event["y"], event["z"]
    values = event[column]
    if column == "energy":
        shown = np.log10(np.clip(values, 1e-3, None))
        ticks = np.arange(np.floor(shown.min()), np.ceil(shown.max()) + 1)
        bar = {
            "title": detector.energy_label,
            "tickvals": ticks,
            "ticktext": [f"{10.0**t:g}" for t in ticks],
            "thickness": 12,
        }
        mark = {"size": size, "color": shown, "colorscale": "Viridis", "colorbar": bar}
        return [
            go.Scatter3d(x=x, y=y, z=z, mode="markers", marker=mark, customdata=values, name="energy", showlegend=False,
                         hovertemplate="%{x:.1f}, %{y:.1f}, %{z:.1f}<br>%{customdata:.3g}<extra></extra>")
        ]  # fmt: skip
    names, colours = detector.names.get(column, {}), detector.colours.get(column, {})
    traces = []
    for index, label in enumerate(np.unique(values).tolist()):
        chosen = values == label
        name = names.get(label, f"{column} {label}" if label >= 0 else f"no {column}")
        colour = colours.get(label, PALETTE[index % len(PALETTE)] if label >= 0 else "#c9c9c9")
        traces.append(
            go.Scatter3d(
                x=x[chosen],
                y=y[chosen],
                z=z[chosen],
                mode="markers",
                marker={"size": size, "color": colour},
                name=f"{name} ({int(chosen.sum())})",
                hovertemplate=f"{name}<br>%{{x:.1f}}, %{{y:.1f}}, %{{z:.1f}}<extra></extra>",
            )
        )
    return traces


def _buttons(groups: Mapping[str, Sequence[go.Scatter3d]], fixed: int) -> list[dict[str, Any]]:
    """Return one row of buttons: each shows its group of traces and the first ``fixed`` ones."""
    buttons = []
    for name in groups:
        flags = [True] * fixed
        for other, group in groups.items():
            flags += [other == name] * len(group)
        buttons.append({"label": name, "method": "update", "args": [{"visible": flags}]})
    return buttons


def _assemble(groups: Mapping[str, Sequence[go.Scatter3d]], detector: Detector, title: str, height: int) -> go.Figure:
    """Return a figure with the outline, one group of traces shown and a button for each group."""
    outline = detector.outline()
    figure = go.Figure([*outline, *(trace for group in groups.values() for trace in group)])
    buttons = _buttons(groups, len(outline))
    for trace, flag in zip(figure.data, buttons[0]["args"][0]["visible"], strict=True):
        trace.visible = flag
    row = {"type": "buttons", "direction": "right", "x": 0.005, "y": 1.0, "xanchor": "left", "yanchor": "bottom"}
    several = len(groups) > 1
    figure.update_layout(
        title={"text": title, "font": {"size": 14, "color": INK}, "x": 0.01, "y": 0.985, "yanchor": "top"},
        height=height,
        margin={"l": 0, "r": 14, "t": (36 if title else 10) + (40 if several else 0), "b": 0},
        paper_bgcolor="white",
        font=FONT,
        modebar=MODEBAR,
        legend={
            "itemsizing": "constant",
            "font": {"size": 11},
            "x": 0.97,
            "xanchor": "right",
            "y": 0.97,
            "yanchor": "top",
            "bgcolor": "rgba(255,255,255,0.7)",
        },
        scene={
            **{f"{a}axis": {**AXIS, "title": {"text": f"{a} ({detector.unit})"}} for a in "xyz"},
            "aspectmode": "data",
            "camera": CAMERA,
        },
        updatemenus=[{**row, "buttons": buttons}] if several else [],
    )
    return figure


def event_figure(
    event: Mapping[str, npt.NDArray[Any]],
    columns: Sequence[str],
    layout: str,
    title: str = "",
    height: int = 560,
) -> go.Figure:
    """Return a display of one event; several columns become buttons.

    Args:
        event: ``x y z`` (N,) in the detector's unit, and every column named.
        columns: ``energy`` (colour bar) or label columns (one legend entry per label, click to hide).
        layout: ``pilarnet`` or ``tpcpp``.
    """
    detector = DETECTORS[layout]
    size = 2.2 if len(event["x"]) > 3000 else 3.0
    return _assemble({c: _traces(event, c, detector, size) for c in columns}, detector, title, height)


def prediction_figure(event: Mapping[str, npt.NDArray[Any]], task: str, title: str = "") -> go.Figure:
    """Return truth, prediction and difference of one event as buttons.

    Args:
        event: ``x y z truth prediction`` (N,); for ``tracks`` a difference is a point outside its best-matching track.
        task: ``segmentation``, ``tracks``, ``pid`` or ``noise``.
    """
    truth, predicted = event["truth"], event["prediction"]
    if task == "tracks":
        wrong = ~_matched(truth, predicted)
    else:
        wrong = truth != predicted
    layout = "pilarnet" if task == "segmentation" else "tpcpp"
    column = {"segmentation": "semantic"}.get(task, task)
    detector = DETECTORS[layout]
    size = 2.2 if len(truth) > 3000 else 3.0
    base = {k: event[k] for k in "xyz"}
    groups = {
        "truth": _traces({**base, column: truth}, column, detector, size),
        "prediction": _traces({**base, column: predicted}, column, detector, size),
        "difference": _difference(base, wrong, size),
    }
    return _assemble(groups, detector, title, height=560)


def _difference(base: Mapping[str, npt.NDArray[Any]], wrong: npt.NDArray[np.bool_], size: float) -> list[go.Scatter3d]:
    parts = [("right", ~wrong, "#cfd6dd"), ("wrong", wrong, "#d1495b")]
    return [
        go.Scatter3d(
            x=base["x"][m], y=base["y"][m], z=base["z"][m], mode="markers", marker={"size": size, "color": c}, name=f"{n} ({int(m.sum())})"
        )
        for n, m, c in parts
    ]  # fmt: skip


def _matched(truth: npt.NDArray[Any], predicted: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return which points lie in the predicted track that holds most of their true track."""
    good = np.zeros(len(truth), dtype=bool)
    for label in np.unique(truth):
        mine = truth == label
        labels, counts = np.unique(predicted[mine & (predicted >= 0)], return_counts=True)
        if len(labels):
            good |= mine & (predicted == labels[counts.argmax()])
    return good
