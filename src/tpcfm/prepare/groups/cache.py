"""The groups cache of PoLAr-MAE: points after the cuts and the groups made of them, one part per event table."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tpcfm.detectors.model import Detector
from tpcfm.prepare.groups.grouping import Groups
from tpcfm.prepare.groups.settings import TokenizerConfig
from tpcfm.prepare.groups.tokenizer import CutEvent, cut, tokenize
from tpcfm.prepare.points import Event, cache_fields, detector_of_tables, take, write_points
from tpcfm.prepare.store import PreparedStore

GROUP_FIELDS = (
    pa.field("centre", pa.list_(pa.int32())),
    pa.field("centre_xyz", pa.list_(pa.float32())),
    pa.field("group_offset", pa.list_(pa.int32())),
    pa.field("member", pa.list_(pa.int32())),
    pa.field("group_size", pa.list_(pa.int32()), metadata={"description": "members before the cap"}),
    pa.field("n_missed", pa.int32(), metadata={"description": "points in no group, before the cap"}),
    pa.field("n_capped", pa.int32(), metadata={"description": "points that the cap took out of all groups"}),
    pa.field("n_duplicated", pa.int32(), metadata={"description": "points in several groups, after the cap"}),
    pa.field("n_cut", pa.int32(), metadata={"description": "centres beyond max_tokens"}),
)
"""Columns after those of the event itself (`tpcfm.prepare.points.cache_fields`)."""


def group_fields(detector: Detector) -> list[pa.Field]:
    """Return the fields of a part."""
    return [*cache_fields(detector), *GROUP_FIELDS]


Tokenizer = Callable[[CutEvent, TokenizerConfig, float], Groups]
_SIZE_BINS = 257  # group sizes 0..255, and everything larger
_TOKEN_BIN = 10  # tokens per event, width of a bin


def cache_row(raw: Event, detector: Detector, event: CutEvent, groups: Groups) -> dict[str, Any]:
    """Return the row of one event."""
    return {
        **take(raw, event.rows, detector),
        "centre": groups.centre,
        "centre_xyz": event.xyz[groups.centre].astype(np.float32).ravel(),
        "group_offset": groups.offset,
        "member": groups.member,
        "group_size": groups.size,
        "n_missed": groups.n_missed,
        "n_capped": groups.n_capped,
        "n_duplicated": groups.duplicated(capped=True),
        "n_cut": groups.n_cut,
    }


def group_event(
    raw: Event, detector: Detector, config: TokenizerConfig, tokenizer: Tokenizer = tokenize
) -> dict[str, Any] | str:
    """Return an event as a row of the cache, or why it is left out: too few points after the cuts."""
    event = cut(raw, detector, config)
    if len(event.xyz) < config.min_points:
        return f"{len(event.xyz)} points after the cuts, min_points is {config.min_points}"
    return cache_row(raw, detector, event, tokenizer(event, config, detector.pitch))


def write_part(
    events: str | Path, out: str | Path, config: TokenizerConfig, tokenizer: Tokenizer = tokenize
) -> dict[str, int]:
    """Tokenize one event table into one part of a groups cache, and ``<out>.rejected.parquet`` beside it.

    Args:
        events: event table of any detector.
        out: the ``.arrow`` file.
        config: cuts, method and parameters.
        tokenizer: divides an event that passed the cuts into groups, given the detector's pitch; another one must make
            the same groups.

    Returns:
        ``events``, ``points``, ``tokens`` and ``rejected`` counts.

    Raises:
        DataError: the table cannot be read or lacks a column.
    """
    detector = detector_of_tables([events])
    tokens = 0

    def make(raw: Event) -> dict[str, Any] | str:
        nonlocal tokens
        made = group_event(raw, detector, config, tokenizer)
        tokens += 0 if isinstance(made, str) else len(made["centre"])
        return made

    fields = group_fields(detector)
    counts = write_points(events, out, detector, fields, make, kind="groups", settings=config.model_dump(mode="json"))
    return {**counts, "tokens": tokens}


def group_statistics(store: PreparedStore) -> dict[str, Any]:
    """Return token statistics of a groups cache, read from the columns that hold them.

    Returns:
        ``tokens``; ``tokens_per_event`` (mean, median, min, max, histogram in bins of ten); ``group_size`` (before the
        cap: mean, max, histogram of sizes 0–255 with all larger ones in the last bin); shares of all points:
        ``missed_share`` (in no group), ``capped_share`` (taken out of all groups by the cap), ``duplicated_share`` (in
        several groups after the cap); ``cut_tokens`` (centres beyond ``max_tokens``).
    """
    sizes: npt.NDArray[np.int64] = np.zeros(_SIZE_BINS, np.int64)
    totals = dict.fromkeys(("n_missed", "n_capped", "n_duplicated", "n_cut"), 0)
    tokens, largest, members = [], 0, 0
    for batch in store.record_batches(("group_size", "n_missed", "n_capped", "n_duplicated", "n_cut")):
        lists = batch["group_size"]
        tokens.append(np.diff(lists.offsets.to_numpy()))
        values = lists.values.to_numpy()
        sizes += np.bincount(np.minimum(values, _SIZE_BINS - 1), minlength=_SIZE_BINS)
        members += int(values.sum(dtype=np.int64))
        largest = max(largest, int(values.max(initial=0)))
        for name in totals:
            totals[name] += int(batch[name].to_numpy().sum(dtype=np.int64))
    counts = np.concatenate(tokens) if tokens else np.zeros(0, np.int32)
    points = max(1, store.manifest["points"])
    return {
        "tokens": int(counts.sum(dtype=np.int64)),
        "tokens_per_event": {
            "mean": float(counts.mean()) if len(counts) else 0.0,
            "median": float(np.median(counts)) if len(counts) else 0.0,
            "min": int(counts.min()) if len(counts) else 0,
            "max": int(counts.max(initial=0)),
            "bin_width": _TOKEN_BIN,
            "histogram": np.bincount(counts // _TOKEN_BIN).tolist(),
        },
        "group_size": {
            "mean": members / max(1, int(sizes.sum())),
            "max": largest,
            "histogram": sizes.tolist(),
        },
        "missed_share": totals["n_missed"] / points,
        "capped_share": totals["n_capped"] / points,
        "duplicated_share": totals["n_duplicated"] / points,
        "cut_tokens": totals["n_cut"],
    }
