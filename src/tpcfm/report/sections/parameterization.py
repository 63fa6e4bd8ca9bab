"""Section "Scaling", the parameterization: sizes of updates over the width, and where the best learning rate lies."""

import numpy as np
import pandas as pd
from matplotlib.ticker import NullLocator

from tpcfm.report.draw.style import Item, Sheet, colour, legend, log_axes, marker
from tpcfm.report.sections.floors import draw_floor
from tpcfm.report.tables import Markup, number, table

NAMES = {"mup": "maximal update", "standard": "standard"}
QUANTITIES = {"activation": "size of the activations", "update": "size of their updates"}


def parameterization_items(sizes: pd.DataFrame, metrics: pd.DataFrame, sheet: Sheet) -> list[Item]:
    """Return the coordinate check and the learning-rate transfer of one system; see `coordinate_items` and `transfer_items`."""
    return coordinate_items(sizes, sheet) + transfer_items(metrics, sheet)


def coordinate_items(sizes: pd.DataFrame, sheet: Sheet) -> list[Item]:
    """Return the figure of sizes over the width and the table of their exponents.

    Args:
        sizes: columns ``parameterization width step part activation update``.
    """
    if sizes.empty:
        return []
    last = sizes[sizes["step"] == sizes["step"].max()]
    kinds = [k for k in NAMES if k in set(last["parameterization"])]
    figure, grid = sheet.axes(len(kinds), 2, width=3.7, height=2.7, squeeze=False, sharey="row")
    for column, kind in enumerate(kinds):
        rows = last[last["parameterization"] == kind]
        for row, (quantity, label) in enumerate(QUANTITIES.items()):
            axes = grid[row][column]
            _size_curves(axes, rows, quantity)
            axes.set_title(NAMES[kind] if row == 0 else "")
            axes.set_ylabel(label if column == 0 else "")
            axes.set_xlabel("width")
            log_axes(axes, x=True, y=True)
            widths = sorted(rows["width"].unique())
            axes.set_xticks(widths, [str(w) for w in widths])
            axes.xaxis.set_minor_locator(NullLocator())
    legend(grid[0][-1], fontsize=7.5, ncols=2)
    caption = (
        f"Root mean square after {int(sizes['step'].max())} optimiser steps on the same events: outputs of the residual branches (the first "
        "dark, the last light), of the maps to B (state in) and C (state out) in the middle block, and the predictions; updates are "
        "differences from the start. Branches and predictions that stay flat over the width are what lets a learning rate be carried from a "
        "small model to a large one. Under maximal update, B alone grows and C alone shrinks by their rules; what they feed is the branches."
    )
    items = [sheet.finish(figure, "coordinate-check", "Coordinate check", caption, wide=True)]
    return [*items, _exponents(last, kinds, sheet)]


def _size_curves(axes: object, rows: pd.DataFrame, quantity: str) -> None:
    parts = list(dict.fromkeys(rows["part"]))
    branches = [p for p in parts if p.startswith("branch")]
    others = [p for p in parts if p not in branches]
    for part in parts:
        values = rows[rows["part"] == part].sort_values("width")
        values = values[values[quantity] > 0]
        if part in branches:
            depth = branches.index(part) / max(len(branches) - 1, 1)
            shown = part if part in (branches[0], branches[-1]) else None
            axes.plot(values["width"], values[quantity], "-", color=colour(0), alpha=1 - 0.7 * depth, label=shown, linewidth=1.2)  # type: ignore[attr-defined]  # fmt: skip
        else:
            index = 1 + others.index(part)
            axes.plot(values["width"], values[quantity], marker(index) + "-", color=colour(index), label=part)  # type: ignore[attr-defined]


def _exponents(last: pd.DataFrame, kinds: list[str], sheet: Sheet) -> Item:
    parts = list(dict.fromkeys(last["part"]))
    body: list[list[object]] = []
    for part in parts:
        cells: list[object] = [part]
        for kind in kinds:
            rows = last[(last["part"] == part) & (last["parameterization"] == kind)]
            # Two decimals: what a power over a few widths can mean.
            cells += [Markup(number(round(_slope(rows, q), 2) + 0.0, 2)) for q in QUANTITIES]
        body.append(cells)
    head = ["part", *(f"{NAMES[k]}: {q}" for k in kinds for q in QUANTITIES)]
    caption = "Exponent of the size in the width, by least squares on logarithms; 0 is flat."
    return table(sheet, "coordinate-exponents", "Coordinate check: exponents in the width", head, body, caption)


def _slope(rows: pd.DataFrame, quantity: str) -> float:
    rows = rows[rows[quantity] > 0]
    if rows["width"].nunique() < 2:
        return float("nan")
    return float(np.polyfit(np.log(rows["width"]), np.log(rows[quantity]), 1)[0])


def transfer_items(metrics: pd.DataFrame, sheet: Sheet) -> list[Item]:
    """Return validation error against learning rate, a panel per parameterization and a curve per size, and the best rates.

    Args:
        metrics: metrics of the scaling studies with ``study axis point``.
    """
    rows = metrics[(metrics["study"] == "lr_transfer") & (metrics["split"] == "validation")]
    rows = rows[rows["metric"] == "validation_loss"]
    if rows.empty:
        return []
    parts = rows["axis"].str.split("/", expand=True)
    rows = rows.assign(kind=parts[1], size=parts[2], rate=rows["point"].astype(float))
    means = rows.groupby(["kind", "size", "rate"], sort=True)["value"].mean().reset_index()
    kinds = [k for k in NAMES if k in set(means["kind"])]
    figure, grid = sheet.axes(len(kinds), width=3.9, height=3.1, squeeze=False, sharey=True)
    body: list[list[object]] = []
    for axes, kind in zip(grid[0], kinds, strict=True):
        smallest = float("nan")
        for index, (size, curve) in enumerate(means[means["kind"] == kind].groupby("size", sort=True)):
            rates, errors = curve["rate"].to_numpy(), curve["value"].to_numpy()
            at = int(errors.argmin())
            axes.plot(rates, errors, marker(index) + "-", color=colour(index), label=size)
            axes.plot(rates[at], errors[at], marker(index), color=colour(index), markersize=10, fillstyle="none")
            smallest = rates[at] if index == 0 else smallest
            note = "at the edge of the grid" if at in (0, len(rates) - 1) else ""
            shown = [Markup(f"{rates[at]:g}"), float(errors[at]), Markup(f"{rates[at] / smallest:g}")]
            body.append([NAMES[kind], size, *shown, note])
        draw_floor(axes, metrics[metrics["study"] == "lr_transfer"])
        axes.set_title(NAMES[kind])
        axes.set_xlabel("learning rate")
        log_axes(axes, x=True, y=True)
        legend(axes)
    grid[0][0].set_ylabel("validation error")
    caption = (
        "Each point is a pretraining run with its own full schedule; open symbols mark the lowest error of each size. Under a "
        "parameterization that transfers, the lowest points lie above one another."
    )
    items = [sheet.finish(figure, "lr-transfer", "Transfer of the learning rate over the width", caption, wide=True)]
    head = [
        "parameterization",
        "size",
        "best rate",
        "validation error there",
        "best rate / that of the smallest",
        "note",
    ]
    text = "Mean over seeds where there are several. A best rate is known no better than the spacing of the grid."
    return [*items, table(sheet, "lr-best", "Best learning rate of each size", head, body, text)]
