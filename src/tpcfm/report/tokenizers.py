"""Section "Tokenizers": missed and duplicated points of every strategy, the Pareto front, throughput."""

from pathlib import Path

import pandas as pd

from tpcfm.report.style import Item, Sheet, colour, legend, log_axes, marker


def tokenizer_items(folder: Path, sheet: Sheet) -> list[Item]:
    """Return the figures of the tokenizer study, if it was run."""
    if not (folder / "study.parquet").exists():
        return []
    study = pd.read_parquet(folder / "study.parquet")
    figure, (left, right) = sheet.axes(2, width=4.2, height=3.3)
    for index, (method, rows) in enumerate(study.groupby("method", sort=False)):
        left.plot(rows["missed"], rows["duplicated"], marker(index), color=colour(index), label=method, alpha=0.8)
    front = study[study["pareto"]].sort_values("missed")
    left.plot(front["missed"], front["duplicated"], color="#1c2733", linewidth=0.9, label="Pareto front")
    left.set_xlabel("missed points (share)")
    left.set_ylabel("duplicated points (share)")
    legend(left)
    cnms = study[study["method"] == "cnms"]
    for index, (radius, rows) in enumerate(cnms.groupby("radius")):
        ordered = rows.sort_values("overlap")
        total = ordered["missed"] + ordered["duplicated"]
        right.plot(ordered["overlap"], total, marker(index) + "-", color=colour(index), label=f"r = {radius:g} voxels")
    right.axvline(0.73, color="#6b7785", linestyle="--", linewidth=0.9, label="paper, f = 0.73")
    right.set_xlabel("overlap factor f")
    right.set_ylabel("missed + duplicated (share)")
    legend(right)
    caption = "Missed: in no group; duplicated: in more than one; both before the cap on points per group (arXiv 2502.02558, Sec. 3 and App. B)."
    items = [sheet.finish(figure, "tokenizers", "Missed against duplicated points", caption, wide=True)]
    path = folder / "throughput.parquet"
    if path.exists():
        items += _throughput(pd.read_parquet(path), sheet)
    return items


def _throughput(frame: pd.DataFrame, sheet: Sheet) -> list[Item]:
    labels = {"points": "points per event", "batch_size": "events per batch"}
    kinds = [k for k in labels if k in set(frame["against"])]
    figure, grid = sheet.axes(len(kinds), width=4.2, height=3.0, squeeze=False)
    for axes, kind in zip(grid[0], kinds, strict=True):
        for index, (method, rows) in enumerate(frame[frame["against"] == kind].groupby("method", sort=False)):
            ordered = rows.sort_values("value")
            axes.plot(
                ordered["value"], ordered["events_per_second"], marker(index) + "-", color=colour(index), label=method
            )
        axes.set_xlabel(labels[kind])
        axes.set_ylabel("events per second, one core")
        log_axes(axes, x=True, y=True)
    legend(grid[0][0])
    caption = "Tokenizing on one processor core, against the size of the event and of the batch."
    return [sheet.finish(figure, "tokenizer-throughput", "Throughput", caption, wide=True)]
