"""The groups cache of PoLAr-MAE: points after the cuts and the groups made of them, one part per event table."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tpcfm.errors import DataError
from tpcfm.events.read import read_events, table_schema
from tpcfm.prepare.cache import HEAD, part_writer, write_rejected
from tpcfm.prepare.groups.grouping import Groups
from tpcfm.prepare.groups.settings import TokenizerConfig
from tpcfm.prepare.groups.tokenizer import CutEvent, cut, tokenize
from tpcfm.prepare.store import SPLITS, PreparedStore

_COORDINATES = {"unit": "voxel", "frame": "detector"}
SCHEMA = pa.schema(
    [
        *HEAD,
        *(pa.field(axis, pa.list_(pa.int16()), metadata=_COORDINATES) for axis in "xyz"),
        pa.field("energy", pa.list_(pa.float32()), metadata={"unit": "MeV"}),
        pa.field("semantic", pa.list_(pa.int8())),
        pa.field("centre", pa.list_(pa.int32())),
        pa.field("centre_xyz", pa.list_(pa.float32()), metadata=_COORDINATES),
        pa.field("group_offset", pa.list_(pa.int32())),
        pa.field("member", pa.list_(pa.int32())),
        pa.field("group_size", pa.list_(pa.int32()), metadata={"description": "members before the cap"}),
        pa.field("n_missed", pa.int32(), metadata={"description": "points in no group, before the cap"}),
        pa.field("n_capped", pa.int32(), metadata={"description": "points that the cap took out of all groups"}),
        pa.field("n_duplicated", pa.int32(), metadata={"description": "points in several groups, after the cap"}),
        pa.field("n_cut", pa.int32(), metadata={"description": "centres beyond max_tokens"}),
    ]
)
"""Columns for a lattice detector; where the event table holds coordinates as floats, so does the cache."""

_INPUT = ("event_id", "split", "n_points", "x", "y", "z", "energy", "semantic")
_COORDINATE_TYPES = (pa.int16(), pa.int32(), pa.float32(), pa.float64())
_SIZE_BINS = 257  # group sizes 0..255, and everything larger
_TOKEN_BIN = 10  # tokens per event, width of a bin


def schema_for(events: str | Path) -> pa.Schema:
    """Return the columns of the cache of an event table: coordinates keep their type and unit.

    Raises:
        DataError: the table cannot be read, or its coordinates are not lists of numbers.
    """
    found = table_schema(events, _INPUT)
    fields = []
    for field in SCHEMA:
        if field.name in tuple("xyz"):
            given = found.field(field.name)
            if not pa.types.is_list(given.type) or given.type.value_type not in _COORDINATE_TYPES:
                allowed = ", ".join(f"list<{kind}>" for kind in _COORDINATE_TYPES)
                raise DataError(f"{events}: column {field.name} is {given.type}; allowed: {allowed}")
            field = pa.field(field.name, pa.list_(given.type.value_type), metadata=given.metadata or field.metadata)
        fields.append(field)
    return pa.schema(fields)


def cache_row(event_id: str, split: str, event: CutEvent, groups: Groups) -> dict[str, Any]:
    """Return the row of one event."""
    return {
        "event_id": event_id,
        "split": split,
        "n_points": len(event.xyz),
        **{name: event.xyz[:, axis] for axis, name in enumerate("xyz")},
        "energy": event.energy,
        "semantic": event.semantic,
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


def _problem(raw: Mapping[str, Any]) -> str:
    """Say what is wrong with the columns of one event; an empty string if nothing is."""
    missing = [name for name in _INPUT if raw[name] is None]
    if missing:
        return f"no values for {', '.join(missing)}"
    if raw["split"] not in SPLITS:
        return f"split {raw['split']!r}; allowed: {', '.join(SPLITS)}"
    for name in ("x", "y", "z", "energy", "semantic"):
        if len(raw[name]) != raw["n_points"]:
            return f"{len(raw[name])} values of {name}, n_points is {raw['n_points']}"
        if not np.isfinite(raw[name]).all():
            return f"values of {name} that are not finite"
    return ""


def write_part(
    events: str | Path,
    out: str | Path,
    config: TokenizerConfig,
    tokenizer: Callable[[CutEvent, TokenizerConfig], Groups] = tokenize,
) -> dict[str, int]:
    """Tokenize one event table into one part of a groups cache, and ``<out>.rejected.parquet`` beside it.

    Memory is bounded by a few hundred events, whatever the size of the table.

    Args:
        events: event table in the PILArNet-M layout.
        out: the ``.arrow`` file.
        config: cuts, method and parameters.
        tokenizer: divides an event that passed the cuts into groups; another one must make the same groups.

    Returns:
        ``events``, ``points``, ``tokens`` and ``rejected`` counts.

    Raises:
        DataError: the table cannot be read or lacks a column.
    """
    rejected = []
    counts = {"events": 0, "points": 0, "tokens": 0, "rejected": 0}
    with part_writer(out, schema_for(events), kind="groups", settings=config.model_dump(mode="json")) as part:
        for row, raw in enumerate(read_events(events, _INPUT)):
            reason = _problem(raw)
            if not reason:
                event = cut(raw, config.energy_threshold)
                if len(event.xyz) < config.min_points:
                    reason = f"{len(event.xyz)} points after the cuts, min_points is {config.min_points}"
            if reason:
                rejected.append({"event_id": raw["event_id"], "file": Path(events).name, "row": row, "reason": reason})
                continue
            groups = tokenizer(event, config)
            part.add(cache_row(raw["event_id"], raw["split"], event, groups))
            counts["events"] += 1
            counts["points"] += len(event.xyz)
            counts["tokens"] += len(groups.centre)
    counts["rejected"] = len(rejected)
    write_rejected(out, rejected)
    return counts


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
