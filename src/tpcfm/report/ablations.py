"""Section "Ablations": each changes one thing of a base run. Losses of different objectives are never on one axis."""

import pandas as pd

from tpcfm.config.plan import Plan
from tpcfm.evaluate.study import collect_studies
from tpcfm.report import published
from tpcfm.report.adapter_studies import adapter_study_items
from tpcfm.report.labels import TASKS
from tpcfm.report.mixers import mixer_items
from tpcfm.report.style import Item, Sheet, colour
from tpcfm.report.tables import Markup, number, table


def ablation_items(plan: Plan, sheet: Sheet) -> list[Item]:
    """Return the mask-ratio figure, the table of FM4NPP variants, the effect of rescaling and the studies of the adapters."""
    frame = collect_studies(plan, ["ablations"])
    return [
        *_mask_ratio(frame, sheet),
        *_variants(frame),
        *_rescaling(frame),
        *adapter_study_items(frame, sheet),
        *mixer_items(plan, frame),
    ]


def _mask_ratio(frame: pd.DataFrame, sheet: Sheet) -> list[Item]:
    rows = frame[(frame["study"] == "mask_ratio_probe") & (frame["metric"] == "f1")]
    if rows.empty:
        return []
    figure, axes = sheet.axes(width=4.8)
    for index, (name, values) in enumerate(rows.groupby("class", sort=False)):
        mean = values.assign(ratio=values["point"].astype(float)).groupby("ratio")["value"].mean()
        axes.plot(mean.index, mean.to_numpy(), "o-", color=colour(index), label=name or "mean")
    axes.set_xlabel("mask ratio")
    axes.set_ylabel("probe F1")
    axes.legend()
    caption = "Linear probe of encoders pretrained with different mask ratios; everything else equal."
    return [sheet.finish(figure, "mask-ratio", "Mask ratio", caption)]


def _variants(frame: pd.DataFrame) -> list[Item]:
    rows = frame[(frame["study"] == "ablation_adapters") & (frame["split"] == "test") & (frame["class"] == "")]
    if rows.empty:
        return []
    tasks = [t for t in TASKS if f"variant/{t}" in set(rows["axis"])]
    values: dict[tuple[str, str], float] = {}
    for task in tasks:
        chosen = rows[(rows["axis"] == f"variant/{task}") & (rows["metric"] == TASKS[task][1][0])]
        for point, mean in chosen.groupby("point", sort=False)["value"].mean().items():
            values[str(point), task] = float(mean)
    points = list(dict.fromkeys(p for p, _ in values))
    base = next((p for p in points if p.startswith("base")), None)
    body: list[list[object]] = []
    for point in points:
        cells: list[object] = []
        for task in tasks:
            value, reference = values.get((point, task)), values.get((base or "", task))
            if value is None:
                cells += [None, None]
                continue
            cells.append(value)
            if point == base or reference is None:
                cells.append("")
            else:
                gap = (reference - value) / max(1 - reference, 1e-9)
                cells.append(Markup(f"{value - reference:+.4f} ({100 * gap:+.1f} % of the gap to 1)"))
        body.append([f"{point} (here)", *cells])
    for name, changes in published.ABLATIONS.items():
        cells = []
        for task in tasks:
            cells += ["", Markup(number(changes[task], 4))]
        body.append([f"{name} (paper, m5)", *cells])
    head = ["variant"] + [h for t in tasks for h in (f"{t}: {TASKS[t][1][0]}", "change")]
    caption = "Each variant is pretrained with the same budget as the base run and gets its own adapters. Paper: arXiv 2508.14087, Table 3."
    return [table("ablations", "FM4NPP: one thing changed", head, body, caption, wide=True)]


def _rescaling(frame: pd.DataFrame) -> list[Item]:
    """Return what weighting the training loss by difficulty does to the unweighted error of easy and hard events."""
    rows = frame[
        (frame["study"] == "ablation_pretrain") & frame["point"].str.contains(r"^(?:base|rescale)", regex=True)
    ]
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
    labels = [f"{n}{' (easiest)' if n == names[0] else ' (hardest)' if n == names[-1] else ''}" for n in names]
    caption = (
        "Unweighted error on the same fixed validation events, and on its groups of equal numbers of events by difficulty (mean squared "
        "distance of points to their targets). In training, events weigh by the mean difficulty of their bin (difficulty) or its inverse: "
        "the two readings of arXiv 2508.14087, Sec. 3.3."
    )
    head = ["training loss", "all events", *(f"group {name}" for name in labels)]
    return [table("rescaling", "Weighting the loss by difficulty", head, body, caption, wide=True)]


def _against(value: float, base: float, is_base: bool) -> Markup:
    return Markup(number(value, 5) if is_base else f"{number(value, 5)} ({100 * (value / base - 1):+.1f} %)")
