"""Ours for a printed number: the rows of the metrics that its rules name, their mean and interval; parameter counts are computed."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tpcfm.errors import DataError
from tpcfm.evaluate.intervals import mean_and_error
from tpcfm.evaluate.sources import changes
from tpcfm.evaluate.table import COLUMNS, metrics_frame, read_metrics
from tpcfm.files import read_json
from tpcfm.plan.run import Run
from tpcfm.plan.table import Plan
from tpcfm.report.published.printed import ALL, LEAST, Number, Rule
from tpcfm.systems.registry import PARAMETER_TABLES
from tpcfm.workspace import Workspace

COMPUTED = "computed"
GPU_HOURS = "gpu_hours"
LABELLED = ("heads_", "baselines_")
"""Beginnings of the studies whose networks can be scored without training."""
SCORED = (*COLUMNS, "detector", "point", "scale", "labels")
"""Columns of the scores of published weights (`tpcfm score`)."""


@dataclass(frozen=True)
class Ours:
    """Our value with its 95 % interval, NaN without one, and where it comes from; ``exact``: it is the paper's own case."""

    value: float
    low: float
    high: float
    exact: bool
    scale: str
    system: str = ""
    point: str = ""
    n_labels: int = -1
    seeds: int = 0
    runs: tuple[str, ...] = ()


class Results:
    """The runs of a plan with the metrics of those that have finished, and scores of published weights.

    Args:
        plan: a run table; None has no runs.
        scored: metrics with the columns of `SCORED`.
    """

    def __init__(self, plan: Plan | None, scored: pd.DataFrame | None = None) -> None:
        self.plan = plan
        self.scored = pd.DataFrame(columns=list(SCORED)) if scored is None else scored

    @cached_property
    def metrics(self) -> dict[str, pd.DataFrame]:
        """Rows of each finished run, with ``scale``; also the GPU-hours that it took."""
        if self.plan is None:
            return {}
        workspace, found = Workspace(Path(self.plan.config["results"])), {}
        for run in self.plan.runs:
            if workspace.metrics(run).is_file():
                frame = read_metrics([workspace.metrics(run)])
                if (path := workspace.record(run)).is_file():
                    record = read_json(path)
                    gpus = max(1, len(record.get("hardware", {}).get("gpus", [])))
                    hours = {"run": run, "metric": GPU_HOURS, "value": gpus * record.get("seconds", np.nan) / 3600}
                    frame = pd.concat([frame, metrics_frame([hours])], ignore_index=True)
                found[run] = frame.assign(scale=str(self.plan.config["scale"]))
        return found

    @cached_property
    def _places(self) -> dict[tuple[str, str, str, str], list[str]]:
        """Runs by system, study, axis and point."""
        found: dict[tuple[str, str, str, str], list[str]] = {}
        for study in self.plan.studies.values() if self.plan else ():
            for point in study.points:
                found.setdefault((study.system, study.name, point.axis, point.value), []).append(point.run)
        return found

    @cached_property
    def _systems(self) -> dict[tuple[str, str], list[str]]:
        """Systems by family and detector of their labelled events, in the order of the configuration."""
        found: dict[tuple[str, str], list[str]] = {}
        if self.plan is not None:
            detectors = {d.name: d.load_detector().name for d in self.plan.datasets.values()}
            for key, block in self.plan.config["systems"].items():
                if block["dataset"] in detectors:
                    found.setdefault((block["family"], detectors[block["dataset"]]), []).append(key)
        return found

    def runs(self, number: Number, rule: Rule) -> list[str]:
        """Return the runs that a rule names: of the first system of the family on the paper's detector that has any."""
        for key in self._systems.get((number.family, number.detector), []):
            fit = [
                run
                for (system, study, axis, point), held in self._places.items()
                if system == key and rule.axis in ("", axis)
                and fnmatchcase(study, rule.study) and fnmatchcase(point, rule.point)
                for run in held
            ]  # fmt: skip
            if found := list(self._of_labels(dict.fromkeys(fit), rule)):
                return found
        return []

    def _of_labels(self, runs: dict[str, None], rule: Rule) -> Iterator[str]:
        """Yield the runs with the labelled events of a rule: ``all`` takes those with the most, ``least`` those with the fewest."""
        assert self.plan is not None
        counts = {run: _labels(self.plan.runs[run]) for run in runs}
        ends = {ALL: max(counts.values(), default=0.0), LEAST: min(counts.values(), default=0.0)}
        wanted = ends.get(str(rule.n_labels), rule.n_labels)
        yield from (run for run, count in counts.items() if wanted is None or count == wanted)

    def trained(self, number: Number, rule: Rule) -> list[pd.DataFrame]:
        """Return the rows of each metric of a rule, of the finished runs; nothing unless every metric has some."""
        parts = [self.metrics[run] for run in self.runs(number, rule) if run in self.metrics]
        return _chosen(pd.concat(parts, ignore_index=True).assign(point=rule.point), rule) if parts else []

    def released(self, number: Number, rule: Rule) -> list[pd.DataFrame]:
        """Return the same of the scores of published weights."""
        own = self.scored[self.scored["family"].eq(number.family) & self.scored["detector"].eq(number.detector)]
        if not rule.study.startswith(LABELLED):
            return []
        fit = [
            fnmatchcase(point, rule.point) and rule.n_labels in (None, labels)
            for point, labels in zip(own["point"], own["labels"], strict=True)
        ]
        return _chosen(own[np.array(fit, dtype=bool)], rule) if any(fit) else []


