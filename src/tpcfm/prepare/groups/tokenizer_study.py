"""Comparison of tokenizers: points missed and duplicated, group sizes, groups per event (arXiv 2502.02558, App. C).

Shares are over all points P of the events: *missed* |P - G| / |P| with G the points in at least one group, *duplicated*
the points in two or more groups over |P| (and, beside it, over |G|). Both are given before the cap on the group size, as
the grouping alone has it, and after it, as the network sees it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tpcfm.errors import DataError
from tpcfm.events.read import read_events
from tpcfm.files import atomic
from tpcfm.prepare.groups.grouping import group
from tpcfm.prepare.groups.settings import TokenizerConfig
from tpcfm.prepare.groups.tokenizer import cut
from tpcfm.prepare.groups.tokenizer_throughput import throughput
from tpcfm.prepare.points import detector_of_tables, read_columns

CENTRES_PER_POINT = (1 / 4, 1 / 6, 1 / 8, 1 / 12, 1 / 16, 1 / 24, 1 / 32)
"""Centres as a fraction of the points, for the two methods without suppression."""

SHARES = ("missed_before_cap", "missed", "duplicated_before_cap", "duplicated")
_COUNTS = (*SHARES, "grouped_before_cap", "grouped", "points")
_RESAMPLES = 500

Points = npt.NDArray[Any]


@dataclass(frozen=True)
class Measured:
    """One tokenizer on all events: per-event counts (E,), group sizes before and after the cap, groups per event."""

    counts: dict[str, npt.NDArray[np.int64]]
    sizes: npt.NDArray[np.int64]
    kept_sizes: npt.NDArray[np.int64]
    tokens: npt.NDArray[np.int64]


def load_events(tables: Sequence[Path], count: int) -> list[Points]:
    """Return the points (n, 3) after the detector's cuts of ``count`` events, in equal shares from the tables as far as they last.

    Raises:
        DataError: no table, an unreadable one, tables of different detectors, or no event with points.
    """
    detector = detector_of_tables(tables)
    share = -(-count // len(tables))
    events: list[Points] = []
    for path in tables:
        taken = 0
        for raw in read_events(path, read_columns(detector), batch=16):
            if taken == share or len(events) == count:
                break
            points = cut(raw, detector).xyz
            if len(points):
                events.append(points)
                taken += 1
    if not events:
        raise DataError(f"tokenizer study: no event with points after the cuts in {', '.join(map(str, tables))}")
    return events


def grid(radii: Iterable[float], overlaps: Sequence[float], fractions: Sequence[float]) -> Iterator[TokenizerConfig]:
    """Yield every tokenizer of the study: C-NMS with and without seeds over f, sampling over the number of centres."""
    for number, radius in enumerate(radii):
        for overlap in overlaps:
            yield TokenizerConfig(method="cnms", radius=radius, overlap=overlap)
            yield TokenizerConfig(method="fps_cnms", radius=radius, overlap=overlap)
        for fraction in fractions:
            yield TokenizerConfig(method="fps_ball", radius=radius, centres_per_point=fraction)
            if number == 0:  # neighbours are counted, not measured: the radius plays no part
                yield TokenizerConfig(method="fps_knn", radius=radius, centres_per_point=fraction)


def measure(events: Iterable[Points], config: TokenizerConfig, pitch: float = 1.0) -> Measured:
    """Tokenize all events and count."""
    counts: dict[str, list[int]] = {name: [] for name in _COUNTS}
    sizes, kept_sizes, tokens = [], [], []
    for points in events:
        groups = group(points, config, pitch=pitch)
        grouped = int((groups.covered > 0).sum())
        kept = int((groups.kept > 0).sum())
        row = (len(points) - grouped, len(points) - kept, groups.duplicated(False), groups.duplicated(True))
        for name, value in zip(_COUNTS, (*row, grouped, kept, len(points)), strict=True):
            counts[name].append(value)
        sizes.append(groups.size)
        kept_sizes.append(np.diff(groups.offset))
        tokens.append(len(groups.centre))
    return Measured(
        {name: np.array(values, np.int64) for name, values in counts.items()},
        np.concatenate(sizes).astype(np.int64),
        np.concatenate(kept_sizes).astype(np.int64),
        np.array(tokens, np.int64),
    )


def share_interval(
    part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64], seed: int = 0
) -> tuple[float, float, float]:
    """Return Σ part / Σ whole over events and its 95 % interval over resampled events (percentile bootstrap)."""
    rows = np.random.default_rng(seed).integers(0, len(part), (_RESAMPLES, len(part)))
    drawn = part[rows].sum(1) / whole[rows].sum(1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(part.sum() / whole.sum()), float(low), float(high)


def pareto(values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Return which rows of (n, objectives) no other row beats: nowhere larger and somewhere smaller."""
    no_larger = np.all(values[None] <= values[:, None], axis=-1)
    smaller = np.any(values[None] < values[:, None], axis=-1)
    beaten: npt.NDArray[np.bool_] = np.any(no_larger & smaller, axis=1)
    return ~beaten


