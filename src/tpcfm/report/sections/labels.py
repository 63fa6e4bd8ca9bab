"""Section "Few labels": metrics against the number of labelled events."""

import pandas as pd

from tpcfm.evaluate.study import collect_studies
from tpcfm.plan.table import Plan
from tpcfm.report.draw.style import Item, Sheet, colour, legend, log_axes, marker
from tpcfm.report.names import SYSTEMS
from tpcfm.report.names import TASKS as TASK_NAMES
from tpcfm.report.published import numbers as published
from tpcfm.report.sections.floors import draw_majority
from tpcfm.report.sections.label_sizes import ari_by_size

TASKS = {
    "tracks": (TASK_NAMES["tracks"], ("ari", "efficiency", "purity"), published.TRACKS),
    "pid": (TASK_NAMES["pid"], ("accuracy", "recall", "precision"), published.PID),
    "noise": (TASK_NAMES["noise"], ("accuracy", "recall", "precision"), published.NOISE),
}


def mean_over_seeds(frame: pd.DataFrame) -> pd.DataFrame:
    """Return ``point n_labels value low high seeds``: mean over seeds with a 95 % t-interval (NaN for one seed)."""
    from scipy.stats import t

    grouped = frame.groupby(["point", "n_labels"], sort=False)["value"].agg(["mean", "std", "count"]).reset_index()
    half = t.ppf(0.975, (grouped["count"] - 1).clip(lower=1)) * grouped["std"] / grouped["count"] ** 0.5
    half = half.where(grouped["count"] > 1)
    return pd.DataFrame(
        {
            "point": grouped["point"],
            "n_labels": grouped["n_labels"],
            "value": grouped["mean"],
            "low": grouped["mean"] - half,
            "high": grouped["mean"] + half,
            "seeds": grouped["count"],
        }
    )


def label_curves(axes: object, frame: pd.DataFrame) -> None:
    """Draw the result of `mean_over_seeds`, one line per point, on a logarithmic axis of labelled events."""
    for index, point in enumerate(frame["point"].unique()):
        rows = frame[frame["point"] == point].sort_values("n_labels")
        if rows["n_labels"].max() < 1:  # learns nothing from labels
            axes.axhline(rows["value"].mean(), color=colour(index), linestyle=":", label=point)  # type: ignore[attr-defined]
            continue
        style = "--" if point in ("adapter only", "random/peft", "random/full") else "-"
        style = ":" if point in SYSTEMS.values() else style
        axes.plot(rows["n_labels"], rows["value"], marker(index) + style, color=colour(index), label=point)  # type: ignore[attr-defined]
        if rows["low"].notna().all():
            axes.fill_between(rows["n_labels"], rows["low"], rows["high"], color=colour(index), alpha=0.12)  # type: ignore[attr-defined]
    axes.set_xlabel("labelled events")  # type: ignore[attr-defined]
    log_axes(axes)  # type: ignore[arg-type]
    counts = sorted(n for n in frame["n_labels"].unique() if n > 0)
    axes.set_xticks(counts, [f"{c:,}".replace(",", " ") for c in counts])  # type: ignore[attr-defined]
    axes.minorticks_off()  # type: ignore[attr-defined]


def adapter_items(plan: Plan, sheet: Sheet) -> list[Item]:
    """Return the label-efficiency curves of the FM4NPP tasks; the tables are those of ``comparison``."""
    frame = collect_studies(plan, ["finetune", "baselines"])
    frame = frame[frame["split"].isin(["test", ""]) & (frame["class"] == "")].replace({"point": SYSTEMS})
    tasks = [t for t in TASKS if f"adapters_{t}" in set(frame["study"])]
    if not tasks:
        return []
    figure, grid = sheet.axes(len(tasks), width=3.7, height=3.2, squeeze=False)
    for axes, task in zip(grid[0], tasks, strict=True):
        title, metrics, _ = TASKS[task]
        rows = frame[frame["study"].isin([f"adapters_{task}", f"baselines_{task}"])]
        label_curves(axes, mean_over_seeds(rows[rows["metric"] == metrics[0]]))
        draw_majority(axes, rows)
        axes.set_title(title)
        axes.set_ylabel({"ari": "ARI, mean over events"}.get(metrics[0], metrics[0]))
        legend(axes)
    caption = (
        "Frozen backbone with an adapter against the same adapter on raw points (dashed) and comparison systems (dotted). "
        "Grey dots: always the most frequent class. Bands: 95 % over seeds, where there are several."
    )
    curves = sheet.finish(figure, "labels-fm4npp", "FM4NPP: metric against labelled events", caption, wide=True)
    ari = frame[(frame["study"] == "adapters_tracks") & (frame["metric"] == "ari")]
    return [curves, *ari_by_size(mean_over_seeds(ari), sheet)]
