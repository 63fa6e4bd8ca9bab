"""The metrics table: long format, one value per row. Every figure and table of the report reads only this."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from tpcfm.errors import DataError
from tpcfm.files import atomic

_TEXT = ("run", "system", "family", "dataset", "task", "split", "metric", "class")
COLUMNS = (*_TEXT, "n_labels", "seed", "value", "low", "high")
_LATER = {"system": "", "dataset": ""}
"""Columns that older tables lack, with what they are read as."""


def metrics_frame(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a metrics table of the fixed columns and types.

    Args:
        rows: mappings with at least ``run``, ``metric`` and ``value``. ``class`` is "" for a value over all classes;
            ``n_labels`` is -1 where labels play no part; ``low`` and ``high`` bound a 95 % interval, NaN if unknown; ``system`` and
            ``dataset`` are those of the run.

    Raises:
        DataError: an unknown column.
    """
    filled = []
    for row in rows:
        unknown = set(row) - set(COLUMNS)
        if unknown:
            raise DataError(f"metrics row has unknown columns {sorted(unknown)}; allowed: {', '.join(COLUMNS)}")
        filled.append({**dict.fromkeys(_TEXT, ""), "n_labels": -1, "seed": 0, "low": None, "high": None, **row})
    frame = pd.DataFrame(filled, columns=list(COLUMNS))
    kinds = {**dict.fromkeys(_TEXT, "str"), "n_labels": "int64", "seed": "int64"}
    kinds |= dict.fromkeys(("value", "low", "high"), "float64")
    return frame.astype(kinds)


def write_metrics(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a metrics table to Parquet, atomically."""
    with atomic(path) as temporary:
        metrics_frame(rows).to_parquet(temporary, index=False)


def read_metrics(paths: Iterable[str | Path]) -> pd.DataFrame:
    """Read and join metrics tables.

    Raises:
        DataError: a file lacks a column of the table.
    """
    frames = []
    for path in paths:
        frame = pd.read_parquet(path)
        frame = frame.assign(**{name: value for name, value in _LATER.items() if name not in frame})
        missing = set(COLUMNS) - set(frame.columns)
        if missing:
            raise DataError(f"{path}: not a metrics table: lacks {sorted(missing)}")
        frames.append(frame[list(COLUMNS)])
    return pd.concat(frames, ignore_index=True) if frames else metrics_frame([])


def mean_over_seeds(frame: pd.DataFrame) -> pd.DataFrame:
    """Return ``point n_labels value low high seeds``: mean over seeds with a 95 % t-interval (NaN for one seed).

    Args:
        frame: rows of one metric with ``point``, the name of what was trained.
    """
    from scipy.stats import t

    found = frame.groupby(["point", "n_labels"], sort=False)["value"].agg(["mean", "std", "count"]).reset_index()
    half = t.ppf(0.975, (found["count"] - 1).clip(lower=1)) * found["std"] / found["count"] ** 0.5
    half = half.where(found["count"] > 1)
    found = found.assign(low=found["mean"] - half, high=found["mean"] + half)
    return found.rename(columns={"mean": "value", "count": "seeds"}).drop(columns="std")
