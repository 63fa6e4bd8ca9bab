"""Section "Ablations": each changes one thing of a base run. Losses of different objectives are never on one axis."""

import numpy as np
import pandas as pd

from tpcfm.evaluate.intervals import Estimate, mean_and_error, paired_difference
from tpcfm.report.draw.style import Item, Sheet, colour, marker
from tpcfm.report.names import score_name, task_title
from tpcfm.report.sections.adapter_studies import adapter_study_items
from tpcfm.report.sections.mixers import mixer_items
from tpcfm.report.sections.probes import probe_study_items
from tpcfm.report.tables import Markup, number, table, with_interval
from tpcfm.report.view import View


def ablation_items(view: View) -> list[Item]:
    """Return the mask-ratio figure, the table of variants, the effect of rescaling, the studies of the adapters and of the pretraining."""
    frame = view.metrics("ablations")
    return [
        *_mask_ratio(frame, view.sheet),
        *variants_table(view, frame),
        *_rescaling(view.sheet, frame),
        *adapter_study_items(view, frame),
        *mixer_items(view, frame),
        *probe_study_items(view),
    ]


def _mask_ratio(frame: pd.DataFrame, sheet: Sheet) -> list[Item]:
    rows = frame[(frame["study"] == "mask_ratio_probe") & (frame["metric"] == "f1") & (frame["split"] == "test")]
    if rows.empty:
        return []
    figure, axes = sheet.axes(width=5.4)
    for index, (name, values) in enumerate(rows.groupby("class", sort=False)):
        ordered = values.assign(ratio=values["point"].astype(float)).groupby("ratio")[["value", "low", "high"]].mean()
        below, above = ordered["value"] - ordered["low"], ordered["high"] - ordered["value"]
        style = {"color": colour(index), "label": name or "mean", "capsize": 2, "elinewidth": 0.9}
        axes.errorbar(ordered.index, ordered["value"], (below, above), fmt=marker(index) + "-", **style)
    axes.set_xticks(sorted(rows["point"].astype(float).unique()))
    axes.set_xlabel("mask ratio (share of tokens)")
    axes.set_ylabel("probe F1")
    axes.set_ylim(0, 1.02)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    caption = (
        "Linear probe of encoders pretrained with different mask ratios, everything else equal; bars: 95 % over seeds of the probe and resampled "
        "test events."
    )
    return [sheet.finish(figure, "mask-ratio", "Mask ratio", caption)]


def variants_table(view: View, frame: pd.DataFrame) -> list[Item]:
    """Return the scores of every variant, their change against the base run, and that change over the remaining gap to 1.

    Args:
        view: the system.
        frame: metrics of the ablations with ``study axis point``.
    """
    rows = frame[(frame["study"] == "ablation_heads") & (frame["split"] == "test") & (frame["class"] == "")]
    if rows.empty:
        return []
    tasks = {axis.removeprefix("variant/"): "" for axis in rows["axis"].unique()}
    tasks = {task: view.main_score(task) for task in tasks}
    scores: dict[tuple[str, str], pd.Series[float]] = {}  # by variant and task: one value per seed
    for task in tasks:
        chosen = rows[(rows["axis"] == f"variant/{task}") & (rows["metric"] == tasks[task])]
        for point, found in chosen.groupby("point", sort=False):
            scores[str(point), task] = found.groupby("seed")["value"].mean()
    points = list(dict.fromkeys(p for p, _ in scores))
    base = next((p for p in points if p.startswith("base")), None)
    body: list[list[object]] = []
    for point in points:
        cells: list[object] = []
        for task in tasks:
            mine, reference = scores.get((point, task)), scores.get((base or "", task))
            cells += [None] * 3 if mine is None else _change(mine, None if point == base else reference)
        body.append([f"{point} (here)", *cells])
    published = view.published("ablation_heads")
    for name, changes in published.rows.items():
        cells = []
        for task in tasks:
            cells += ["", Markup(number(changes.get(task), 4)), ""]
        body.append([f"{name} (paper)", *cells])
    titles = {task: task_title(task, view.detector.labels[task]) for task in tasks}
    head = ["variant"] + [h for t in tasks for h in (f"{titles[t]}: {score_name(tasks[t])}", "change", "gap to 1")]
    seeds = max(len(found) for found in scores.values())
    caption = (
        "Each variant is pretrained with the same budget as the base run and gets its own adapters. Change: variant minus base, paired by "
        "seed of the adapters. Gap to 1: by how much the distance to a perfect score grows. "
        + (
            f"In brackets 95 % over {seeds} seeds. "
            if seeds > 1
            else "One seed: no intervals, so no change here is settled. "
        )
        + "One pretraining per variant."
        + (f" Paper: {published.source}." if published.source else "")
    )
    return [table(view.sheet, "ablations", "One thing changed", head, body, caption, wide=True)]


