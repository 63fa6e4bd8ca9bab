"""The comparisons that the runs of a plan answer: which pairs of systems, and where their scores lie."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import pandas as pd

from tpcfm.evaluate.event_scores import NAME as EVENT_SCORES
from tpcfm.evaluate.paired import COLUMNS, MIN_EVENTS, MIN_SEEDS, compare
from tpcfm.evaluate.table import read_metrics
from tpcfm.files import read_json
from tpcfm.plan.table import Plan, Point
from tpcfm.workspace import Workspace

TASKS = ("tracks", "pid", "noise")


@dataclass(frozen=True)
class Pair:
    """Two groups of runs; the question is whether the first is above the second."""

    study: str
    first: str
    second: str
    first_runs: tuple[str, ...]
    second_runs: tuple[str, ...]

    @property
    def name(self) -> str:
        """The pair in words."""
        return f"{self.first} against {self.second}"


def standard_pairs(plan: Plan) -> list[Pair]:
    """Return the pairs that the claims of both methods rest on, as far as a plan has the runs.

    Probe: each pretraining against random weights, PoLAr-MAE against Point-MAE. Segmentation: PoLAr-MAE against the sparse U-Net,
    against Point-MAE and against random weights of the same mode. FM4NPP: pretrained adapters against adapter-only and every comparison
    system; each ablation against its base run (so k = 30 against k = 1). Probes of the PoLAr-MAE studies (tokenizers, variants, mask ratio):
    the first entry against every other.
    """
    return [pair for part in (_probe, _segmentation, _adapters, _ablations, _variants) for pair in part(plan)]


def compare_plan(plan: Plan, pairs: list[Pair] | None = None) -> pd.DataFrame:
    """Compare the pairs whose runs all have metrics; see `tpcfm.evaluate.paired.compare` for the columns, before them ``study name``.

    Systems are compared on the seeds both have. Test events without scores per event are counted by the manifest of the cache.

    Raises:
        DataError: seeds, runs or test events of a pair do not match.
    """
    workspace = Workspace(Path(plan.config["results"]))
    frames = []
    for pair in standard_pairs(plan) if pairs is None else pairs:
        tables = [[workspace.run(r) / "metrics.parquet" for r in runs] for runs in (pair.first_runs, pair.second_runs)]
        if not all(path.exists() for paths in tables for path in paths):
            continue
        first, second = (read_metrics(paths) for paths in tables)
        events = {r: workspace.run(r) / EVENT_SCORES for r in (*pair.first_runs, *pair.second_runs)}
        seeds = [set(zip(t["task"], t["n_labels"], t["seed"], strict=True)) for t in (first, second)]
        if not seeds[0] & seeds[1]:
            continue
        count = _test_events(plan, workspace, pair)
        found = compare(first, second, events=events, test_events=count, common_seeds=True)
        frames.append(found.assign(study=pair.study, comparison=pair.name))
    head = ["study", "comparison"]
    return pd.concat(frames, ignore_index=True)[head + COLUMNS] if frames else pd.DataFrame(columns=head + COLUMNS)


def markdown(frame: pd.DataFrame) -> str:
    """Write a table of comparisons as Markdown, one line per score; below it, how many rest on too few seeds or events."""
    head = ["comparison", "task", "score", "class", "labels", "first", "second", "difference [95 %]", "seeds", "events"]
    head += ["first is", "enough"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in frame.to_dict("records"):
        interval = f"{row['difference']:+.4f}"
        if row["verdict"] != "no interval":
            interval += f" [{row['low']:+.4f}, {row['high']:+.4f}]"
        labels, events = ("" if row[k] < 0 else str(row[k]) for k in ("n_labels", "events"))
        cells = [
            row.get("comparison", "first against second"),
            row["task"],
            row["metric"],
            row["class"] or "mean",
            labels,
        ]
        cells += [f"{row['first']:.4f}", f"{row['second']:.4f}", interval, str(row["seeds"]), events, row["verdict"]]
        cells.append("yes" if row["enough"] else "no")
        lines.append("| " + " | ".join(cells) + " |")
    if few := int((~frame["enough"].astype(bool)).sum()):
        lines += [
            "",
            f"{few} of {len(frame)} rest on fewer than {MIN_SEEDS} seeds or {MIN_EVENTS} events: they settle nothing.",
        ]
    return "\n".join(lines) + "\n"


def _test_events(plan: Plan, workspace: Workspace, pair: Pair) -> int:
    run = plan.runs[pair.first_runs[0]]
    if run.task == "probe":
        return int(run.config["test_events"])
    path = workspace.cache(run.cache) / "manifest.json"
    return int(read_json(path)["splits"]["test"]) if path.exists() else -1


def _points(plan: Plan, study: str, axis: str | None = None) -> dict[str, tuple[str, ...]]:
    """Return the runs of a study by the value of what it varies."""
    found: dict[str, list[str]] = {}
    points: list[Point] = plan.studies[study].points if study in plan.studies else []
    for point in points:
        if axis in (None, point.axis):
            found.setdefault(point.value, []).append(point.run)
    return {value: tuple(runs) for value, runs in found.items()}


def _probe(plan: Plan) -> Iterator[Pair]:
    runs = _points(plan, "probe")
    for first, second in combinations([n for n in ("polar_mae", "point_mae", "random") if n in runs], 2):
        yield Pair("probe", first, second, runs[first], runs[second])


def _segmentation(plan: Plan) -> Iterator[Pair]:
    runs, unet = _points(plan, "segmentation"), _points(plan, "segmentation_baselines")
    for mode in ("peft", "full"):
        starts = [s for s in ("polar_mae", "point_mae", "random") if f"{s}/{mode}" in runs]
        for name in starts:
            for baseline, theirs in unet.items():
                yield Pair("segmentation", f"{name}/{mode}", baseline, runs[f"{name}/{mode}"], theirs)
        for a, b in combinations(starts, 2):
            yield Pair("segmentation", f"{a}/{mode}", f"{b}/{mode}", runs[f"{a}/{mode}"], runs[f"{b}/{mode}"])


def _adapters(plan: Plan) -> Iterator[Pair]:
    for task in TASKS:
        runs, baselines = _points(plan, f"adapters_{task}"), _points(plan, f"baselines_{task}")
        for name in (n for n in runs if n.endswith(" pretrained")):
            others = {n: r for n, r in runs.items() if not n.endswith(" pretrained")} | baselines
            for other, theirs in others.items():
                yield Pair(f"adapters_{task}", name, other, runs[name], theirs)


def _ablations(plan: Plan) -> Iterator[Pair]:
    for task in TASKS:
        runs = _points(plan, "ablation_adapters", f"variant/{task}")
        for base in (n for n in runs if n.startswith("base")):
            for name in (n for n in runs if n != base):
                yield Pair("ablation_adapters", base, name, runs[base], runs[name])


def _variants(plan: Plan) -> Iterator[Pair]:
    for study in ("grouping_probe", "variants_probe"):
        runs = _points(plan, study)
        for name in list(runs)[1:]:
            base = next(iter(runs))
            yield Pair(study, base, name, runs[base], runs[name])
    if runs := _points(plan, "mask_ratio_probe"):
        base = str(plan.config["polar_mae"]["mask_ratio"])
        for ratio in (r for r in runs if r != base):
            yield Pair("mask_ratio_probe", base, ratio, runs[base], runs[ratio])
