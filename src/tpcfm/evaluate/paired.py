"""Is one system above another? Paired differences with 95 % intervals, per task, metric, class and label count.

Two groups of runs are compared seed by seed (same seed: same labelled events) on the same held-out events. Three intervals:

- seeds: Student t over the differences of the seeds; the test events are taken as given;
- events: percentiles of a bootstrap over the test events, drawn once for both systems and all seeds; the seeds are taken as given;
- seeds and events: both variances added, Student t with Satterthwaite's degrees of freedom. A nested percentile bootstrap would
  draw its spread between seeds from as few values as there are seeds, and covers well below 95 % with five of them.

The last one decides where there are scores per event and several seeds, else the one there is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from tpcfm.errors import DataError
from tpcfm.evaluate.event_scores import ratio, read_event_scores
from tpcfm.evaluate.intervals import paired_difference

CALIBRATED = ("f1", "precision", "recall", "ari", "efficiency", "purity")
SCORES = ("accuracy", "iou", *CALIBRATED, *(f"{name}_calibrated" for name in CALIBRATED))
"""Metrics compared, of whatever task has them; more is better for all of them."""
MIN_SEEDS, MIN_EVENTS = 5, 200
"""What a claim needs; fewer give an interval, too, but `enough` is false."""
KEY = ["task", "metric", "class", "n_labels"]
COLUMNS = [*KEY, "first", "second", "difference", "low", "high", "over", "verdict", "seeds", "events", "enough"]
COLUMNS += ["low_seeds", "high_seeds", "low_events", "high_events"]

EventFiles = Mapping[str, str | Path]


@dataclass(frozen=True)
class _Group:
    """Scores per event of one system: (repetitions, E) numerators and denominators by metric and class."""

    events: list[str]
    repetitions: list[int]
    sums: dict[tuple[str, str], tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]


def compare(
    first: pd.DataFrame,
    second: pd.DataFrame,
    *,
    events: EventFiles | None = None,
    test_events: int = -1,
    common_seeds: bool = False,
    level: float = 0.95,
    draws: int = 2000,
) -> pd.DataFrame:
    """Compare two groups of runs.

    Args:
        first, second: rows of metrics tables (see `tpcfm.evaluate.table`), one run per seed and label count in each group. Label
            counts that only one group has are left out.
        events: run to its ``event_scores.parquet``; used where every run of a comparison is in it.
        test_events: their number, where there are no scores per event to count them by; -1 if not known.
        common_seeds: compare the seeds both groups have; otherwise groups of different seeds are refused.
        level: probability content of the intervals.
        draws: of the bootstrap over events.

    Returns:
        One row per task, metric, class and label count: mean of either group, mean difference (first - second), its interval, what it
        is ``over``, ``verdict`` (`above`, `below`, `zero inside`, `no interval`), numbers of seeds and of test events (-1: not known),
        ``enough`` (at least 5 seeds and 200 events), and the intervals over seeds and over events alone.

    Raises:
        DataError: seeds differ, several runs have one seed, nothing can be compared, or test events differ.
    """
    tables = [_values(frame, name) for frame, name in ((first, "first"), (second, "second"))]
    if tables[0].empty or tables[1].empty:
        raise DataError(f"comparison: {len(tables[0])} and {len(tables[1])} test scores; need both")
    both = tables[0].merge(tables[1], on=["task", "n_labels"], suffixes=("_first", "_second"))
    rows: list[dict[str, Any]] = []
    for task, n_labels in both[["task", "n_labels"]].drop_duplicates().itertuples(index=False):
        pair = [t[(t["task"] == task) & (t["n_labels"] == n_labels)] for t in tables]
        if common_seeds:
            shared = set(pair[0]["seed"]) & set(pair[1]["seed"])
            pair = [t[t["seed"].isin(shared)] for t in pair]
            if not shared:
                continue
        rows += _compare_one(str(task), int(n_labels), pair, events or {}, test_events, level, draws)
    if not rows:
        counts = [sorted(set(zip(t["task"], t["n_labels"], strict=True))) for t in tables]
        raise DataError(f"comparison: no task and label count in common; first has {counts[0]}, second {counts[1]}")
    return pd.DataFrame(rows, columns=COLUMNS)


def _values(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the test scores of a group; one run per task, label count and seed."""
    rows = frame[frame["metric"].isin(SCORES) & frame["split"].isin(["test", ""])]
    rows = rows[["run", *KEY, "seed", "value"]].drop_duplicates()
    runs = rows.groupby(["task", "n_labels", "seed"])["run"].unique()
    for key, found in runs.items():
        if len(found) > 1:
            raise DataError(
                f"comparison: the {name} group has several runs for (task, labels, seed) {key}: {list(found)}"
            )
    return rows


