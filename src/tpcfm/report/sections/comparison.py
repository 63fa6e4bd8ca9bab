"""Comparison systems, FM4NPP and the adapter alone in the tables of arXiv 2508.14087 (2, 4, 5 and 6), the published values beside ours."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel

from tpcfm.evaluate.study import collect_studies
from tpcfm.files import read_json
from tpcfm.models.baselines.settings import GraphNetConfig, VoxelUNetConfig
from tpcfm.models.baselines.track_settings import EggNetConfig, ExaTrkxConfig, HeptConfig
from tpcfm.models.fm4npp.settings import AdapterConfig
from tpcfm.plan.table import Plan
from tpcfm.report.draw.style import Item
from tpcfm.report.names import SYSTEMS, score_name
from tpcfm.report.published import comparison as by_class
from tpcfm.report.published import numbers as published
from tpcfm.report.sections.labels import TASKS, mean_over_seeds
from tpcfm.report.tables import Markup, number, table, with_interval
from tpcfm.workspace import Workspace

PAPER_NAMES = {
    "SAGE": "SAGEConv",
    "GraphConv": "GraphConv",
    "GCN": "GCNConv",
    "GAT": "GATConv",
    "voxel U-Net with queries": "OneFormer3D",
    "EggNet": "EggNet",
    "Exa.TrkX": "Exa.TrkX",
    "HEPT": "HEPT",
    "adapter only": "adapter only",
    "m6 pretrained": "FM4NPP m6",
}
"""Which published row stands beside one of ours."""
BLOCKS: dict[str, type[BaseModel]] = {
    "graph": GraphNetConfig,
    "voxel": VoxelUNetConfig,
    "eggnet": EggNetConfig,
    "exatrkx": ExaTrkxConfig,
    "hept": HeptConfig,
}
FURTHER = {"f1_calibrated": "macro F1, calibrated", "ari_calibrated": "ARI, decision calibrated"}
NOT_SIZES = ("eps", "thresholds", "min_cluster", "min_samples", "stage_steps")
SELECTED = {"": "helix fit", "_truth": "truth", "_primary": "from the beam line"}
Key = tuple[str, int]
Reference = Mapping[str, Mapping[str, Any]]


def comparison_tables(plan: Plan) -> list[Item]:
    """Return the tables of every task that the plan has."""
    frame = collect_studies(plan, ["finetune", "baselines"])
    frame = frame[frame["split"].isin(["test", ""])].replace({"point": SYSTEMS})
    items: list[Item] = []
    for task, (title, metrics, reference) in TASKS.items():
        rows = frame[frame["study"].isin([f"adapters_{task}", f"baselines_{task}"])]
        whole = rows[rows["class"] == ""]
        if whole.empty:
            continue
        items.append(
            _scores(
                f"table-{task}",
                f"{title} (Table 2)",
                whole,
                metrics,
                reference,
                by_class.MAJORITY.get(task),
                FURTHER,
            )
        )
        items.append(_costs(f"table-{task}-cost", f"{title}: size and cost", plan, whole, reference))
        if task == "tracks":
            points = tuple(by_class.SPACEPOINTS["EggNet"])
            items.append(
                _scores("table-tracks-points", f"{title}, points (Table 6)", whole, points, by_class.SPACEPOINTS)
            )
            items += given_clusterings(rows) + selected_table(whole)
        else:
            number_of = {"pid": 4, "noise": 5}[task]
            classes = by_class.PID_BY_CLASS if task == "pid" else by_class.NOISE_BY_CLASS
            items += _by_class(f"table-{task}-classes", f"{title} by class (Table {number_of})", rows, classes)
    return items


def _means(rows: pd.DataFrame, metric: str) -> dict[Key, Any]:
    """Return mean, interval and number of seeds by system and label count."""
    found = mean_over_seeds(rows[rows["metric"] == metric].dropna(subset="value"))
    keys = zip(found["point"].astype(str), found["n_labels"].astype(int).tolist(), strict=True)
    return dict(zip(keys, found.itertuples(), strict=True))


def _cell(row: Any) -> object:
    return None if row is None else Markup(with_interval(row.value, row.low, row.high))


def _labels(key: Key) -> object:
    return key[1] if key[1] > 0 else ""


def _others(keys: Iterable[Key], reference: Iterable[str]) -> list[str]:
    """Return the published systems that none of ours stands beside."""
    shown = {PAPER_NAMES.get(name) for name, _ in keys}
    return [name for name in reference if name not in shown]


def _scores(
    name: str,
    title: str,
    rows: pd.DataFrame,
    metrics: tuple[str, ...],
    reference: Reference,
    floor: float | None = None,
    further: Mapping[str, str] | None = None,
) -> Item:
    """Return the table of some metrics beside the paper's; ``further`` names metrics that the paper has not, with their heads."""
    means = {metric: _means(rows, metric) for metric in (*metrics, *(further or {}))}
    alone = [m for m in further or {} if means[m]]
    keys = list(means[metrics[0]])
    body: list[list[object]] = []
    for key in keys:
        paper = reference.get(PAPER_NAMES.get(key[0], ""), {})
        cells = [cell for m in metrics for cell in (_cell(means[m].get(key)), paper.get(m))]
        cells += [_cell(means[m].get(key)) for m in alone]
        body.append([key[0], _labels(key), int(means[metrics[0]][key].seeds), *cells])
    majority = rows.loc[rows["metric"] == "majority", "value"]
    if floor is not None and len(majority):
        rest = [None] * (2 * len(metrics) - 2 + len(alone))
        body.append(["majority class", "", "", float(majority.mean()), floor, *rest])
    for other in _others(keys, reference):
        paper_cells = [c for m in metrics for c in (None, reference[other].get(m))]
        body.append([f"{other} (paper)", "", "", *paper_cells, *[None] * len(alone)])
    caption = (
        "Ours: mean over seeds with a 95 % t-interval, on the events named above, the same label subsets, seeds and selection for all "
        f"systems. Paper: arXiv 2508.14087, 70,000 labelled events of {published.DATA_2508}, other data than ours unless said so."
    )
    if floor is not None:
        caption += " The paper's majority class follows from the recalls and precisions of its Tables 4 and 5."
    if "efficiency" in metrics:
        caption += " The clustering of each comparison system is the best on validation events."
    if "ari_calibrated" in alone:
        caption += (
            " Calibrated: what a query needs to count as a track is chosen on validation events, as the clusterings are; the other columns "
            "of adapters follow the published rule, a class probability above one half."
        )
    elif alone:
        caption += (
            " Calibrated: decisions with one offset per class, chosen on validation events; it shows what a network knows of a rare class "
            "that is hardly ever the most probable one."
        )
    names = [score_name(m) for m in metrics]
    head = [h for title in names for h in (title, f"{title}, paper")]
    return table(name, title, ["system", "labels", "seeds", *head, *((further or {})[m] for m in alone)], body, caption)