def read_scored(workspace: Workspace) -> pd.DataFrame:
    """Return the scores of published weights in a results folder, with the columns of `SCORED`."""
    parts = []
    for path in sorted(workspace.scored("*").parent.glob("*/metrics.parquet")):
        if said := changes(path.parent):
            raise DataError("\n".join([*said, "score the weights again (`tpcfm score --released`)"]))
        place = read_json(path.parent / "score.json")
        own = {name: place[name] for name in ("detector", "point", "scale")}
        parts.append(read_metrics([path]).assign(**own, labels=place["n_labels"]))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(SCORED))


def _labels(run: Run) -> float:
    return np.inf if run.n_labels == ALL else float(run.n_labels or 0)


def _chosen(frame: pd.DataFrame, rule: Rule) -> list[pd.DataFrame]:
    found = []
    for metric in rule.metric:
        wanted = frame["metric"].eq(metric) & frame["class"].eq(rule.of_class)
        if metric != GPU_HOURS:
            wanted &= frame["split"].eq(rule.split) & (frame["task"].eq(rule.task) | (rule.task == ""))
        found.append(frame[wanted].dropna(subset="value"))
    return [] if any(part.empty for part in found) else found


def find(number: Number, results: Results) -> Ours | None:
    """Return ours for a printed number, by the first of its rules that has rows; None without any."""
    if number.count:
        return Ours(counted(*number.count), np.nan, np.nan, True, COMPUTED, point=number.count[1])
    for place, rule in enumerate(number.rules):
        for read in (results.released, results.trained):
            if not (rows := read(number, rule)):
                continue
            if not rule.against:
                return _ours(rows, None, rule, exact=place == 0)
            for second, other in enumerate(rule.against):
                if base := read(number, other):
                    return _ours(rows, base, rule, exact=place == second == 0)
    return None


def _ours(rows: list[pd.DataFrame], base: list[pd.DataFrame] | None, rule: Rule, exact: bool) -> Ours:
    """Return mean and interval over seeds, of pairs of equal seeds with a ``base``; of one value its own interval."""
    values = _by_seed(rows)
    if base is not None:
        other = _by_seed(base)
        both = values.index.intersection(other.index)
        if both.empty:  # no seed in common: the means are compared
            values, other = pd.Series([values.mean()]), pd.Series([other.mean()])
        else:
            values, other = values[both], other[both]
        values = {"minus": values - other, "over": values / other, "drop": 1 - values / other}[rule.by]
    found, first = mean_and_error(values.tolist()), rows[0].iloc[0]
    low, high = found.low, found.high
    if len(rows) == 1 and base is None and len(rows[0]) == 1:
        low, high = float(first["low"]), float(first["high"])
    runs = tuple(dict.fromkeys(rows[0]["run"].astype(str)))
    where = {name: str(first[name]) for name in ("scale", "system", "point")}
    return Ours(found.value, low, high, exact, n_labels=int(first["n_labels"]), seeds=len(values), runs=runs, **where)


def _by_seed(rows: list[pd.DataFrame]) -> "pd.Series[float]":
    """Return one value per seed: of one metric, or the harmonic mean of several."""
    parts = [frame.groupby("seed")["value"].mean() for frame in rows]
    return parts[0] if len(parts) == 1 else len(parts) / sum(1 / part for part in parts)  # type: ignore[return-value]


@cache
def counted(family: str, part: str) -> float:
    """Return the computed parameter count of the one part of a family whose name begins so.

    Raises:
        KeyError: there is no such part, or several.
    """
    found = [row["ours"] for row in _parameters(family) if str(row["part"]).startswith(part)]
    if len(found) != 1:
        raise KeyError(f"{family}: {part!r} begins the names of {len(found)} parts, not of one")
    return float(found[0])


@cache
def _parameters(family: str) -> list[dict[str, Any]]:
    return list(importlib.import_module(PARAMETER_TABLES[family]).parameter_table())
