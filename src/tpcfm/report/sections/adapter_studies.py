"""Section "Ablations", the adapters: their depth with and without the backbone, and one trunk for two tasks."""

import pandas as pd

from tpcfm.report.draw.style import Item, Sheet, colour, legend, marker
from tpcfm.report.published import numbers as published
from tpcfm.report.sections.labels import mean_over_seeds
from tpcfm.report.tables import Markup, number, table, with_interval

STARTS = {"depth/pretrained": "FM4NPP", "depth/linear layer": "linear layer instead"}


def adapter_study_items(frame: pd.DataFrame, sheet: Sheet) -> list[Item]:
    """Return figure and table of the depth sweep and the table of the joint adapter.

    Args:
        frame: metrics of the ablations with ``study axis point``.
    """
    losses = frame[(frame["metric"] == "cross_entropy") & (frame["split"] == "validation")]
    return [*_depth(frame, losses, sheet), *_joint(losses)]


def _depth(frame: pd.DataFrame, losses: pd.DataFrame, sheet: Sheet) -> list[Item]:
    rows = losses[losses["study"] == "adapter_depth"]
    if rows.empty:
        return []
    means = {
        axis: mean_over_seeds(rows[rows["axis"] == axis]).assign(depth=lambda f: f["point"].astype(int)).set_index("depth").sort_index()
        for axis in STARTS
    }  # fmt: skip
    with_backbone, without = means.values()
    benefit = (1 - with_backbone["value"] / without["value"]).dropna()
    figure, (left, right) = sheet.axes(2, width=3.9, height=3.1)
    for index, (axis, name) in enumerate(STARTS.items()):
        curve = means[axis]
        left.plot(curve.index, curve["value"], marker(index) + ("-" if index == 0 else "--"), color=colour(index), label=f"{name} (here)")  # fmt: skip
        if curve["low"].notna().all():
            left.fill_between(curve.index, curve["low"], curve["high"], color=colour(index), alpha=0.12)
        known = [(d, v[axis]) for d, v in published.ADAPTER_DEPTH.items() if axis in v]
        left.plot(*zip(*known, strict=True), marker(index), color=colour(index), fillstyle="none", linestyle="", label=f"{name} (paper)")  # fmt: skip
    left.set_ylabel("validation cross-entropy")
    right.plot(benefit.index, 100 * benefit, "o-", color=colour(2), label="here")
    known = [(d, 100 * v["benefit"]) for d, v in published.ADAPTER_DEPTH.items() if "benefit" in v]
    right.plot(*zip(*known, strict=True), "o", color=colour(2), fillstyle="none", linestyle="", label="paper")
    right.axhline(0, color="#6b7785", linewidth=0.8)
    right.set_ylabel("benefit of the backbone (%)")
    for axes in (left, right):
        axes.set_xlabel("attention and feed-forward blocks")
        axes.set_xticks(sorted({*with_backbone.index, *published.ADAPTER_DEPTH}))
        legend(axes)
    caption = (
        "Particle identification. Benefit: by how much the loss with the frozen backbone lies below that with a trained linear layer in its "
        "place. Paper: arXiv 2508.14087, Fig. 13 and App. C.4, as far as printed as numbers; m6, 70,000 labels, other data."
    )
    items = [sheet.finish(figure, "adapter-depth", "Depth of the identification adapter", caption, wide=True)]
    return [*items, _depth_table(frame, means, benefit)]


def _depth_table(frame: pd.DataFrame, means: dict[str, pd.DataFrame], benefit: "pd.Series[float]") -> Item:
    chosen = frame[(frame["study"] == "adapter_depth") & (frame["metric"] == "parameters")]
    sizes = chosen[chosen["axis"] == "depth/pretrained"].groupby("point")["value"].mean()
    body: list[list[object]] = []
    for depth in sorted({d for m in means.values() for d in m.index}):
        found = [m.loc[depth] if depth in m.index else None for m in means.values()]
        cells = [None if r is None else Markup(with_interval(r["value"], r["low"], r["high"], 4)) for r in found]
        gain = Markup(f"{100 * benefit[depth]:.1f} %") if depth in benefit.index else None
        body.append([f"{depth} blocks (here)", _millions(sizes.get(str(depth))), *cells, gain])
    for depth, values in published.ADAPTER_DEPTH.items():
        cells = [values.get(axis) for axis in STARTS]  # type: ignore[misc]
        gain = Markup(f"{100 * values['benefit']:.1f} %") if "benefit" in values else None
        body.append([f"{depth} blocks (paper, m6)", _millions(values["parameters"]), *cells, gain])
    head = ["adapter", "trained parameters", *STARTS.values(), "benefit"]
    caption = "Validation cross-entropy of particle identification at the kept step. Paper: the first block lowers the loss by 45.7 %."
    return table("table-adapter-depth", "Depth of the identification adapter", head, body, caption)


def _millions(value: float | None) -> Markup | None:
    return None if value is None else Markup(f"{value / 1e6:.2f} M")


def _joint(losses: pd.DataFrame) -> list[Item]:
    rows = losses[losses["study"] == "adapter_joint"]
    if rows.empty:
        return []
    body: list[list[object]] = []
    for heads in ("separate", "joint"):
        cells: list[object] = []
        for task in ("pid", "noise"):
            found = mean_over_seeds(rows[(rows["point"] == heads) & (rows["task"] == task)]).to_dict("records")
            cells += [Markup(with_interval(r["value"], r["low"], r["high"], 4)) for r in found] or [None]
        body.append([f"{heads} (here)", *cells])
    change = rows.groupby(["point", "task"])["value"].mean()
    if {("joint", t) for t in ("pid", "noise")} | {("separate", t) for t in ("pid", "noise")} <= set(change.index):
        ratios = [100 * (change["joint", t] / change["separate", t] - 1) for t in ("pid", "noise")]
        body.append(["change (here)", *(Markup(f"{r:+.1f} %") for r in ratios)])
    for heads, known in published.ADAPTER_JOINT.items():
        body.append([f"{heads} (paper)", *(Markup(number(known[t], 4)) for t in ("pid", "noise"))])
    caption = (
        "Validation cross-entropy, each task unweighted. Joint: one trunk, two heads, losses weighted (paper: 0.5 for identification, 2.5 "
        "for noise); separate: the same trunk trained for each task alone. Paper: arXiv 2508.14087, Table 7, other data."
    )
    head = ["trunk", "particle identification", "noise tagging"]
    return [table("table-adapter-joint", "One trunk for two tasks, or one each", head, body, caption)]