def given_clusterings(rows: pd.DataFrame) -> list[Item]:
    """Return the scores of the comparison systems under the clustering that the paper gives; nothing where there are none."""
    given = rows[(rows["class"] != "") & (rows["split"] == "test") & rows["study"].str.startswith("baselines_")]
    metrics = ("ari", "efficiency", "purity")
    body: list[list[object]] = []
    for clustering in given["class"].unique():
        means = {m: _means(given[given["class"] == clustering], m) for m in metrics}
        for key in means["ari"]:
            paper = published.CLUSTERINGS.get((key[0], clustering), {})
            cells = [cell for m in metrics for cell in (_cell(means[m].get(key)), paper.get(m))]
            body.append([key[0], _labels(key), clustering.replace("_", " "), *cells])
    if not body:
        return []
    caption = (
        "The same networks, with the parameters of the clustering as published in place of those tuned on validation events; of the Kalman "
        "filter its default cuts. Paper: arXiv 2508.14087, Table 2 and App. C."
    )
    head = [h for m in metrics for h in (score_name(m), f"{score_name(m)}, paper")]
    return [
        table(
            "table-tracks-given",
            "Track finding, clustering as published",
            ["system", "labels", "clustering", *head],
            body,
            caption,
        )
    ]


def _costs(name: str, title: str, plan: Plan, rows: pd.DataFrame, reference: Reference) -> Item:
    sizes = _means(rows, "parameters")
    seconds, speed = _means(rows, "training_seconds"), _means(rows, "events_per_second")
    stopped = rows[rows["metric"] == "stopped_early"].groupby(["point", "n_labels"])["value"]
    plateaus, seeds = stopped.mean().to_dict(), stopped.size().to_dict()
    edge = rows[rows["metric"] == "tuned_at_edge"].groupby(["point", "n_labels"])["value"].mean()
    runs = rows.groupby(["point", "n_labels"])["run"].first()
    workspace = Workspace(Path(plan.config["results"]))
    body: list[list[object]] = []
    for key in sizes:
        paper = reference.get(PAPER_NAMES.get(key[0], ""), {}).get("parameters")
        run = runs[key]
        body.append(
            [
                key[0],
                _labels(key),
                _millions(sizes[key].value),
                _millions(paper),
                seconds[key].value if key in seconds else None,
                device(workspace.run(run) / "run.json"),
                speed[key].value if key in speed else None,
                _ended(plateaus[key], seeds[key]) if key in plateaus and key[1] else "",
                "tuned at the edge of the grid" if edge.get(key, 0) > 0 else "",
                reduced(plan.runs[run].config),
            ]
        )
    caption = (
        "Reduced: sizes that differ from the paper's, which stand in brackets. Training ended on a plateau of the validation loss, or with "
        "its budget before one (then more steps might help). Adapters: time of the head alone; events/s with the backbone. Comparison "
        "systems: events/s with graphs and clustering. Mean over seeds, one core or GPU each."
    )
    head = [
        "system",
        "labels",
        "parameters",
        "parameters, paper",
        "training (s)",
        "on",
        "events/s",
        "ended by",
        "clustering or decision",
        "reduced",
    ]
    return table(name, title, head, body, caption)


