"""Section "Ablations", the adapters: their depth with and without the backbone, and one trunk for several tasks."""

import pandas as pd

from tpcfm.evaluate.table import mean_over_seeds
from tpcfm.report.draw.style import Item, colour, legend, marker
from tpcfm.report.names import task_title
from tpcfm.report.sections.label_costs import millions
from tpcfm.report.tables import Markup, number, table, with_interval
from tpcfm.report.view import View

STARTS = {"depth/pretrained": "backbone", "depth/linear layer": "linear layer instead"}


def adapter_study_items(view: View, frame: pd.DataFrame) -> list[Item]:
    """Return figure and table of the depth sweep and the table of the joint adapter.

    Args:
        view: the system.
        frame: metrics of the ablations with ``study axis point``.
    """
    losses = frame[(frame["metric"] == "cross_entropy") & (frame["split"] == "validation")]
    return [*_depth(view, frame, losses), *_joint(view, losses)]


def _task(view: View, name: str) -> str:
    return task_title(name, view.detector.labels[name])


def _source(view: View, study: str) -> str:
    return f" Paper: {view.published(study).source}." if view.published(study).source else ""


def _depth(view: View, frame: pd.DataFrame, losses: pd.DataFrame) -> list[Item]:
    rows = losses[losses["study"] == "adapter_depth"]
    if rows.empty:
        return []
    means = {
        axis: mean_over_seeds(rows[rows["axis"] == axis]).assign(depth=lambda f: f["point"].astype(int)).set_index("depth").sort_index()
        for axis in STARTS
    }  # fmt: skip
    with_backbone, without = means.values()
    benefit = (1 - with_backbone["value"] / without["value"]).dropna()
    published = view.published("adapter_depth").rows
    figure, (left, right) = view.sheet.axes(2, width=3.9, height=3.1)
    for index, (axis, name) in enumerate(STARTS.items()):
        curve = means[axis]
        left.plot(curve.index, curve["value"], marker(index) + ("-" if index == 0 else "--"), color=colour(index), label=f"{name} (here)")  # fmt: skip
        if curve["low"].notna().all():
            left.fill_between(curve.index, curve["low"], curve["high"], color=colour(index), alpha=0.12)
        if known := [(d, v[axis]) for d, v in published.items() if axis in v]:
            left.plot(*zip(*known, strict=True), marker(index), color=colour(index), fillstyle="none", linestyle="", label=f"{name} (paper)")  # fmt: skip
    left.set_ylabel("validation cross-entropy")
    right.plot(benefit.index, 100 * benefit, "o-", color=colour(2), label="here")
    if known := [(d, 100 * v["benefit"]) for d, v in published.items() if "benefit" in v]:
        right.plot(*zip(*known, strict=True), "o", color=colour(2), fillstyle="none", linestyle="", label="paper")
    right.axhline(0, color="#6b7785", linewidth=0.8)
    right.set_ylabel("benefit of the backbone (%)")
    for axes in (left, right):
        axes.set_xlabel("attention and feed-forward blocks")
        axes.set_xticks(sorted({*with_backbone.index, *published}))
        legend(axes)
    caption = (
        "Benefit: by how much the loss with the frozen backbone lies below that with a trained linear layer in its "
        f"place.{_source(view, 'adapter_depth')}"
    )
    title = f"{_task(view, str(rows['task'].iloc[0]))}: depth of the adapter"
    items = [view.sheet.finish(figure, "adapter-depth", title, caption, wide=True)]
    return [*items, _depth_table(view, title, frame, means, benefit)]


def _depth_table(
    view: View, title: str, frame: pd.DataFrame, means: dict[str, pd.DataFrame], benefit: "pd.Series[float]"
) -> Item:
    chosen = frame[(frame["study"] == "adapter_depth") & (frame["metric"] == "parameters")]
    sizes = chosen[chosen["axis"] == "depth/pretrained"].groupby("point")["value"].mean()
    body: list[list[object]] = []
    for depth in sorted({d for m in means.values() for d in m.index}):
        found = [m.loc[depth] if depth in m.index else None for m in means.values()]
        cells = [None if r is None else Markup(with_interval(r["value"], r["low"], r["high"], 4)) for r in found]
        gain = Markup(f"{100 * benefit[depth]:.1f} %") if depth in benefit.index else None
        body.append([f"{depth} blocks (here)", millions(sizes.get(str(depth))), *cells, gain])
    for depth, values in view.published("adapter_depth").rows.items():
        cells = [values.get(axis) for axis in STARTS]
        gain = Markup(f"{100 * values['benefit']:.1f} %") if "benefit" in values else None
        body.append([f"{depth} blocks (paper)", millions(values["parameters"]), *cells, gain])
    head = ["adapter", "trained parameters", *STARTS.values(), "benefit"]
    caption = f"Validation cross-entropy at the kept step.{_source(view, 'adapter_depth')}"
    return table(view.sheet, "table-adapter-depth", title, head, body, caption)


def _joint(view: View, losses: pd.DataFrame) -> list[Item]:
    rows = losses[losses["study"] == "adapter_joint"]
    if rows.empty:
        return []
    tasks = list(rows["task"].unique())
    body: list[list[object]] = []
    for heads in ("separate", "joint"):
        cells: list[object] = []
        for task in tasks:
            found = mean_over_seeds(rows[(rows["point"] == heads) & (rows["task"] == task)]).to_dict("records")
            cells += [Markup(with_interval(r["value"], r["low"], r["high"], 4)) for r in found] or [None]
        body.append([f"{heads} (here)", *cells])
    change = rows.groupby(["point", "task"])["value"].mean()
    if {(heads, t) for heads in ("joint", "separate") for t in tasks} <= set(change.index):
        ratios = [100 * (change["joint", t] / change["separate", t] - 1) for t in tasks]
        body.append(["change (here)", *(Markup(f"{r:+.1f} %") for r in ratios)])
    for heads, known in view.published("adapter_joint").rows.items():
        body.append([f"{heads} (paper)", *(Markup(number(known.get(t), 4)) for t in tasks)])
    weights = next(c for c in (view.plan.runs[r].config["weights"] for r in rows["run"]) if c)
    said = ", ".join(f"{weight:g} for {name}" for name, weight in weights.items())
    caption = (
        f"Validation cross-entropy, each task unweighted. Joint: one trunk, a head for each task, losses weighted ({said}); separate: the "
        f"same trunk trained for each task alone.{_source(view, 'adapter_joint')}"
    )
    head = ["trunk", *(_task(view, task) for task in tasks)]
    return [table(view.sheet, "table-adapter-joint", "One trunk for several tasks, or one each", head, body, caption)]
