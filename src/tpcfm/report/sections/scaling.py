"""Section "Scaling": loss against size, data and compute with fitted laws; downstream metrics against backbone size."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from tpcfm.evaluate.table import mean_over_seeds
from tpcfm.report.draw.style import Item, Sheet, colour, legend, log_axes, marker
from tpcfm.report.names import ALONE, score_name, task_title
from tpcfm.report.sections.floors import draw_floor, draw_majority
from tpcfm.report.sections.parameterization import parameterization_items
from tpcfm.report.tables import Markup, number, table, with_interval
from tpcfm.report.view import View
from tpcfm.scaling.study import AXES, FRONT

TABLES = ("points", "fits", "curves", "front", "metrics", "coordinates")


def scaling_items(view: View, folder: Path | None = None) -> list[Item]:
    """Return the scaling figures and the table of exponents of a system.

    Args:
        view: the system.
        folder: that ``tpcfm scaling fit`` wrote; the one of the workflow unless given.
    """
    folder, sheet = folder or view.workspace.study("scaling"), view.sheet
    if not (folder / "fits.parquet").exists():
        return []
    tables = {name: pd.read_parquet(folder / f"{name}.parquet") for name in TABLES}
    tables = {name: frame[frame["system"] == view.system] for name, frame in tables.items()}
    points, fits = tables["points"], tables["fits"]
    items = []
    studies = [s for s in AXES if s in set(points["study"])]
    if studies:
        figure, grid = sheet.axes(len(studies), width=3.7, height=3.1, squeeze=False)
        for axes, study in zip(grid[0], studies, strict=True):
            _law(axes, study, tables)
        caption = (
            "Unweighted validation error on one fixed set; each point is a run with its own full schedule. Lines: a x^-b, with saturation "
            "from five points on; bands: 95 % bootstrap. With fewer points a line is dotted and illustrative only. Grey dots: the floor "
            "of predicting the own position. " + _budget(tables["metrics"])
        )
        items.append(
            sheet.finish(figure, "scaling", "Pretraining error against size, data and compute", caption, wide=True)
        )
    rows = []
    for row in fits.to_dict("records"):
        name = f"{row['study'].removeprefix('scaling_')} {row['group']}".strip()
        exponent = Markup(with_interval(row["b"], row["b_low"], row["b_high"]))
        saturation = (
            Markup(with_interval(row["c"], row["c_low"], row["c_high"], 4)) if row["saturation"] else "not fitted"
        )
        note = "illustrative: fewer than five points" if row["illustrative"] else ""
        rows.append([name, row["x_label"], exponent, saturation, row["points"], row["runs"], note])
    if rows:
        head = ["study", "against", "exponent b", "saturation c", "points", "runs", "note"]
        caption = "arXiv 2508.14087 shows its laws as figures only and prints no exponents."
        items.append(table(sheet, "exponents", "Fitted exponents", head, rows, caption))
    items += _downstream(view, tables["metrics"]) + _floors(tables["metrics"], sheet)
    return items + parameterization_items(tables["coordinates"], tables["metrics"], sheet)


def _law(axes: Axes, study: str, tables: dict[str, pd.DataFrame]) -> None:
    points, curves, fits, front = (tables[n] for n in ("points", "curves", "fits", "front"))
    mine = points[points["study"] == study]
    groups = [*mine["group"].unique(), *([FRONT] if study == "scaling_compute" and len(front) > 1 else [])]
    for index, group in enumerate(groups):
        shade = "#1c2733" if group == FRONT else colour(index)
        law = fits[(fits["study"] == study) & (fits["group"] == group)]
        if group == FRONT:
            axes.step(front["x"], front["y"], where="post", color=shade, linewidth=0.8, label=_law_label(group, law))
        else:
            rows = mine[mine["group"] == group]
            axes.plot(rows["x"], rows["y"], marker(index), color=shade, label=_law_label(group, law))
        curve = curves[(curves["study"] == study) & (curves["group"] == group)]
        if len(curve):
            style = ":" if law["illustrative"].iloc[0] else "-"
            axes.plot(curve["x"], curve["y"], style, color=shade, linewidth=1.2)
            if np.isfinite(curve["low"]).all():
                axes.fill_between(curve["x"], curve["low"], curve["high"], color=shade, alpha=0.12)
    draw_floor(axes, tables["metrics"][tables["metrics"]["study"] == study])
    axes.set_xlabel(AXES[study][1])
    axes.set_ylabel("validation error")
    log_axes(axes, x=True, y=True)
    legend(axes)


def _law_label(group: str, law: pd.DataFrame) -> str:
    """Name the runs of a group with the exponent of their law, and say so where that is no more than a line through them."""
    if law.empty:
        return group or "runs"
    row = law.iloc[0]
    note = f", illustrative: {row['points']} points" if row["illustrative"] else ""
    return f"{group + ': ' if group else ''}b = {row['b']:.3f}{note}"


def _budget(metrics: pd.DataFrame) -> str:
    """Say what every size was trained on."""
    own = (metrics["study"] == "scaling_size") & (metrics["split"] == "validation")
    rows = metrics[own & (metrics["metric"] == "points_seen")]
    seen = rows.groupby("point", sort=False)["value"].mean()
    if seen.empty:
        return ""
    if seen.nunique() == 1:
        return f"Budget of every size: {seen.iloc[0]:.3g} training points."
    said = ", ".join(f"{size} {value:.3g}" for size, value in seen.items())
    return f"Budgets in training points differ: {said}; a law over these sizes also contains that."


def _downstream(view: View, metrics: pd.DataFrame) -> list[Item]:
    frame = metrics[metrics["study"] == "scaling_downstream"]
    tasks = list(frame["axis"].unique())
    if not tasks:
        return []
    figure, grid = view.sheet.axes(len(tasks), width=3.7, height=3.0, squeeze=False)
    own = (metrics["study"] == "scaling_size") & (metrics["split"] == "validation")
    sizes = metrics[own & (metrics["metric"] == "parameters")]
    parameters = dict(zip(sizes["point"], sizes["value"], strict=True))
    for axes, task in zip(grid[0], tasks, strict=True):
        metric = view.main_score(task)
        rows = frame[
            (frame["axis"] == task) & (frame["metric"] == metric) & (frame["class"] == "") & (frame["split"] == "test")
        ]
        for index, (n_labels, values) in enumerate(mean_over_seeds(rows).groupby("n_labels")):
            _backbone_curve(axes, values, parameters, index, f"{n_labels} labels")
        if rows["point"].str.endswith(ALONE).any():
            axes.plot([], [], "--", color="#1c2733", linewidth=1, label=ALONE)
        draw_majority(axes, frame[frame["axis"] == task])
        axes.set_xlabel("backbone parameters")
        axes.set_ylabel(score_name(metric))
        axes.set_title(task_title(task, view.detector.labels[task]))
        log_axes(axes)
        legend(axes)
    caption = (
        "Adapters on every pretrained size, mean over seeds with 95 % intervals where there are several. Dashed: the same adapter on raw "
        "points, without a backbone; grey dots: always the most frequent class (arXiv 2508.14087, Fig. 5, prints no numbers)."
    )
    return [
        view.sheet.finish(figure, "scaling-downstream", "Downstream tasks against backbone size", caption, wide=True)
    ]


def _backbone_curve(axes: object, means: pd.DataFrame, parameters: dict[str, float], index: int, label: str) -> None:
    """Draw a metric against backbone parameters at one label count; dashed the adapters of each width (or the one) without a backbone."""
    rows = means.assign(x=means["point"].str.split().str[0].map(parameters)).dropna(subset="x").sort_values("x")
    alone = rows["point"].str.endswith(ALONE)
    axes.plot(rows.loc[alone, "x"], rows.loc[alone, "value"], "--", color=colour(index), linewidth=1)  # type: ignore[attr-defined]
    rows = rows[~alone]
    error = rows["high"] - rows["value"]
    axes.errorbar(  # type: ignore[attr-defined]
        rows["x"],
        rows["value"],
        yerr=error if error.notna().all() else None,
        fmt=marker(index) + "-",
        color=colour(index),
        capsize=2,
        label=label,
    )
    for value in means.loc[means["point"] == ALONE, "value"]:
        axes.axhline(value, color=colour(index), linestyle="--", linewidth=1)  # type: ignore[attr-defined]


def _floors(metrics: pd.DataFrame, sheet: Sheet) -> list[Item]:
    frame = metrics[(metrics["study"] == "scaling_size") & (metrics["split"] == "validation")]
    wanted = ["parameters", "validation_loss", "floor_own_position", "floor_mean", "points_seen", "flops"]
    rows = []
    for (size, seed), values in frame.groupby(["point", "seed"], sort=False):
        found = values.drop_duplicates("metric").set_index("metric")["value"]
        rows.append([size, int(str(seed)), *(float(found[w]) if w in found else None for w in wanted)])
    if not rows:
        return []
    head = [
        "size",
        "seed",
        "parameters",
        "validation error",
        "floor: own position",
        "floor: mean",
        "points seen",
        "training FLOPs",
    ]
    counts = {2 + wanted.index("parameters"), 2 + wanted.index("points_seen")}
    cells = [
        [*row[:2], *(Markup(number(v, 0 if i in counts else 4)) for i, v in enumerate(row[2:], 2))] for row in rows
    ]
    caption = "Floors: always predicting the point's own position, or the mean target. A model below them has learned something."
    return [table(sheet, "floors", "Losses beside naive floors", head, cells, caption)]
