"""Scores against the number of labelled events, one panel per score and class; gains of backbones; confusion matrices."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tpcfm.report.draw.style import MUTED, Item, Sheet, colour, legend, log_axes, marker
from tpcfm.report.names import ALONE, BASELINES, control_of, score_name
from tpcfm.report.sections.floors import draw_majority
from tpcfm.report.view import TaskView

SHOWN_CLASSES = 7
"""Most classes with a panel each."""
CONTROLS = (ALONE, "random weights, frozen", "from scratch")  # at the end of their names
PRETRAINED = " pretrained"


def curve_items(task: TaskView) -> list[Item]:
    """Return the curves: of classes macro F1, accuracy and F1 of each class, and other scores that are published at single label counts;
    of instances every score and the gain of the backbones."""
    if not task.classes:
        return [*_panels(task, [(m, "") for m in task.scores], f"labels-{task.name}", ""), *_gain(task)]
    classes = ["", *task.classes[:SHOWN_CLASSES]]
    main = [("f1", ""), ("accuracy", ""), *(("f1", c) for c in classes[1:])]
    items = _panels(task, main, f"labels-{task.name}", "")
    for metric in dict.fromkeys(mark[0] for mark in task.published.marks):
        items += _panels(task, [(metric, c) for c in classes], f"{metric}-{task.name}", f", {metric}")
    return items


def label_curves(axes: Axes, frame: pd.DataFrame) -> None:
    """Draw the result of `mean_over_seeds`, one line per point, on a logarithmic axis of labelled events."""
    for index, point in enumerate(frame["point"].unique()):
        rows = frame[frame["point"] == point].sort_values("n_labels")
        if rows["n_labels"].max() < 1:  # learns nothing from labels
            axes.axhline(rows["value"].mean(), color=colour(index), linestyle=":", label=point)
            continue
        style = "--" if point.endswith(CONTROLS) else ":" if point in BASELINES.values() else "-"
        axes.plot(rows["n_labels"], rows["value"], marker(index) + style, color=colour(index), label=point)
        if rows["low"].notna().all():
            axes.fill_between(rows["n_labels"], rows["low"], rows["high"], color=colour(index), alpha=0.12)
    _label_axis(axes, frame)


def _label_axis(axes: Axes, frame: pd.DataFrame) -> None:
    axes.set_xlabel("labelled events")
    log_axes(axes)
    counts = sorted(n for n in frame["n_labels"].unique() if n > 0)
    axes.set_xticks(counts, [f"{c:,}".replace(",", " ") for c in counts])
    axes.minorticks_off()


def _panels(task: TaskView, panels: list[tuple[str, str]], name: str, more: str) -> list[Item]:
    means = {panel: task.of(*panel) for panel in panels}
    means = {panel: frame for panel, frame in means.items() if len(frame)}
    if not means:
        return []
    figure, cells = with_legend_cell(task.view.sheet, len(means))
    for axes, ((metric, of_class), frame) in zip(cells, means.items(), strict=False):
        label_curves(axes, frame)
        for symbol, (of, n_labels, network, values) in zip("x+*", task.published.marks, strict=False):
            if of != metric or of_class not in values:
                continue
            if n_labels > frame["n_labels"].max():
                axes.axhline(
                    values[of_class], color=MUTED, linewidth=0.9, label=f"{network}, {n_labels // 1000}k labels (paper)"
                )
            else:
                axes.plot([n_labels], [values[of_class]], symbol, color=MUTED, label=f"{network} (paper)")
        if metric == "accuracy":
            draw_majority(axes, task.rows)
        axes.set_ylabel(score_name(metric, of_class) + (", mean over events" if metric == "ari" else ""))
        axes.set_ylim(top=1.02)
    # The panel with most entries: some have published points, some none.
    handles = max((axes.get_legend_handles_labels() for axes in cells), key=lambda pair: len(pair[1]))
    cells[len(means)].legend(*handles, loc="center")
    caption = (
        "Solid: pretrained; dashed: controls without pretraining (random weights, from scratch, the head on raw points); dotted: comparison "
        "systems on the same labelled events. Frozen: only the head is trained; fine-tuned: all weights. Grey dots: always the most frequent "
        "class. Bands: 95 % over seeds, where there are several."
    )
    if any(mark[0] in {m for m, _ in means} for mark in task.published.marks):
        caption += f" Crosses: as the text of the paper gives them ({task.published.source.split(',')[0]})."
    title = f"{task.title}{more} against labelled events"
    return [task.view.sheet.finish(figure, name, title, caption, wide=True)]


def with_legend_cell(sheet: Sheet, panels: int) -> tuple[Figure, list[Any]]:
    """Return a figure of some panels and at least one further cell for the legend, in three or four columns, whichever leaves less empty."""
    rows = {columns: -(-(panels + 1) // columns) for columns in (3, 4)}
    columns = min(rows, key=lambda columns: rows[columns] * columns)
    figure, grid = sheet.axes(columns, rows[columns], width=11.2 / columns, height=2.7, squeeze=False)
    for axes in grid.flat[panels:]:
        axes.axis("off")
    return figure, list(grid.flat)


def _gain(task: TaskView) -> list[Item]:
    """Draw the main score of every pretrained backbone over that of the head without one."""
    metric = task.view.main_score(task.name)
    means = task.of(metric).set_index(["point", "n_labels"])["value"]
    points = set(means.index.get_level_values(0).astype(str))
    backbones = [point for point in sorted(points) if point.endswith(PRETRAINED)]
    pairs = {point: control for point in backbones if (control := control_of(point, points))}
    if not pairs:
        return []
    figure, axes = task.view.sheet.axes(width=4.6, height=3.2)
    for index, (point, control) in enumerate(pairs.items()):
        gain = (means[point] / means[control]).dropna().sort_index()
        axes.plot(gain.index, gain, "o-", color=colour(index), label=point.removesuffix(PRETRAINED))
    for name, value in task.published.gain.items():
        axes.axhline(value, color=MUTED, linestyle=":", linewidth=1)
        where = {"xycoords": ("axes fraction", "data"), "ha": "right", "va": "bottom"}
        axes.annotate(f"paper, {name}: {value:g}", (1, value), fontsize=7.5, **where)
    axes.axhline(1, color=MUTED, linestyle="--", linewidth=0.8, label=ALONE)
    axes.set_ylabel(f"{score_name(metric)} / {score_name(metric)} of the {ALONE.replace(' only', ' alone')}")
    _label_axis(axes, means.reset_index())
    legend(axes)
    caption = "Frozen backbones, each with the same head as the control on raw points (of the same width where there is one per size)."
    if task.published.gain:
        caption += f" Dotted: gains printed in {task.published.source.split(',')[0]}, other data."
    return [task.view.sheet.finish(figure, f"gain-{task.name}", f"{task.title}: gain of the backbone", caption)]


def confusion_items(task: TaskView) -> list[Item]:
    """Return confusion matrices of points and of particles, normalised over predictions, of the runs with most labels (arXiv 2502.02558, Fig. 18)."""
    kinds = {"confusion": "points", "particle_confusion": "particles"}
    return [item for metric, counted in kinds.items() for item in _confusion(task, metric, counted)]


def _confusion(task: TaskView, metric: str, counted: str) -> list[Item]:
    frame = task.rows[task.rows["metric"] == metric]
    if frame.empty:
        return []
    frame = frame[frame["n_labels"] == frame["n_labels"].max()]
    points = list(frame["point"].unique())
    columns = min(4, len(points))
    figure, grid = task.view.sheet.axes(columns, -(-len(points) // columns), width=2.6, height=2.8, squeeze=False)
    for axes in grid.flat[len(points) :]:
        axes.axis("off")
    for index, (axes, point) in enumerate(zip(grid.flat, points, strict=False)):
        _matrix(axes, frame[frame["point"] == point], with_names=index % columns == 0)
        axes.set_title(point, fontsize=8.5)
    caption = (
        f"Share of the {counted} predicted as a class that belong to each true class: columns sum to 1 (normalised over predictions), the diagonal is "
        f"precision; a column of zeros was never predicted. {int(frame['n_labels'].max())} labelled events, decisions as trained, {counted} of all seeds "
        "together."
    )
    if counted != "points":
        caption += f" A particle ({task.view.detector.particles_of(task.name)}) has the true class, and the answer, of most of its points."
    title = f"{task.title}: confusion of {counted}"
    name = f"confusion-{task.name}" + ("" if counted == "points" else f"-{counted}")
    return [task.view.sheet.finish(figure, name, title, caption, wide=True)]


def _matrix(axes: Axes, rows: pd.DataFrame, *, with_names: bool) -> None:
    counts = rows.groupby("class", sort=False)["value"].sum()
    names = list(dict.fromkeys(name.split(">")[0] for name in counts.index))
    matrix = np.array([[counts.get(f"{t}>{p}", 0.0) for p in names] for t in names])
    share = matrix / np.maximum(matrix.sum(0, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), value in np.ndenumerate(share):
        shade = "white" if value > 0.6 else "black"
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7, color=shade)
    axes.set_xticks(range(len(names)), names, rotation=45, fontsize=7)
    axes.set_yticks(range(len(names)), names if with_names else [""] * len(names), fontsize=7)
    axes.set_xlabel("prediction", fontsize=8)
    axes.set_ylabel("truth" if with_names else "", fontsize=8)
    axes.grid(False)