def _ended(share: float, runs: float) -> str:
    """Say how the trainings of all seeds ended."""
    plateau = round(share * runs)
    if plateau == runs:
        return "plateau"
    return "budget" if not plateau else f"budget ({int(runs - plateau)} of {int(runs)})"


def reduced(config: Mapping[str, Any]) -> str:
    """Name the sizes of a run that differ from the paper's, which are the defaults: ``width 64 (256)``."""
    found = [(config[name], kind) for name, kind in BLOCKS.items() if config.get(name)]
    fields: list[str] = []
    if not found and "queries" in config:
        found, fields = [(config, AdapterConfig)], ["width", "queries"] if config.get("task") == "tracks" else ["width"]
    parts = []
    for values, kind in found:
        usual = {name: field.get_default(call_default_factory=True) for name, field in kind.model_fields.items()}
        for name in fields or [n for n in usual if n not in NOT_SIZES]:
            ours, paper = (list(v) if isinstance(v, tuple | list) else v for v in (values[name], usual[name]))
            if ours != paper:
                parts.append(f"{name.replace('_', ' ')} {ours} ({paper})")
    return ", ".join(parts)


def device(record: Path) -> str:
    """Return what a run was trained on, from its ``run.json``; empty if there is none."""
    hardware = (read_json(record) if record.is_file() else {}).get("hardware") or {}
    if hardware.get("gpus"):
        return str(hardware["gpus"][0])
    threads = hardware.get("threads")
    return "" if not hardware else f"CPU, {threads} thread{'' if threads == 1 else 's'}"


def _by_class(name: str, title: str, rows: pd.DataFrame, reference: Mapping[str, by_class.Scores]) -> list[Item]:
    classes = list(next(iter(reference.values())))
    means = {(c, m): _means(rows[rows["class"] == c], m) for c in classes for m in ("recall", "precision")}
    keys = list(dict.fromkeys(key for found in means.values() for key in found))
    if not keys:
        return []

    def cell(ours: Any, paper: by_class.Scores, label: str, place: int) -> Markup:
        beside = number(paper[label][place]) if label in paper else "–"
        text = "–" if ours is None else with_interval(ours.value, ours.low, ours.high)
        return Markup(f'{text}<br><span class="interval">paper {beside}</span>')

    body: list[list[object]] = []
    for key in keys:
        paper = reference.get(PAPER_NAMES.get(key[0], ""), {})
        for place, metric in enumerate(("recall", "precision")):
            cells = [cell(means[c, metric].get(key), paper, c, place) for c in classes]
            body.append([key[0], _labels(key), metric, *cells])
    for other in _others(keys, reference):
        for place, metric in enumerate(("recall", "precision")):
            body.append([f"{other} (paper)", "", metric, *(cell(None, reference[other], c, place) for c in classes)])
    caption = (
        "Mean over seeds with a 95 % t-interval; below it the published value. A dash: the class does not occur. The published FM4NPP row by "
        "class disagrees with the published Table 2 (its recalls imply a lower accuracy); Table 2 is the reference."
    )
    return [table(name, title, ["system", "labels", "", *classes], body, caption)]


def selected_table(rows: pd.DataFrame) -> list[Item]:
    """Return the table of efficiencies for the tracks that experiments quote; nothing without any such track."""
    names = {f"efficiency_selected{kind}": head for kind, head in SELECTED.items()}
    means, tracks = {name: _means(rows, name) for name in names}, _means(rows, "efficiency_selected_tracks")
    if not tracks:
        return []
    body: list[list[object]] = []
    for key, count in tracks.items():
        body.append([key[0], _labels(key), int(count.value), *(_cell(means[name].get(key)) for name in names)])
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


def _millions(value: float | None) -> object:
    if value == 0:
        return "none"
    return None if value is None else f"{value / 1e6:.{2 if value >= 1e5 else 3}f} M"
