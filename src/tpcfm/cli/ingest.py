"""``tpcfm ingest``: one raw file to an event table."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class SplitBy(StrEnum):
    """How events are divided into splits."""

    hash = "hash"
    published = "published"


class SplitName(StrEnum):
    """Splits."""

    train = "train"
    validation = "validation"
    test = "test"


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
    validation: Annotated[
        float,
        typer.Option(help="Share of events for validation (hash), of the training events where none are published."),
    ] = 0.1,
    test: Annotated[
        float,
        typer.Option(
            help="Share of events for the test (hash), of the training events where only those are published."
        ),
    ] = 0.1,
    published: Annotated[
        list[SplitName] | None,
        typer.Option(
            help="A split that the release has; repeated. What it lacks is made of the others; default all three."
        ),
    ] = None,
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
    from tpcfm.config.splits import hash_split, published_shares, published_split
    from tpcfm.detectors.registry import load_detector
    from tpcfm.events.job import ingest_file

    shares = {"validation": validation, "test": test}
    if split_by is SplitBy.published:
        shares = published_shares(published_split(file), published or [*SplitName], validation, test)
    summary = ingest_file(
        file,
        load_detector(detector),
        dataset,
        out,
        rejected,
        lambda event_id: hash_split(event_id, shares["validation"], shares["test"], split_seed),
        statistics,
    )
    splits = ", ".join(f"{count} {name}" for name, count in summary["splits"].items())
    number = summary["rejected"]
    bad = f"{number} event{'' if number == 1 else 's'} rejected, see {rejected}" if number else "no event rejected"
    print(f"{file.name}: {summary['events']} events ({splits}), {summary['points']} points, {bad}")
