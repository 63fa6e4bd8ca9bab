"""The manifest of a dataset: its parts, counts, splits, checksums, fingerprint and statistics."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tpcfm.errors import DataError
from tpcfm.events.schema import VERSION, layout_of
from tpcfm.events.splits import SPLITS
from tpcfm.events.statistics import Statistics, columns_of
from tpcfm.files import read_json, sha256, short_hash, write_json


def collect_events(dataset: str, folder: str | Path, out: str | Path) -> dict[str, Any]:
    """Merge the parts of a dataset folder into its manifest.

    Every ``<part>.parquet`` with its ``<part>.rejected.parquet`` is a part. A summary ``<part>.json`` as written by
    ``tpcfm ingest`` saves reading the table again; without it the statistics are computed from the table.

    Args:
        dataset: name of the data source.
        folder: folder of the event tables.
        out: manifest to write (JSON).

    Returns:
        The manifest: ``dataset``, ``layout``, ``parts`` (part, file, source, revision, events, points, rejected,
        splits, bytes, sha256), totals ``events``, ``points``, ``rejected``, ``rejected_columns``, ``splits``,
        ``fingerprint`` (hash of all checksums) and ``statistics``.

    Raises:
        DataError: no part, parts of different layouts, a damaged or foreign table, or a part of another dataset.
    """
    folder = Path(folder)
    names = sorted(
        file.name.removesuffix(".parquet") for file in folder.glob("*.parquet") if ".rejected." not in file.name
    )
    names = [name for name in names if not name.startswith(".")]
    if not names:
        raise DataError(f"{folder}: no event tables (<part>.parquet) here; run `tpcfm ingest` first")
    summaries = [_summary(folder, name, dataset) for name in names]
    layouts = sorted({summary["layout"] for summary in summaries})
    if len(layouts) > 1:
        raise DataError(f"{folder}: parts of different layouts: {', '.join(layouts)}; one dataset has one layout")
    total = Statistics(layouts[0])
    columns: dict[str, int] = {}
    for summary in summaries:
        total.merge(summary.pop("statistics"))
        for column, count in summary.get("rejected_columns", {}).items():
            columns[column] = columns.get(column, 0) + count
    manifest = {
        "dataset": dataset,
        "layout": layouts[0],
        "version": VERSION,
        "parts": summaries,
        "events": sum(summary["events"] for summary in summaries),
        "points": sum(summary["points"] for summary in summaries),
        "rejected": sum(summary["rejected"] for summary in summaries),
        "rejected_columns": columns,
        "splits": {split: sum(summary["splits"][split] for summary in summaries) for split in SPLITS},
        "fingerprint": short_hash([[summary["part"], summary["sha256"]] for summary in summaries], 16),
        "statistics": total.to_json(),
    }
    write_json(out, manifest)
    return manifest


def _summary(folder: Path, part: str, dataset: str) -> dict[str, Any]:
    """Return the summary of a part: as written beside it if it still fits the table, else from the table itself."""
    table, beside = folder / f"{part}.parquet", folder / f"{part}.json"
    with open_table(table) as file:
        about = {key.decode(): value.decode() for key, value in (file.schema_arrow.metadata or {}).items()}
        layout = layout_of(file.schema_arrow, table)
        if about["tpcfm.dataset"] != dataset:
            raise DataError(f"{table}: belongs to the dataset {about['tpcfm.dataset']!r}, not to {dataset!r}")
        rejected = folder / f"{part}.rejected.parquet"
        if not rejected.is_file():
            raise DataError(f"{rejected}: missing; ingest the part {part!r} again")
        if beside.is_file():
            summary = read_json(beside)
            known = {
                "events": file.metadata.num_rows,
                "bytes": table.stat().st_size,
                "version": VERSION,
                "layout": layout,
            }
            if isinstance(summary, dict) and all(summary.get(key) == value for key, value in known.items()):
                return summary
        with open_table(rejected) as other:
            n_rejected = other.metadata.num_rows
        statistics, splits, points = Statistics(layout), dict.fromkeys(SPLITS, 0), 0
        try:
            for group in range(file.num_row_groups):
                batch = file.read_row_group(group)
                statistics.add(columns_of(batch))
                points += sum(batch.column("n_points").to_pylist())
                for split in batch.column("split").to_pylist():
                    splits[split] += 1
        except (pa.ArrowException, OSError, KeyError) as error:
            raise DataError(f"{table}: damaged event table: {error}") from error
        return {
            "part": part,
            "file": table.name,
            "source": about["tpcfm.source"],
            "layout": layout,
            "revision": about["tpcfm.revision"],
            "version": VERSION,
            "events": file.metadata.num_rows,
            "points": points,
            "rejected": n_rejected,
            "splits": splits,
            "bytes": table.stat().st_size,
            "sha256": sha256(table),
            "statistics": statistics.to_json(),
        }


def open_table(path: Path) -> pq.ParquetFile:
    """Open a Parquet file.

    Raises:
        DataError: missing or damaged.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a readable Parquet file: {error}") from error
