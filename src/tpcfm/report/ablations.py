"""Section "Ablations": each changes one thing of a base run. Losses of different objectives are never on one axis."""

import pandas as pd

from tpcfm.config.plan import Plan
from tpcfm.evaluate.study import collect_studies
from tpcfm.report import published
from tpcfm.report.labels import TASKS
from tpcfm.report.style import Item, Sheet, colour
from tpcfm.report.tables import Markup, number, table


def ablation_items(plan: Plan, sheet: Sheet) -> list[Item]:
    """Return the mask-ratio figure and the table of FM4NPP variants."""
    frame = collect_studies(plan, ["ablations"])
    return [*_mask_ratio(frame, sheet), *_variants(frame)]


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
