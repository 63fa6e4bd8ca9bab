"""Section "Serialization": how the points of an event become a sequence, and how well that keeps tracks together."""

import pandas as pd

from tpcfm.detectors.model import Detector
from tpcfm.report.draw.embed import show_picture
from tpcfm.report.draw.networks import path_picture
from tpcfm.report.draw.style import Item, Sheet, colour
from tpcfm.report.tables import Markup, table, with_interval
from tpcfm.report.view import View

AXES = {"phi": "azimuth φ (rad)", "eta": "pseudorapidity η", "r": "radius r"}
MEASURES = {
    "same_next": "steps that stay on a track",
    "run_length": "points of a track in a row",
    "return_distance": "steps to the next point of the track",
}


def serialization_items(view: View) -> list[Item]:
    """Return the box edges over the distributions, paths through an event, and the coherence of every order, as far as they were made."""
    pictures, study = (
        view.workspace.pictures(view.system),
        view.workspace.study_table("serialization", "metrics", view.system),
    )
    items, sheet, detector = [], view.sheet, view.detector
    if (pictures / "boxes.parquet").exists():
        items.append(_boxes(pd.read_parquet(pictures / "boxes.parquet"), detector, sheet))
        paths = pd.read_parquet(pictures / "paths.parquet")
        caption = (
            f"Event {paths['event_id'].iloc[0]}, {len(paths) // paths['order'].nunique()} points: lines join points that follow each "
            "other, the colour is the place in the sequence. Raster: box by box, inside a box along the outermost coordinate."
        )
        picture = path_picture(paths, detector)
        items.append(show_picture(sheet, picture, "paths", "One event in four orders", caption))
    if study.exists():
        items += _coherence(pd.read_parquet(study), sheet)
    return items


def _boxes(frame: pd.DataFrame, detector: Detector, sheet: Sheet) -> Item:
    unit = f" ({detector.coordinates.unit})"
    figure, row = sheet.axes(3, width=3.6, height=2.8)
    counts = []
    for index, (axes, name) in enumerate(zip(row, detector.axes, strict=True)):
        label = AXES.get(name, name) + ("" if name in ("phi", "eta") else unit)
        points = frame[(frame["axis"] == name) & (frame["kind"] == "points")]
        boxes = frame[(frame["axis"] == name) & (frame["kind"] == "box")]
        width = points["right"] - points["left"]
        axes.bar(
            points["left"],
            points["count"] / points["count"].sum() / width,
            width,
            align="edge",
            color=colour(0),
            alpha=0.45,
        )
        for at in [*boxes["left"], boxes["right"].iloc[-1]]:
            axes.axvline(at, color=colour(1), linewidth=1.1)
        axes.set_xlabel(label)
        axes.set_ylabel("density of points" if index == 0 else "")
        axes.grid(visible=False)
        share = boxes["count"] / boxes["count"].sum()
        counts.append(
            f"{len(boxes)} in {label.split(' (')[0]} with {100 * share.min():.0f} to {100 * share.max():.0f} % of the points"
        )
    caption = (
        f"Red: edges of the boxes, fitted on training events: {'; '.join(counts)}. Edges divide the points evenly, or follow the "
        "readout regions. Compare arXiv 2508.14087, Fig. 9."
    )
    return sheet.finish(figure, "boxes", "Boxes of the raster scan", caption, wide=True)


def _coherence(frame: pd.DataFrame, sheet: Sheet) -> list[Item]:
    wide = {m: frame[frame["metric"] == m].set_index("class") for m in MEASURES}
    order = wide["same_next"]["value"].sort_values(ascending=True).index
    figure, axes = sheet.axes(width=5.2, height=3.2)
    values = wide["same_next"].loc[order]
    spread = [values["value"] - values["low"], values["high"] - values["value"]]
    colours = [
        colour(0) if name.startswith("raster") else colour(5) if name == "random" else colour(3) for name in order
    ]
    axes.barh(list(order), values["value"], xerr=spread, color=colours, ecolor="#1c2733", capsize=2)
    axes.set_xlim(0, 1)
    axes.set_xlabel(MEASURES["same_next"] + " (share)")
    axes.grid(axis="y", visible=False)
    caption = "Bars: 95 % from a bootstrap over events. Raster names its boxes from the outermost to the innermost."
    items = [sheet.finish(figure, "coherence", "How orders keep tracks together", caption)]
    body: list[list[object]] = []
    for name in order[::-1]:
        cells = [Markup(with_interval(*_triple(wide[m].loc[name]))) for m in MEASURES]
        body.append([name, *cells])
    text = "The same labelled events in every order; random order is the floor."
    return [
        *items,
        table(sheet, "table-coherence", "Coherence of the orders", ["order", *MEASURES.values()], body, text),
    ]


def _triple(row: "pd.Series[float]") -> tuple[float, float, float]:
    return float(row["value"]), float(row["low"]), float(row["high"])
