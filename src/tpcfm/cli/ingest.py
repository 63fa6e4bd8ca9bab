"""``tpcfm ingest``: one raw file to an event table."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class SplitBy(StrEnum):
    """How events are divided into splits."""

    hash = "hash"
    published = "published"


def command(
    file: Annotated[Path, typer.Argument(help="Raw file; of TPCpp-10M the spacepoints (labels beside it).")],
    detector: Annotated[
        str,
        typer.Option(help="Detector that wrote it: a name (`tpcfm detector list`) or FILE.yaml; says how to read it."),
    ],
    dataset: Annotated[str, typer.Option(help="Name of the data source; begins every event id.")],
    out: Annotated[Path, typer.Option(help="Event table to write (PART.parquet).")],
    rejected: Annotated[Path, typer.Option(help="Table of rejected events to write (PART.rejected.parquet).")],
    split_by: Annotated[
        SplitBy, typer.Option(help="Hash of the event id, or the published folder of the file.")
    ] = SplitBy.hash,
    validation: Annotated[float, typer.Option(help="Share of events for validation (hash).")] = 0.1,
    test: Annotated[float, typer.Option(help="Share of events for the test (hash).")] = 0.1,
    split_seed: Annotated[int, typer.Option(help="Seed of the split (hash).")] = 0,
    statistics: Annotated[
        Path | None, typer.Option(help="Summary and statistics to write (PART.statistics.json).")
    ] = None,
) -> None:
    """Check the events of one raw file and write them as an event table; bad events go to the rejected table."""
    from tpcfm.errors import ConfigError
    from tpcfm.files import require_file

    if validation < 0 or test < 0 or validation + test >= 1:
        raise ConfigError(
            f"--validation {validation} --test {test}: allowed are shares from 0 on that add up to less than 1"
        )
    require_file(file, f"a raw file of the detector {detector}")
    from tpcfm.detectors.registry import load_detector
    from tpcfm.events.job import ingest_file
    from tpcfm.events.splits import hash_split, published_split

    published = published_split(file) if split_by is SplitBy.published else ""
    summary = ingest_file(
        file,
        load_detector(detector),
        dataset,
        out,
        rejected,
        lambda event_id: published or hash_split(event_id, validation, test, split_seed),
        statistics,
    )
    splits = ", ".join(f"{count} {name}" for name, count in summary["splits"].items())
    number = summary["rejected"]
    bad = f"{number} event{'' if number == 1 else 's'} rejected, see {rejected}" if number else "no event rejected"
    print(f"{file.name}: {summary['events']} events ({splits}), {summary['points']} points, {bad}")
