"""Section "Features": what the points' features know of tracks, species and noise, before and after each adapter's linear map."""

import numpy as np
import pandas as pd

from tpcfm.detectors.model import ClassLabel, Detector
from tpcfm.report.draw.colouring import palette
from tpcfm.report.draw.embed import show_picture
from tpcfm.report.draw.panels import Cloud, Panel, Picture
from tpcfm.report.draw.style import Item, Sheet, colour, legend
from tpcfm.report.tables import table
from tpcfm.report.view import View

METHODS = {"pca": "principal components", "tsne": "t-SNE", "umap": "UMAP"}
STAGES = {
    "input": "raw points (signal and coordinates)",
    "random": "random backbone",
    "pretrained": "pretrained backbone",
    "before": "before the linear map",
    "after": "after the linear map",
}


def feature_items(view: View) -> list[Item]:
    """Return projections of features with numbers beside them, t-SNE dimensions, and the table of all numbers, if they were made."""
    folder, detector, sheet = view.workspace.pictures(view.system), view.detector, view.sheet
    if not (folder / "features.parquet").exists():
        return []
    points, numbers = pd.read_parquet(folder / "features.parquet"), pd.read_parquet(folder / "grouping.parquet")
    if points.empty:
        return []
    shown = [method for method in METHODS if (points["method"] == method).any()]
    items = [_projection(points, numbers, method, detector, sheet) for method in shown]
    return [*items, *_three_dimensions(points, detector, sheet), *_dimensions(numbers, sheet), _numbers(numbers, sheet)]


def _stage(label: str) -> list[tuple[str, str, str]]:
    """Columns of a row of pictures: (source, stage, key of `STAGES`)."""
    whole = [(name, "", name) for name in ("random", "pretrained")]
    return whole + [(label, stage, stage) for stage in ("before", "after")]


def point_colours(label: str, values: "pd.Series[int]", detector: Detector) -> list[str]:
    """Return a colour per point: classes as in the event displays, instances from the palette."""
    kind = detector.labels[label]
    if isinstance(kind, ClassLabel):
        return [kind.colours()[int(v)] for v in values]
    return palette(values.to_numpy())


def _projection(points: pd.DataFrame, numbers: pd.DataFrame, method: str, detector: Detector, sheet: Sheet) -> Item:
    points = points[(points["method"] == method) & (points["dims"] == 2)]
    labels = list(points["label"].unique())
    figure, grid = sheet.axes(4, len(labels), width=2.6, height=2.75, squeeze=False)
    figure.set_dpi(150)
    for row, label in zip(grid, labels, strict=True):
        for axes, (source, stage, key) in zip(row, _stage(label), strict=True):
            shown = _of(points, label, source, stage)
            axes.set_xticks([])
            axes.set_yticks([])
            if shown.empty:
                axes.set_visible(False)
                continue
            colours = point_colours(label, shown["value"], detector)
            axes.scatter(shown["c1"], shown["c2"], c=colours, s=7, linewidths=0, rasterized=True)
            full = _of(numbers[numbers["space"] == "features"], label, source, stage).iloc[0]
            here = _of(numbers[(numbers["space"] == method) & (numbers["dims"] == 2)], label, source, stage).iloc[0]
            axes.set_title(STAGES[key], fontsize=9)
            axes.set_xlabel(
                f"purity {full['purity']:.2f} (here {here['purity']:.2f})\nsilhouette {full['silhouette']:.2f} (here {here['silhouette']:.2f})",
                fontsize=8,
            )
        row[0].set_ylabel(f"coloured by {label}")
        kind = detector.labels[label]
        if isinstance(kind, ClassLabel):
            for value in sorted(_of(points, label, "pretrained", "")["value"].unique()):
                row[-1].scatter([], [], s=16, color=kind.colours()[value], label=kind.classes[value].name)
            row[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handletextpad=0.2, fontsize=8)
    caption = (
        "Features of the points of held-out events: instances of one event, classes of several. Random and pretrained "
        "backbone: mean of the layers; the linear map reads their learned, normalised mix. Purity: share of the ten nearest "
        "neighbours with the same label; both numbers in all dimensions, and in the picture in brackets."
    )
    return sheet.finish(figure, f"features-{method}", f"Features of points: {METHODS[method]}", caption, wide=True)


