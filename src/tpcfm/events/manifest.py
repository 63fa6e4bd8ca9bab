"""The manifest of a dataset: its parts, counts, splits, checksums, fingerprint and statistics."""

from pathlib import Path
from typing import Any

from tpcfm.config.splits import SPLITS
from tpcfm.detectors.model import Detector
from tpcfm.errors import DataError
from tpcfm.events.read import DAMAGE, open_table
from tpcfm.events.schema import VERSION, detector_of
from tpcfm.events.statistics import Statistics, columns_of, training_events
from tpcfm.files import read_json, sha256, short_hash, write_json


def collect_events(dataset: str, folder: str | Path, out: str | Path) -> dict[str, Any]:
    """Merge the parts of a dataset folder into its manifest.

    Every ``<part>.parquet`` with its ``<part>.rejected.parquet`` is a part. A summary ``<part>.statistics.json`` as written by
    ``tpcfm ingest`` saves reading the table again; without it the statistics are computed from the table.

    Args:
        dataset: name of the data source.
        folder: folder of the event tables.
        out: manifest to write (JSON).

    Returns:
        The manifest: ``dataset``, ``detector`` (the whole), ``detector_name``, ``detector_hash``,
        ``parts`` (part, file, source, revision, events, points, rejected,
        splits, bytes, sha256), totals ``events``, ``points``, ``rejected``, ``rejected_columns``, ``splits``,
        ``fingerprint`` (hash of all checksums) and ``statistics``.

    Raises:
        DataError: no part, parts of different detectors, a damaged or foreign table, or a part of another dataset.
    """
    folder = Path(folder)
    names = sorted(
        file.name.removesuffix(".parquet") for file in folder.glob("*.parquet") if ".rejected." not in file.name
    )
    names = [name for name in names if not name.startswith(".")]
    if not names:
        raise DataError(f"{folder}: no event tables (<part>.parquet) here; run `tpcfm ingest` first")
    found = [_summary(folder, name, dataset) for name in names]
    summaries, detectors = [summary for summary, _ in found], {d.hash: d for _, d in found}
    if len(detectors) > 1:
        held = ", ".join(f"{detector.name} ({key})" for key, detector in sorted(detectors.items()))
        raise DataError(f"{folder}: parts of different detectors: {held}; one dataset has one: ingest the parts again")
    detector = found[0][1]
    total = Statistics(detector)
    columns: dict[str, int] = {}
    for summary in summaries:
        total.merge(summary.pop("statistics"))
        for column, count in summary.get("rejected_columns", {}).items():
            columns[column] = columns.get(column, 0) + count
    manifest = {
        "dataset": dataset,
        "detector": detector.model_dump(mode="json", exclude_defaults=True),
        "detector_name": detector.name,
        "detector_hash": detector.hash,
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


def _summary(folder: Path, part: str, dataset: str) -> tuple[dict[str, Any], Detector]:
    """Return the summary of a part and its detector: as written beside it if it still fits the table, else from the table itself."""
    table, beside = folder / f"{part}.parquet", folder / f"{part}.statistics.json"
    with open_table(table) as file:
        about = {key.decode(): value.decode() for key, value in (file.schema_arrow.metadata or {}).items()}
        detector = detector_of(file.schema_arrow, table)
        if about.get("tpcfm.dataset") != dataset:
            raise DataError(f"{table}: belongs to the dataset {about.get('tpcfm.dataset')!r}, not to {dataset!r}")
        rejected = folder / f"{part}.rejected.parquet"
        if not rejected.is_file():
            raise DataError(f"{rejected}: missing; ingest the part {part!r} again")
        if beside.is_file():
            summary = read_json(beside)
            known = {
                "events": file.metadata.num_rows,
                "bytes": table.stat().st_size,
                "version": VERSION,
                "detector_hash": detector.hash,
            }
            if isinstance(summary, dict) and all(summary.get(key) == value for key, value in known.items()):
                return summary, detector
        with open_table(rejected) as other:
            n_rejected = other.metadata.num_rows
        statistics, splits, points = Statistics(detector), dict.fromkeys(SPLITS, 0), 0
        try:
            for group in range(file.num_row_groups):
                batch = file.read_row_group(group)
                drawn = batch.column("split").to_pylist()
                statistics.add(columns_of(batch), training_events(drawn))
                points += sum(batch.column("n_points").to_pylist())
                for split in drawn:
                    splits[split] += 1
        except (*DAMAGE, KeyError) as error:
            raise DataError(f"{table}: damaged event table: {error}") from error
        summary = {
            "part": part,
            "file": table.name,
            "source": about["tpcfm.source"],
            "detector": detector.name,
            "detector_hash": detector.hash,
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
        return summary, detector