def _change(mine: "pd.Series[float]", base: "pd.Series[float] | None") -> list[object]:
    """Return the cells of one variant and task: score, change, relative growth of the gap to 1, each with its interval over seeds."""
    score = mean_and_error(mine.tolist())
    cells: list[object] = [Markup(with_interval(score.value, score.low, score.high, 4))]
    both = [] if base is None else sorted(set(mine.index) & set(base.index))
    if base is None or not both:
        return [*cells, "", ""]
    a, b = mine.loc[both].tolist(), base.loc[both].tolist()
    growth = mean_and_error([100 * (y - x) / max(1 - y, 1e-9) for x, y in zip(a, b, strict=True)])
    change = paired_difference(a, b)
    return [*cells, *(Markup(_signed(e, digits, unit)) for e, digits, unit in ((change, 4, ""), (growth, 1, " %")))]


def _signed(estimate: Estimate, digits: int, unit: str) -> str:
    """Write a difference with its sign and, over several seeds, its interval."""
    value, low, high = (f"{round(v, digits) + 0.0:+.{digits}f}" for v in (estimate.value, estimate.low, estimate.high))
    interval = "" if np.isnan(estimate.low) else f' <span class="interval">[{low}, {high}]</span>'
    return f"{value}{unit}{interval}".replace("-", "\u2212")


def _rescaling(sheet: Sheet, frame: pd.DataFrame) -> list[Item]:
    """Return what weighting the training loss by difficulty does to the unweighted error of easy and hard events."""
    rows = frame[(frame["study"] == "ablation_pretrain") & (frame["split"] == "validation")]
    rows = rows[rows["point"].str.contains(r"^(?:base|rescale)", regex=True)]
    if not rows["point"].str.startswith("rescale").any():
        return []
    whole = rows[rows["metric"] == "validation_loss"].groupby("point", sort=False)["value"].mean()
    groups = rows[rows["metric"] == "error_of_difficulty"].groupby(["point", "class"], sort=False)["value"].mean()
    names = sorted({str(name) for _, name in groups.index})
    base = next(p for p in whole.index if str(p).startswith("base"))
    body: list[list[object]] = []
    for point in whole.index:
        cells = [_against(float(whole[point]), float(whole[base]), point == base)]
        for name in names:
            cells.append(_against(float(groups[point, name]), float(groups[base, name]), point == base))
        body.append([point, *cells])
    floor = rows.loc[rows["metric"] == "floor_own_position", "value"]
    if len(floor):
        body.append(["floor: own position", Markup(number(float(floor.mean()), 5)), *[""] * len(names)])
    labels = [f"{n}{' (easiest)' if n == names[0] else ' (hardest)' if n == names[-1] else ''}" for n in names]
    caption = (
        "Unweighted error on the same fixed validation events, and on its groups of equal numbers of events by difficulty (mean squared "
        "distance of points to their targets). In training, events weigh by the mean difficulty of their bin (difficulty) or its inverse: "
        "the two readings of arXiv 2508.14087, App. B.7."
    )
    head = ["training loss", "all events", *(f"group {name}" for name in labels)]
    return [table(sheet, "rescaling", "Weighting the loss by difficulty", head, body, caption, wide=True)]


def _against(value: float, base: float, is_base: bool) -> Markup:
    return Markup(number(value, 5) if is_base else f"{number(value, 5)} ({100 * (value / base - 1):+.1f} %)")
