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
from tpcfm.plan.table import Plan
from tpcfm.workspace import Workspace

Runs = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Pair:
    """Two groups of runs; the question is whether the first is above the second."""

    system: str
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

    Of each system. Probes: each start against the others and against random weights. Heads of a task: every pretrained start against the
    controls and the baselines; where there are modes, within each mode. Ablations: the base against each change (so k = 30 against k = 1).
    Probes of the studies of tokenizers, variants and mask ratios: the first entry against every other.
    """
    parts = (_probe, _heads, _ablations, _variants)
    return [pair for system in plan.systems() for part in parts for pair in part(plan, system)]


def compare_plan(plan: Plan, pairs: list[Pair] | None = None) -> pd.DataFrame:
    """Compare the pairs whose runs all have metrics; see `tpcfm.evaluate.paired.compare` for the columns, before them ``system study comparison``.

    Systems are compared on the seeds both have. Test events without scores per event are counted by the manifest of the cache.

    Raises:
        DataError: seeds, runs or test events of a pair do not match.
    """
    workspace = Workspace(Path(plan.config["results"]))
    frames = []
    for pair in standard_pairs(plan) if pairs is None else pairs:
        tables = [[workspace.metrics(r) for r in runs] for runs in (pair.first_runs, pair.second_runs)]
        if not all(path.exists() for paths in tables for path in paths):
            continue
        first, second = (read_metrics(paths) for paths in tables)
        events = {r: workspace.run(r) / EVENT_SCORES for r in (*pair.first_runs, *pair.second_runs)}
        seeds = [set(zip(t["task"], t["n_labels"], t["seed"], strict=True)) for t in (first, second)]
        if not seeds[0] & seeds[1]:
            continue
        count = _test_events(plan, workspace, pair)
        found = compare(first, second, events=events, test_events=count, common_seeds=True)
        frames.append(found.assign(system=pair.system, study=pair.study, comparison=pair.name))
    head = ["system", "study", "comparison"]
    return pd.concat(frames, ignore_index=True)[head + COLUMNS] if frames else pd.DataFrame(columns=head + COLUMNS)


def markdown(frame: pd.DataFrame) -> str:
    """Write a table of comparisons as Markdown, one line per score; below it, how many rest on too few seeds or events.

    Of several systems, each line begins with its system.
    """
    several = "system" in frame and frame["system"].nunique() > 1
    head = [
        *(["system"] if several else []),
        "comparison",
        "task",
        "score",
        "class",
        "labels",
        "first",
        "second",
        "difference [95 %]",
        "seeds",
        "events",
    ]
    head += ["first is", "enough"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in frame.to_dict("records"):
        interval = f"{row['difference']:+.4f}"
        if row["verdict"] != "no interval":
            interval += f" [{row['low']:+.4f}, {row['high']:+.4f}]"
        labels, events = ("" if row[k] < 0 else str(row[k]) for k in ("n_labels", "events"))
        cells = [row["system"]] if several else []
        cells += [
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
    path = workspace.cache_manifest(run.cache)
    return int(read_json(path)["splits"]["test"]) if path.exists() else -1


def _points(plan: Plan, system: str, study: str, axis: str | None = None) -> Runs:
    """Return the runs of a study of a system by the value of what it varies."""
    found: dict[str, list[str]] = {}
    held = plan.study(system, study)
    for point in held.points if held else []:
        if axis in (None, point.axis):
            found.setdefault(point.value, []).append(point.run)
    return {value: tuple(runs) for value, runs in found.items()}


def _probe(plan: Plan, system: str) -> Iterator[Pair]:
    """Every start against those after it; random weights last."""
    runs = _points(plan, system, "probe")
    for first, second in combinations(sorted(runs, key=lambda name: name == "random"), 2):
        yield Pair(system, "probe", first, second, runs[first], runs[second])


def _heads(plan: Plan, system: str) -> Iterator[Pair]:
    for study in [s for s in plan.studies.values() if s.system == system and s.name.startswith("heads_")]:
        task = study.name.removeprefix("heads_")
        runs, baselines = _points(plan, system, study.name), _points(plan, system, f"baselines_{task}")
        pairs = _of_modes if study.points[0].axis == "start/mode" else _of_starts
        for first, second in pairs(list(runs), list(baselines)):
            yield Pair(system, study.name, first, second, runs[first], {**baselines, **runs}[second])


def _of_modes(names: list[str], baselines: list[str]) -> Iterator[tuple[str, str]]:
    """Within each mode: every start against each baseline and against the starts after it, random weights last."""
    for mode in dict.fromkeys(name.partition("/")[2] for name in names):
        starts = sorted((n for n in names if n.endswith(f"/{mode}")), key=lambda name: name.startswith("random/"))
        for name in starts:
            yield from ((name, baseline) for baseline in baselines)
        yield from combinations(starts, 2)


def _of_starts(names: list[str], baselines: list[str]) -> Iterator[tuple[str, str]]:
    """Every pretrained start against each control and each baseline; against a head without a backbone, of its width if there is one."""
    pretrained = [name for name in names if name.endswith(" pretrained")]
    controls = [name for name in names if name not in pretrained]
    alone = [name for name in controls if name.endswith("adapter only")]
    for name in pretrained:
        other_widths = set(alone) - {f"{name.split(' ')[0]} adapter only"}
        left_out = other_widths if other_widths < set(alone) else set()
        yield from ((name, other) for other in [*controls, *baselines] if other not in left_out)


def _ablations(plan: Plan, system: str) -> Iterator[Pair]:
    study = plan.study(system, "ablation_heads")
    for axis in dict.fromkeys(point.axis for point in study.points) if study else []:
        runs = _points(plan, system, "ablation_heads", axis)
        for base in (n for n in runs if n.startswith("base")):
            for name in (n for n in runs if n != base):
                yield Pair(system, "ablation_heads", base, name, runs[base], runs[name])


def _variants(plan: Plan, system: str) -> Iterator[Pair]:
    """The first entry against every other."""
    for study in ("grouping_probe", "variants_probe"):
        runs = _points(plan, system, study)
        for name in list(runs)[1:]:
            base = next(iter(runs))
            yield Pair(system, study, base, name, runs[base], runs[name])
    if runs := _points(plan, system, "mask_ratio_probe"):
        base = str(plan.config["systems"][system]["mask_ratio"])
        for ratio in (r for r in runs if r != base):
            yield Pair(system, "mask_ratio_probe", base, ratio, runs[base], runs[ratio])
