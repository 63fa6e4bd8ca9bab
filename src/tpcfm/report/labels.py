"""Section "Few labels": metrics against the number of labelled events, tables beside the papers'."""

from collections.abc import Mapping

import pandas as pd

from tpcfm.config.plan import Plan
from tpcfm.evaluate.study import collect_studies
from tpcfm.report import published
from tpcfm.report.label_sizes import ari_by_size
from tpcfm.report.style import Item, Sheet, colour, legend, log_axes, marker
from tpcfm.report.tables import Markup, table, with_interval

TASKS = {
    "tracks": ("Track finding", ("ari", "efficiency", "purity"), published.TRACKS),
    "pid": ("Particle identification", ("accuracy", "recall", "precision"), published.PID),
    "noise": ("Noise tagging", ("accuracy", "recall", "precision"), published.NOISE),
}
SYSTEMS = {
    "sage": "SAGE",
    "graph_conv": "GraphConv",
    "gcn": "GCN",
    "gat": "GAT",
    "voxel_unet": "voxel U-Net with queries",
    "eggnet": "EggNet",
    "exatrkx": "Exa.TrkX",
    "hept": "HEPT",
    "kalman": "Kalman filter",
}
SELECTED = {"": "helix fit", "_truth": "truth", "_primary": "from the beam line"}
COSTS = {"parameters": "parameters", "training_seconds": "training (s)", "events_per_second": "events/s"}


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
    """Return label-efficiency curves and tables of the FM4NPP tasks."""
    frame = collect_studies(plan, ["finetune", "baselines"])
    frame = frame[frame["split"].isin(["test", ""]) & (frame["class"] == "")].replace({"point": SYSTEMS})
    tasks = [t for t in TASKS if f"adapters_{t}" in set(frame["study"])]
    if not tasks:
        return []
    figure, grid = sheet.axes(len(tasks), width=3.7, height=3.2, squeeze=False)
    items = []
    for axes, task in zip(grid[0], tasks, strict=True):
        title, metrics, reference = TASKS[task]
        rows = frame[frame["study"].isin([f"adapters_{task}", f"baselines_{task}"])]
        label_curves(axes, mean_over_seeds(rows[rows["metric"] == metrics[0]]))
        axes.set_title(title)
        axes.set_ylabel({"ari": "ARI, mean over events"}.get(metrics[0], metrics[0]))
        legend(axes)
        items.append(_task_table(task, title, metrics, rows, reference))
        items += _selected_table(rows) if task == "tracks" else []
    caption = (
        "Frozen backbone with an adapter against the same adapter on raw points (dashed) and comparison systems (dotted). "
        "Bands: 95 % over seeds, where there are several."
    )
    curves = sheet.finish(figure, "labels-fm4npp", "FM4NPP: metric against labelled events", caption, wide=True)
    ari = frame[(frame["study"] == "adapters_tracks") & (frame["metric"] == "ari")]
    return [curves, *ari_by_size(mean_over_seeds(ari), sheet), *items]


def _task_table(
    task: str, title: str, metrics: tuple[str, ...], rows: pd.DataFrame, reference: Mapping[str, Mapping[str, float]]
) -> Item:
    columns = (*metrics, *COSTS)
    means = {
        metric: mean_over_seeds(rows[rows["metric"] == metric]).set_index(["point", "n_labels"]) for metric in columns
    }
    stopped = rows[rows["metric"] == "stopped_early"].groupby(["point", "n_labels"])["value"].min()
    body: list[list[object]] = []
    for key in means[metrics[0]].index:
        cells: list[object] = []
        for metric in columns:
            found = means[metric].loc[key] if key in means[metric].index else None
            if found is None or metric in COSTS:
                cells.append(None if found is None else _cost(metric, float(found["value"])))
            else:
                cells.append(Markup(with_interval(found["value"], found["low"], found["high"])))
        trained = key in stopped.index and key[1] > 0
        cells.append("" if not trained else "plateau" if stopped[key] else "budget")
        body.append([f"{key[0]} (here)", int(key[1]) if key[1] > 0 else "", *cells])
    floor = rows[rows["metric"] == "majority"]
    if len(floor):
        body.append(["majority class (here)", "", float(floor["value"].mean()), *[None] * len(columns)])
        body[-1][-1] = ""
    for name, numbers in reference.items():
        size = numbers.get("parameters")
        published_size = None if size is None else _cost("parameters", size)
        values = [numbers.get(m) for m in metrics]
        body.append([f"{name} (paper, TPCpp-10M)", 70_000, *values, published_size, None, None, ""])
    caption = (
        "Paper: arXiv 2508.14087, Tables 2, 4 and 5, test set of TPCpp-10M. Ours on the events named above. Comparison systems: same label "
        "subsets and selection; training ended on a plateau of the validation loss, or with its budget before one. Adapters: time "
        "of the head alone; events/s with the backbone. Times of one run on the machine it had."
    )
    return table(f"table-{task}", title, ["system", "labels", *metrics, *COSTS.values(), "ended by"], body, caption)


def _selected_table(rows: pd.DataFrame) -> list[Item]:
    """Return the table of efficiencies for the tracks that experiments quote; nothing without any such track."""
    names = {f"efficiency_selected{kind}": head for kind, head in SELECTED.items()}

    def by_system(metric: str) -> dict[tuple[str, int], float]:
        frame = mean_over_seeds(rows[rows["metric"] == metric])
        return dict(zip(zip(frame["point"], frame["n_labels"], strict=True), frame["value"], strict=True))

    means, tracks = {name: by_system(name) for name in names}, by_system("efficiency_selected_tracks")
    if not tracks:
        return []
    body: list[list[object]] = []
    for key, count in tracks.items():
        cells = [means[name].get(key) for name in names]
        body.append([f"{key[0]} (here)", int(key[1]) if key[1] > 0 else "", int(count), *cells])
    for name, value in published.SELECTED_TRACKS.items():
        body.append([f"{name} (paper)", "", "", None, value, None])
    caption = (
        "Double-majority efficiency for true tracks with |eta| < 1.1, pT > 1 GeV and at least 20 points. Helix fit: kinematics from the "
        "points of the true track, as public files need; truth: from the particles of the simulation; from the beam line: of these, "
        "particles made within 2 cm of it (nuclei from the calorimeter pass the cuts, too). Paper: arXiv 2508.14087, Sec. 5; Exa.TrkX "
        "there with the pT cut alone."
    )
    head = ["system", "labels", "tracks (helix fit)", *names.values()]
    return [table("table-tracks-selected", "Track finding, selected tracks", head, body, caption)]


def _cost(metric: str, value: float) -> object:
    if metric != "parameters":
        return value
    return f"{value / 1e6:.{2 if value >= 1e5 else 3}f} M"