def _three_dimensions(points: pd.DataFrame, detector: Detector, sheet: Sheet) -> list[Item]:
    points = points[(points["method"] == "tsne") & (points["dims"] == 3)]
    panels = []
    label = points["label"].iloc[0] if len(points) else ""
    for source, stage, key in _stage(label):
        shown = _of(points, label, source, stage)
        if len(shown):
            # Each projection has its own size: scaled to one, so that they share their axes.
            xyz = _unit(shown[["c1", "c2", "c3"]].to_numpy(np.float32))
            panels.append(Panel(STAGES[key], [Cloud(xyz, point_colours(label, shown["value"], detector), size=3)]))
    if not panels:
        return []
    caption = f"Points of one event, coloured by {label}; each projection scaled to its own size."
    title = "Features of points: t-SNE in three dimensions"
    return [show_picture(sheet, Picture(panels, None), "features-tsne3", title, caption)]


def _unit(xyz: "np.ndarray") -> "np.ndarray":
    centred = xyz - np.median(xyz, axis=0)
    return np.asarray(centred / max(float(np.abs(centred).max()), 1e-12), dtype=np.float32)


def _dimensions(numbers: pd.DataFrame, sheet: Sheet) -> list[Item]:
    tsne = numbers[numbers["space"] == "tsne"]
    label = next((str(label) for label, rows in tsne.groupby("label", sort=False) if rows["dims"].nunique() > 1), None)
    if label is None:
        return []
    tsne = tsne[tsne["label"] == label]
    figure, axes = sheet.axes(width=4.6, height=3.0)
    for index, (source, stage, key) in enumerate(_stage(label)):
        rows = _of(tsne, label, source, stage).sort_values("dims")
        if len(rows):
            axes.plot(rows["dims"], rows["purity"], "o-", color=colour(index), label=STAGES[key])
    axes.axhline(tsne["chance"].iloc[0], color=colour(5), linestyle=":", label="chance")
    axes.set_xticks(sorted(tsne["dims"].unique()))
    axes.set_xlabel("dimensions of t-SNE")
    axes.set_ylabel(f"kNN purity by {label}")
    axes.set_ylim(0, 1)
    legend(axes, loc="center right", fontsize=8)
    caption = f"{int(tsne['n'].iloc[0])} points of one event; ten nearest neighbours in the projection."
    return [sheet.finish(figure, "features-dimensions", "How many dimensions t-SNE needs", caption)]


def _numbers(numbers: pd.DataFrame, sheet: Sheet) -> Item:
    full = numbers[numbers["space"] == "features"]
    labels = list(full["label"].unique())
    body: list[list[object]] = []
    for source, stage in full[["source", "stage"]].drop_duplicates().itertuples(index=False):
        name = f"{source} adapter, {stage}" if stage else STAGES[source]
        cells: list[object] = []
        for label in labels:
            rows = _of(full, label, source, stage)
            cells += [float(rows["purity"].iloc[0]), float(rows["silhouette"].iloc[0])] if len(rows) else [None, None]
        body.append([name, int(full[(full["source"] == source) & (full["stage"] == stage)]["dims"].iloc[0]), *cells])
    chance = [full[full["label"] == label]["chance"] for label in labels]
    body.append(["chance", "", *(x for c in chance for x in (float(c.iloc[0]) if len(c) else None, ""))])
    head = ["features", "dimensions"] + [f"{label}: {what}" for label in labels for what in ("purity", "silhouette")]
    counts = ", ".join(f"{int(full[full['label'] == label]['n'].iloc[0])} points for {label}" for label in labels)
    caption = f"In all dimensions; {counts}."
    if not (numbers["space"] == "umap").any():
        caption += " UMAP is not drawn: the optional package umap-learn was not installed where the pictures were made."
    return table(sheet, "table-features", "How features group", head, body, caption)


def _of(frame: pd.DataFrame, label: str, source: str, stage: str) -> pd.DataFrame:
    return frame[(frame["label"] == label) & (frame["source"] == source) & (frame["stage"] == stage)]