def parameters(config: TokenizerConfig) -> dict[str, Any]:
    """Return the parameters that matter to a method, NaN for those that do not, and a short name."""
    suppressed = config.method in ("cnms", "fps_cnms")
    radius = float("nan") if config.method == "fps_knn" else config.radius
    named = f"f={config.overlap:g}" if suppressed else f"N/{1 / config.centres_per_point:g}"
    return {
        "tokenizer": config.method + ("" if config.method == "fps_knn" else f" r={config.radius:g}") + f" {named}",
        "method": config.method,
        "radius": radius,
        "overlap": config.overlap if suppressed else float("nan"),
        "centres_per_point": float("nan") if suppressed else config.centres_per_point,
    }


def study_row(config: TokenizerConfig, measured: Measured) -> dict[str, Any]:
    """Return the summary of one tokenizer."""
    counts = measured.counts
    row = parameters(config) | {"max_points": config.max_points, "events": len(measured.tokens)}
    row |= {"points": int(counts["points"].sum()), "tokens": int(measured.tokens.sum())}
    row |= {"tokens_per_event": float(measured.tokens.mean()), "points_per_group": float(measured.sizes.mean())}
    for name in SHARES:
        row[name], row[f"{name}_low"], row[f"{name}_high"] = share_interval(counts[name], counts["points"])
    for suffix in ("_before_cap", ""):
        grouped = max(1, int(counts[f"grouped{suffix}"].sum()))
        row[f"duplicated_of_grouped{suffix}"] = float(counts[f"duplicated{suffix}"].sum() / grouped)
    row["multiplicity"] = float(measured.kept_sizes.sum() / max(1, counts["grouped"].sum()))
    return row


def size_rows(config: TokenizerConfig, measured: Measured) -> Iterator[dict[str, Any]]:
    """Yield the distributions of one tokenizer: ``quantity``, ``value`` and how often it occurs."""
    named = parameters(config)
    quantities = {"size_before_cap": measured.sizes, "size": measured.kept_sizes, "groups_per_event": measured.tokens}
    for quantity, values in quantities.items():
        for value, count in zip(*np.unique(values, return_counts=True)):
            yield named | {"quantity": quantity, "value": int(value), "count": int(count)}


def run_study(
    tables: Sequence[Path], out: Path, *, events: int, radii: Sequence[float], overlaps: Sequence[float]
) -> pd.DataFrame:
    """Run the study and write ``study``, ``group_sizes`` and ``throughput`` (``.parquet``) below ``out``.

    Args:
        tables: event tables of one detector.
        out: folder.
        events: events to tokenize.
        radii: group radii, in units of its pitch.
        overlaps: factors f of the sweep.

    Returns:
        The study table. ``pareto_before_cap`` and ``pareto`` flag the tokenizers that none of the others beats in
        missed and duplicated points together; ``total`` is their sum, which the best f minimises.
    """
    loaded, pitch = load_events(tables, events), detector_of_tables(tables).pitch
    rows: list[dict[str, Any]] = []
    sizes: list[dict[str, Any]] = []
    for config in grid(radii, overlaps, CENTRES_PER_POINT):
        measured = measure(loaded, config, pitch)
        rows.append(study_row(config, measured))
        sizes.extend(size_rows(config, measured))
    study = pd.DataFrame(rows)
    for suffix in ("_before_cap", ""):
        objectives = study[[f"missed{suffix}", f"duplicated{suffix}"]].to_numpy()
        study[f"total{suffix}"] = objectives.sum(1)
        study[f"pareto{suffix}"] = pareto(objectives)
    for name, frame in (
        ("study", study),
        ("group_sizes", pd.DataFrame(sizes)),
        ("throughput", pd.DataFrame(throughput(loaded, radii[0] if 5.0 not in radii else 5.0, pitch))),
    ):
        with atomic(out / f"{name}.parquet") as temporary:
            frame.to_parquet(temporary, index=False)
    return study


def metric_rows(study: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the study as rows of the metrics table; ``class`` is the tokenizer."""
    for row in study.to_dict("records"):
        head = {"run": "tokenizer_study", "task": "tokenizer", "class": row["tokenizer"]}
        for name in SHARES:
            low, high = row[f"{name}_low"], row[f"{name}_high"]
            yield head | {"metric": name, "value": row[name], "low": low, "high": high}
        for name in ("tokens_per_event", "points_per_group", "multiplicity"):
            yield head | {"metric": name, "value": row[name]}
