"""Linear probes of tokens: F1 per class against pretraining step, and the table after a fifth of the steps and at the end."""

import pandas as pd

from tpcfm.evaluate.study import collect_studies
from tpcfm.plan.table import Plan
from tpcfm.report.draw.style import Item, Sheet, colour, legend, marker
from tpcfm.report.names import plain
from tpcfm.report.published import numbers as published
from tpcfm.report.tables import Markup, share_with_interval, table
from tpcfm.workspace import Workspace

CLASSES = ("mean", "track", "shower", "delta", "Michel")


def probe_items(plan: Plan, workspace: Workspace, sheet: Sheet) -> list[Item]:
    """Return the curve and the table of the probe (arXiv 2502.02558, Table 1)."""
    return [*_curves(plan, workspace, sheet), *_table(plan)]


def _curves(plan: Plan, workspace: Workspace, sheet: Sheet) -> list[Item]:
    """Return F1 per class against step for every objective, from the small probes made during pretraining."""
    study = plan.studies.get("pretrain_polar_mae")
    logs = []
    for point in study.points if study else []:
        path = workspace.run(point.run) / "log.parquet"
        if path.exists():
            log = pd.read_parquet(path)
            logs.append(log[log["split"] == "validation"].assign(objective=point.value))
    if not logs or all("probe_f1" not in log for log in logs):
        return []
    frame = pd.concat(logs, ignore_index=True)
    figure, grid = sheet.axes(3, 2, width=3.3, height=2.5)
    for axes, name in zip(grid.flat, CLASSES, strict=False):
        column = "probe_f1" if name == "mean" else f"probe_f1_{name}"
        if column not in frame:
            continue
        for index, (objective, rows) in enumerate(frame.dropna(subset=[column]).groupby("objective", sort=False)):
            mean = rows.groupby("step")[column].mean()
            axes.plot(
                mean.index, mean.to_numpy(), marker(index) + "-", color=colour(index), label=plain(str(objective))
            )
        axes.set_title(name)
        axes.set_xlabel("pretraining step")
        axes.set_ylabel("probe F1")
        axes.set_ylim(0, 1.02)
    grid.flat[-1].axis("off")
    handles, labels = grid.flat[0].get_legend_handles_labels()
    if handles:
        grid.flat[-1].legend(handles, labels, loc="center", title="objective")
    else:
        legend(grid.flat[0])
    caption = (
        "F1 of a linear SVM per class on frozen tokens, fitted on a few training events and scored on a few validation events at each validation; "
        "step 0: random weights; mean over pretraining seeds. A curve to look at: the table below uses more events of the test split."
    )
    return [sheet.finish(figure, "probe-curve", "Token quality against pretraining step", caption, wide=True)]


def _table(plan: Plan) -> list[Item]:
    frame = collect_studies(plan, ["pretrain"])
    frame = frame[frame["study"] == "probe"]
    f1 = frame[frame["metric"] == "f1"]
    if f1.empty:
        return []
    steps = frame[frame["metric"] == "step"].groupby("point")["value"].mean()
    rows: list[list[object]] = []
    for (start, task), values in f1.groupby(["point", "task"], sort=False):
        cells: list[object] = []
        for name in CLASSES:
            chosen = values[values["class"].isin([name, ""] if name == "mean" else [name])]
            cells.append(Markup(share_with_interval(*chosen[["value", "low", "high"]].mean())) if len(chosen) else None)
        rows.append([f"{plain(str(start))} (here)", _steps(plan, str(start), str(task), steps), *cells])
    order = list(dict.fromkeys(row[0] for row in rows))
    rows.sort(key=lambda row: (order.index(row[0]), row[1] if isinstance(row[1], int) else 0))
    for name, numbers in published.PROBE.items():
        model, _, count = name.partition(", ")
        thousands = int(count.removesuffix("k steps"))
        rows.append([f"{model} (paper, {published.DATA_2502})", 1000 * thousands, *(numbers[c] for c in CLASSES)])
    caption = (
        "F1 of a linear SVM per class on frozen tokens (a token counts for a class if any of its points has it), with 95 % intervals, after the "
        "first validation at or behind a fifth of the steps and at the end. Steps 0: random weights. Rows marked paper: arXiv 2502.02558, Table 1, "
        f"{published.DATA_2502}; ours come from the dataset named under Data and are not comparable in absolute terms."
    )
    return [table("probe", "Linear probe of frozen tokens", ["start", "steps", *CLASSES], rows, caption)]


def _steps(plan: Plan, start: str, task: str, early: "pd.Series[float]") -> object:
    """Return after how many steps the tokens of a row were taken."""
    if start == "random":
        return 0
    if task == "probe_fifth":
        return int(early[start]) if start in early.index else ""
    runs = [p.run for p in plan.studies["pretrain_polar_mae"].points if p.value == start]
    return int(plan.runs[runs[0]].config["train"]["steps"]) if runs else ""
