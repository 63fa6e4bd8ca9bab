"""Section "Tokenizers": missed and duplicated points of every strategy, the Pareto front, sizes of tokens, throughput."""

from typing import Any

import pandas as pd

from tpcfm.report.draw.style import Item, Sheet, colour, legend, log_axes, marker
from tpcfm.report.names import ABBREVIATIONS, TOKENIZERS, tokenizer
from tpcfm.report.view import View

RADIUS = 5.0  # voxels, of the paper


def tokenizer_items(view: View) -> list[Item]:
    """Return the figures of the tokenizer study, if it was run."""
    folder, sheet = view.workspace.study("tokenizer", view.system), view.sheet
    if not (folder / "study.parquet").exists():
        return []
    study = pd.read_parquet(folder / "study.parquet")
    figure, (left, middle, right) = sheet.axes(3, width=3.9, height=3.3)
    for axes, suffix, title in ((left, "_before_cap", "before the cap"), (middle, "", "after the cap")):
        missed, duplicated = f"missed{suffix}", f"duplicated{suffix}"
        for index, (method, rows) in enumerate(study.groupby("method", sort=False)):
            axes.plot(
                rows[missed],
                rows[duplicated],
                marker(index),
                color=colour(index),
                label=TOKENIZERS[str(method)],
                alpha=0.8,
            )
        front = study[study[f"pareto{suffix}"]].sort_values(missed)
        axes.plot(front[missed], front[duplicated], color="#1c2733", linewidth=0.9, label="Pareto front")
        axes.set_xlabel(f"missed points (share), {title}")
        axes.set_ylabel("duplicated points (share)")
    legend(left)
    cnms = study[study["method"] == "cnms"]
    for index, (radius, rows) in enumerate(cnms.groupby("radius")):
        ordered = rows.sort_values("overlap")
        for suffix, style in (("_before_cap", "-"), ("", "--")):
            label = f"r = {radius:g} voxels" if suffix else None
            total = ordered[f"total{suffix}"]
            right.plot(ordered["overlap"], total, marker(index) + style, color=colour(index), label=label)
    right.axvline(0.73, color="#6b7785", linestyle="--", linewidth=0.9, label="paper, f = 0.73")
    right.set_xlabel("overlap factor f")
    right.set_ylabel("missed + duplicated (share)")
    legend(right)
    caption = (
        "Missed: in no token; duplicated: in more than one. The cap on points per token takes points out of tokens. Every setting of radius r, "
        "overlap factor f and number of centres is one point; no other setting beats those on the front. Right: the sweep of f for C-NMS, before "
        f"(solid) and after the cap (dashed) (arXiv 2502.02558, Sec. 3 and App. B). {ABBREVIATIONS}"
    )
    items = [sheet.finish(figure, "tokenizers", "Missed against duplicated points", caption, wide=True)]
    path = folder / "group_sizes.parquet"
    if path.exists():
        items += _sizes(pd.read_parquet(path), study, sheet)
    path = folder / "throughput.parquet"
    if path.exists():
        items += _throughput(pd.read_parquet(path), sheet)
    return items


def _sizes(frame: pd.DataFrame, study: pd.DataFrame, sheet: Sheet) -> list[Item]:
    """Draw token sizes and tokens per event of each method, of its setting with fewest missed and duplicated points at the paper's radius."""
    at_radius = study[(study["radius"] == RADIUS) | study["radius"].isna()]
    compared = at_radius if set(at_radius["method"]) == set(study["method"]) else study
    best = compared.loc[compared.groupby("method", sort=False)["total"].idxmin(), "tokenizer"]
    best = sorted(best, key=lambda name: list(TOKENIZERS).index(name.split(" ")[0]))
    figure, (sizes, tokens, names) = sheet.axes(3, width=3.9, height=3.0)
    for name in best:
        index = list(TOKENIZERS).index(name.split(" ")[0])
        style: dict[str, Any] = {"color": colour(index), "linewidth": 1.6, "label": tokenizer(name)}
        for axes, quantity in ((sizes, "size_before_cap"), (tokens, "groups_per_event")):
            rows = frame[(frame["tokenizer"] == name) & (frame["quantity"] == quantity)].sort_values("value")
            share = rows["count"] / rows["count"].sum()
            if axes is sizes:
                share = share.set_axis(rows["value"]).reindex(range(int(rows["value"].max()) + 2), fill_value=0.0)
                axes.step(share.index, share, where="mid", **style)
            else:  # few events: the cumulative distribution needs no bins
                axes.step([0, *rows["value"]], [0.0, *share.cumsum()], where="post", **style)
    sizes.set_xlabel("points per token, before the cap")
    sizes.set_ylabel("share of the tokens")
    tokens.set_xlabel("tokens per event")
    tokens.set_ylabel("cumulative share of the events")
    names.axis("off")
    names.legend(*sizes.get_legend_handles_labels(), loc="center")
    caption = (
        f"Of each method the setting with fewest missed and duplicated points after the cap, at r = {RADIUS:g} voxels where the study has it; N / n: "
        "one centre per n points (arXiv 2502.02558, App. C)."
    )
    return [sheet.finish(figure, "tokenizer-sizes", "Sizes of tokens and tokens per event", caption, wide=True)]


def _throughput(frame: pd.DataFrame, sheet: Sheet) -> list[Item]:
    labels = {"points": "points per event", "batch_size": "events per batch"}
    kinds = [k for k in labels if k in set(frame["against"])]
    figure, grid = sheet.axes(len(kinds), width=4.2, height=3.0, squeeze=False)
    for axes, kind in zip(grid[0], kinds, strict=True):
        for index, (method, rows) in enumerate(frame[frame["against"] == kind].groupby("method", sort=False)):
            ordered = rows.sort_values("value")
            axes.plot(
                ordered["value"],
                ordered["events_per_second"],
                marker(index) + "-",
                color=colour(index),
                label=TOKENIZERS[str(method)],
            )
        axes.set_xlabel(labels[kind])
        axes.set_ylabel("events per second, one core")
        log_axes(axes, x=True, y=True)
        ticks = sorted(frame.loc[frame["against"] == kind, "value"].unique())
        axes.set_xticks(ticks, [f"{tick // 1000}k" if tick >= 1000 else str(tick) for tick in ticks])
        axes.minorticks_off()
    legend(grid[0][0])
    caption = (
        "Events per second of processor time, the median of repeated calls. Left: events of a given size, made of simulated ones side by side; right: "
        "events of the dataset as they are, so many per call. Events are independent: more cores do more tables at a time."
    )
    return [sheet.finish(figure, "tokenizer-throughput", "Throughput of the tokenizers", caption, wide=True)]
