"""Efficiency of track finding against transverse momentum: figure and table, where runs have recorded it."""

from tpcfm.evaluate.momentum_bins import MIN_POINTS, momentum_rows
from tpcfm.report.draw.style import Item, colour, legend, log_axes, marker
from tpcfm.report.sections.label_tables import cell
from tpcfm.report.tables import table
from tpcfm.report.view import TaskView

MOMENTA = {"truth": "true", "fit": "helix fit"}


def momentum_items(task: TaskView) -> list[Item]:
    """Return efficiency against pT of every network at its largest number of labels, first seed; nothing without momenta."""
    metrics, sheet = task.rows, task.view.sheet
    kinds = [kind for kind in MOMENTA if len(momentum_rows(metrics, kind))]
    if not kinds:
        return []
    kind = kinds[0]  # true momenta where there are any
    rows = momentum_rows(metrics, kind)
    rows = rows[rows["n_labels"] == rows.groupby("point")["n_labels"].transform("max")]
    rows = rows[rows["seed"] == rows.groupby("point")["seed"].transform("min")].drop_duplicates(["point", "pt_low"])
    figure, axes = sheet.axes(width=5.6, height=3.4)
    for index, (point, mine) in enumerate(rows.groupby("point", sort=False)):
        mine = mine.sort_values("pt_low")
        middle = (mine["pt_low"] * mine["pt_high"]) ** 0.5 * (1 + 0.012 * index)  # so that bars do not hide each other
        error = [(mine["value"] - mine["low"]).clip(lower=0), (mine["high"] - mine["value"]).clip(lower=0)]  # rounding
        axes.errorbar(
            middle,
            mine["value"],
            error,
            fmt=marker(index) + "-",
            color=colour(index),
            label=point,
            capsize=2,
            linewidth=1.2,
        )
    axes.set_xlabel(f"{MOMENTA[kind]} pT (GeV)")
    axes.set_ylabel("efficiency")
    axes.set_ylim(0, 1.02)
    log_axes(axes)
    legend(axes, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    labels = sorted({int(n) for n in rows["n_labels"] if n > 0})
    caption = (
        f"Double-majority efficiency for true tracks with at least {MIN_POINTS} points, 95 % Wilson intervals"
        f"{'; ' + ', '.join(map(str, labels)) + ' labelled events' if labels else ''}. "
        + (
            "Momenta of the simulated particles."
            if kind == "truth"
            else "Momenta from helix fits to the true tracks, good above 0.15 GeV."
        )
    )
    bins = rows[["pt_low", "pt_high"]].drop_duplicates().sort_values("pt_low").itertuples(index=False)
    body, networks = [], list(rows["point"].unique())
    for low, high in bins:
        inside = {row.point: row for row in rows[rows["pt_low"] == low].itertuples()}
        tracks = max(int(row.tracks) for row in inside.values())
        body.append([f"{low:g} to {high:g}", tracks, *(cell(inside.get(name)) for name in networks)])
    name, head = f"efficiency-pt-{task.name}", ["pT (GeV)", "tracks", *networks]
    return [
        sheet.finish(figure, name, f"{task.title} against momentum", caption),
        table(sheet, f"table-{name}", "Efficiency in bins of pT", head, body),
    ]
