"""ARI against labelled events with one curve per backbone size, beside the adapter on raw points (arXiv 2508.14087, Sec. 5)."""

import re

import pandas as pd

from tpcfm.report.draw.style import Item, Sheet, colour, legend, log_axes
from tpcfm.report.published import numbers as published

ALONE = "adapter only"


def ari_by_size(means: pd.DataFrame, sheet: Sheet) -> list[Item]:
    """Return the figure of ARI over labels by backbone size, and of the gain over the adapter alone.

    Args:
        means: ``point n_labels value low high``, one row per system and label count; points "m1 pretrained", "adapter only".
    """
    sizes = sorted({str(p) for p in means["point"] if re.fullmatch(r"m\d pretrained", str(p))})
    if not sizes:
        return []
    alone = means[means["point"] == ALONE].set_index("n_labels")["value"]
    with_gain = bool(len(alone))
    figure, grid = sheet.axes(1 + with_gain, width=4.2, height=3.3, squeeze=False)
    for index, point in enumerate([*sizes, *([ALONE] if with_gain else [])]):
        rows = means[means["point"] == point].sort_values("n_labels")
        style = {"linestyle": "--", "color": "#6b7785"} if point == ALONE else {"color": colour(index)}
        label = point.removesuffix(" pretrained")
        grid[0][0].plot(rows["n_labels"], rows["value"], marker="o", label=label, **style)
        if rows["low"].notna().all():
            grid[0][0].fill_between(rows["n_labels"], rows["low"], rows["high"], color=style["color"], alpha=0.12)
        if point != ALONE and with_gain:
            gain = (rows.set_index("n_labels")["value"] / alone).dropna()
            grid[0][1].plot(gain.index, gain, "o-", color=colour(index), label=label)
    grid[0][0].set_ylabel("ARI, mean over events")
    if with_gain:
        grid[0][1].set_ylabel("ARI / ARI of the adapter alone")
        for name, value in published.ARI_GAIN.items():
            grid[0][1].axhline(value, color="#6b7785", linestyle=":", linewidth=1)
            said = f"paper, m6, {name}: {value:g}"
            where = {"xycoords": ("axes fraction", "data"), "ha": "right", "va": "bottom"}
            grid[0][1].annotate(said, (1, value), fontsize=7.5, **where)
        grid[0][1].axhline(1, color="#6b7785", linewidth=0.8)
    for axes in grid[0]:
        axes.set_xlabel("labelled events")
        log_axes(axes)
        counts = sorted(means["n_labels"].unique())
        axes.set_xticks(counts, [f"{c:,}".replace(",", " ") for c in counts])
        axes.minorticks_off()
        legend(axes)
    caption = (
        "Track finding with the adapter on each frozen backbone and on raw points (dashed). Bands: 95 % over seeds, where there are "
        "several. Dotted: gains printed in arXiv 2508.14087, Sec. 5, other data."
    )
    return [sheet.finish(figure, "labels-ari", "ARI against labelled events, by backbone size", caption, wide=True)]