def _compare_one(
    task: str, n_labels: int, pair: list[pd.DataFrame], events: EventFiles, test_events: int, level: float, draws: int
) -> list[dict[str, Any]]:
    seeds = [sorted(t["seed"].unique().tolist()) for t in pair]
    if seeds[0] != seeds[1]:
        raise DataError(
            f"comparison: {task} at {n_labels} labels: seeds {seeds[0]} against {seeds[1]}; each needs both"
        )
    wide = [t.pivot(index="seed", columns=["metric", "class"], values="value") for t in pair]
    known = all(run in events and Path(events[run]).is_file() for t in pair for run in t["run"].unique())
    resampled = _resample(task, pair, wide, events, draws, level) if known else {}
    rows = []
    for column in (c for c in wide[0].columns if c in wide[1].columns):
        a, b = (w[column].to_numpy(dtype=np.float64) for w in wide)
        shared = np.isfinite(a) & np.isfinite(b)
        if not shared.all() or not len(a):
            continue  # a class that does not occur in the test events has no score
        found = resampled.get((str(column[0]), str(column[1])))
        if found is not None:
            a, b = found.first, found.second
        over_seeds = paired_difference(a, b, level)
        row = {"task": task, "metric": column[0], "class": column[1], "n_labels": n_labels}
        row |= {"first": float(a.mean()), "second": float(b.mean()), "difference": over_seeds.value}
        row |= {"seeds": len(a), "events": test_events if found is None else found.events}
        row |= {"low_seeds": over_seeds.low, "high_seeds": over_seeds.high}
        row |= {
            "low_events": np.nan if found is None else found.low,
            "high_events": np.nan if found is None else found.high,
        }
        rows.append(row | _decide(row, over_seeds.error, found, level))
    return rows


@dataclass(frozen=True)
class _Resampled:
    first: npt.NDArray[np.float64]  # per repetition
    second: npt.NDArray[np.float64]
    error: float  # of the mean difference, over events
    low: float
    high: float
    events: int


def _decide(row: Mapping[str, Any], error: float, found: _Resampled | None, level: float) -> dict[str, Any]:
    several = row["seeds"] > 1
    low, high, over = row["low_seeds"], row["high_seeds"], "seeds" if several else "nothing"
    if found is not None and not several:
        low, high, over = found.low, found.high, "events"
    elif found is not None and np.isfinite(found.error):
        over = "seeds and events"
        half = joined_half_width((error, row["seeds"]), (found.error, found.events), level)
        low, high = row["difference"] - half, row["difference"] + half
    verdict = "no interval" if not np.isfinite(low + high) else "zero inside"
    if verdict == "zero inside" and (low > 0 or high < 0):
        verdict = "above" if low > 0 else "below"
    enough = row["seeds"] >= MIN_SEEDS and row["events"] >= MIN_EVENTS
    return {"low": low, "high": high, "over": over, "verdict": verdict, "enough": bool(enough)}


def joined_half_width(seeds: tuple[float, int], events: tuple[float, int], level: float = 0.95) -> float:
    """Return half the width of the interval of a mean with two independent errors, each as (standard error, number).

    Degrees of freedom after Satterthwaite (Biometrics Bull. 2, 110, 1946). 0 if both errors are 0.
    """
    variances = [(error * error, n - 1) for error, n in (seeds, events)]
    total = sum(v for v, _ in variances)
    if total == 0:
        return 0.0
    freedom = total**2 / sum(v * v / max(n, 1) for v, n in variances)
    return float(stats.t.ppf(0.5 + level / 2, freedom) * np.sqrt(total))


