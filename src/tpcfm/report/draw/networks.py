"""What networks make of an event: features as colours, attention, reconstruction, order (arXiv 2502.02558, Figs. 8 and 9;
arXiv 2508.14087, Figs. 2, 10 to 12)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from tpcfm.detectors.model import Detector
from tpcfm.report.draw.colouring import FAINT, WRONG, Grade
from tpcfm.report.draw.panels import Bar, Cloud, Panel, Picture, points
from tpcfm.report.names import plain

ATTENTION_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 1, 1.25, 2, 5, 10, 20, 50, 100)


def feature_picture(tables: Mapping[str, pd.DataFrame], detector: Detector, title: str = "") -> Picture:
    """Return tokens or points coloured by three principal components of their features, one panel per encoder.

    Args:
        tables: by start: ``x y z`` in the detector's unit and ``r g b`` in [0, 1], one row per token or point.
        detector: of the event.
        title: of the picture.
    """
    panels = []
    for name, table in tables.items():
        rgb = (255 * table[["r", "g", "b"]].clip(0, 1).to_numpy()).round().astype(int)
        colours = [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in rgb]
        panels.append(Panel(plain(name), [Cloud(points(table), colours, size=3.6)]))
    return Picture(panels, detector, title=title)


def attention_picture(tokens: pd.DataFrame, attention: pd.DataFrame, detector: Detector, title: str = "") -> Picture:
    """Return where query tokens look: a panel per query, tokens coloured by log10 of their weight over the uniform one.

    Args:
        tokens: ``x y z`` in the detector's unit, one row per token.
        attention: ``query token layer head weight`` of one encoder, layers and heads from 1, ``weight`` a list per row.
        detector: of the event.
        title: of the picture.
    """
    xyz = points(tokens)
    versions = [f"layer {a}, head {b}" for a, b in attention[["layer", "head"]].drop_duplicates().to_numpy()]
    panels = []
    for key, rows in attention.groupby("query", sort=False):
        name, token = str(key), int(rows["token"].iloc[0])
        values = {
            f"layer {row.layer}, head {row.head}": np.log10(np.maximum(np.asarray(row.weight) * len(xyz), 1e-3))
            for row in rows.itertuples()
        }
        query = Cloud(xyz[token : token + 1], WRONG, name="query token", size=8)
        heading = f"query: {name}" if name.startswith("token") else f"query in a {name} token"
        panels.append(Panel(heading, [Cloud(xyz, values=values, size=3.4), query]))
    found = {name: np.concatenate([p.clouds[0].version(name) for p in panels]) for name in versions}
    # The range of all maps, so that heads can be compared; the one with most contrast is shown first.
    reach = float(np.clip(np.quantile(np.abs(np.concatenate(list(found.values()))), 0.998), 0.1, 2.0))
    first = max(versions, key=lambda name: float(found[name].std()))
    places = {float(np.log10(v)): f"{v:g}" for v in ATTENTION_TICKS if reach < 0.5 or v not in (0.8, 1.25)}
    ticks = {at: text for at, text in places.items() if abs(at) <= reach}
    bar = Bar("attention × number of tokens", (-reach, reach), ticks=ticks)
    return Picture(panels, detector, bar, versions=versions, first=first, menu="attention of", title=title)


def reconstruction_picture(event: Mapping[str, Any], detector: Detector, title: str = "") -> Picture:
    """Return what the encoder sees, the masked points, and the predicted ones, coloured by the signal.

    Args:
        event: ``visible_x`` ... ``predicted_<signal>`` as the pretraining recipe writes them, and ``masked_<signal>_predicted`` if the
            model predicts the signal of given points.
        detector: of the event.
        title: of the picture.
    """
    kinds = ("visible", "masked", "predicted")
    xyz = {kind: points(event, f"{kind}_") for kind in kinds}
    signal = detector.main_signal
    name = signal.name if signal else ""
    measured = f"visible_{name}" in event
    unit = f" ({signal.unit})" if signal and signal.unit != "1" else ""
    true = [np.asarray(event[f"{kind}_{name}"]) for kind in kinds[:2]] if measured else []
    grade = Grade.of(np.concatenate(true), name + unit) if measured else None
    context = Cloud(xyz["visible"], FAINT, name="visible", size=1.8, opacity=0.6)

    def cloud(kind: str, column: str = "") -> Cloud:
        return Cloud(xyz[kind], values=grade(event[column or f"{kind}_{name}"]) if grade else None)

    share = len(xyz["masked"]) / max(len(xyz["masked"]) + len(xyz["visible"]), 1)
    panels = [
        Panel("what the encoder sees", [cloud("visible")], [f"{100 * (1 - share):.0f} % of the points"]),
        Panel("masked: truth", [context, cloud("masked")], [f"{len(xyz['masked'])} points in tokens"]),
        Panel(
            "masked: predicted", [context, cloud("predicted")], [f"positions and {name}" if measured else "positions"]
        ),
    ]
    given = f"masked_{name}_predicted"
    if measured and event.get(given) is not None:
        panels.append(Panel(f"{name} task", [context, cloud("masked", given)], [f"{name} at true positions"]))
    return Picture(panels, detector, grade.bar if grade else None, title=title, zoom=True)


def path_picture(paths: pd.DataFrame, detector: Detector, title: str = "") -> Picture:
    """Return the path of each serialization through an event, coloured by the place in the sequence.

    Args:
        paths: ``order x y z same_next``, rows in the order of the sequence.
        detector: of the event.
        title: of the picture.
    """
    panels = []
    for name, rows in paths.groupby("order", sort=False):
        xyz, place = points(rows), np.linspace(0, 1, len(rows))
        same = rows["same_next"].iloc[0] if "same_next" in rows else float("nan")
        text = [f"{100 * same:.0f} % of the steps stay on a track"] if np.isfinite(same) else []
        clouds = [Cloud(xyz, values=place, size=3, line=True, opacity=0.45), Cloud(xyz, values=place, size=2)]
        panels.append(Panel(str(name), clouds, text))
    ticks = {0.0: "first", 0.5: "half", 1.0: "last"}
    return Picture(panels, detector, Bar("place in the sequence", (0.0, 1.0), "Turbo", ticks), title=title)