def _resample(
    task: str, pair: list[pd.DataFrame], wide: list[pd.DataFrame], events: EventFiles, draws: int, level: float
) -> dict[tuple[str, str], _Resampled]:
    """Bootstrap over the test events, the same draw for both systems and all repetitions."""
    groups = [_group(task, t, events) for t in pair]
    if groups[0].events != groups[1].events:
        raise DataError(
            f"comparison: {task}: scores of {len(groups[0].events)} and {len(groups[1].events)} test events, of which "
            f"{len(set(groups[0].events) & set(groups[1].events))} are the same; only equal test events can be paired"
        )
    if groups[0].repetitions != groups[1].repetitions:
        raise DataError(f"comparison: {task}: repetitions {groups[0].repetitions} against {groups[1].repetitions}")
    n = len(groups[0].events)
    # Row 0 takes every event once: the value itself.
    weights = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=draws)
    shares = np.concatenate([np.ones((1, n)), weights.astype(np.float64)])
    drawn = [_drawn(group, shares) for group in groups]
    found = {}
    for column in (c for c in drawn[0] if c in drawn[1]):
        first, second = drawn[0][column], drawn[1][column]  # (repetitions, draws + 1)
        for system, values, table in zip(("first", "second"), (first, second), wide, strict=True):
            _check(task, column, system, values[:, 0], table)
        difference = (first - second).mean(0)[1:]
        difference = difference[np.isfinite(difference)]
        if len(difference) < draws / 2:
            continue  # the class occurs in too few events
        low, high = np.quantile(difference, [0.5 - level / 2, 0.5 + level / 2])
        error = float(difference.std(ddof=1))
        found[column] = _Resampled(first[:, 0], second[:, 0], error, float(low), float(high), n)
    return found


def _group(task: str, rows: pd.DataFrame, events: EventFiles) -> _Group:
    """Read the scores per event of a group's runs; with one seed the repetitions within the run take its place."""
    by_seed = rows[["seed", "run"]].drop_duplicates().sort_values("seed")
    frames = []
    for seed, run in by_seed.itertuples(index=False):
        frame = read_event_scores(events[run])
        frames.append(frame[frame["task"] == task].assign(seed=seed))
    frame = pd.concat(frames, ignore_index=True)
    if frame.empty:
        raise DataError(
            f"comparison: no scores per event of task {task!r} in {[str(events[r]) for r in by_seed['run']]}"
        )
    ids = sorted(frame["event_id"].unique())
    repeats = sorted(frame["repeat"].unique())
    units = [(s, r) for s in by_seed["seed"] for r in repeats]
    index = pd.MultiIndex.from_product([by_seed["seed"], repeats, ids], names=["seed", "repeat", "event_id"])
    sums = {}
    for column, part in frame.groupby(["metric", "class"], sort=False):
        if part["seed"].nunique() < len(by_seed):
            continue  # a run made before there was this score; its metrics table has a hole there, too
        full = part.set_index(["seed", "repeat", "event_id"])[["numerator", "denominator"]]
        if len(full) != len(index) or full.index.duplicated().any():
            raise DataError(
                f"comparison: {task} {column}: {len(full)} scores per event, expected {len(index)} "
                f"({len(by_seed)} seeds, {len(repeats)} repetitions, {len(ids)} events)"
            )
        values = full.reindex(index).to_numpy().reshape(len(units), len(ids), 2)
        sums[str(column[0]), str(column[1])] = (values[..., 0], values[..., 1])
    several = len(by_seed) > 1
    return _Group(ids, [int(s) if several else int(r) for s, r in units], sums)


def _drawn(group: _Group, weights: npt.NDArray[np.float64]) -> dict[tuple[str, str], npt.NDArray[np.float64]]:
    """Return the scores of every repetition and draw, means over classes included."""
    scores = {}
    for (metric, name), (above, below) in group.sums.items():
        values = ratio(metric, above @ weights.T, below @ weights.T)
        true = group.sums.get((metric.replace(metric.split("_")[0], "recall", 1), name)) if name else None
        # As in the metrics: a class that does not occur in truth (denominator of recall) has no score.
        scores[metric, name] = values if true is None else np.where(true[1] @ weights.T > 0, values, np.nan)
    for metric in {m for m, _ in scores} - {m for m, name in scores if name == ""}:
        stacked = np.stack([v for (m, _), v in scores.items() if m == metric])
        count = np.isfinite(stacked).sum(0)
        scores[metric, ""] = np.where(count > 0, np.nansum(stacked, axis=0) / np.maximum(count, 1), np.nan)
    units = list(dict.fromkeys(group.repetitions))
    if len(units) == len(group.repetitions):
        return scores
    member = np.array(group.repetitions)
    return {c: np.stack([v[member == unit].mean(0) for unit in units]) for c, v in scores.items()}


def _check(
    task: str, column: tuple[str, str], system: str, values: npt.NDArray[np.float64], table: pd.DataFrame
) -> None:
    """Stop if scores per event and metrics table are not of the same training.

    Raises:
        DataError: their means differ.
    """
    if column not in table.columns:
        return
    stated, found = float(table[column].mean()), float(values.mean())
    if np.isfinite(stated) and np.isfinite(found) and abs(stated - found) > 1e-6:
        raise DataError(
            f"comparison: {task} {column}, {system} group: the metrics tables say {stated:.6f}, the scores per event "
            f"{found:.6f}; they are not of the same runs"
        )
