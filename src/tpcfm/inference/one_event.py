"""One event of any file, prepared as a trained model wants it: raw file, event table or prepared cache."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tpcfm.detectors.model import Detector
from tpcfm.errors import CheckpointError, DataError
from tpcfm.events.job import ingest_file
from tpcfm.events.manifest import open_table
from tpcfm.events.schema import detector_at, detector_of
from tpcfm.files import write_json
from tpcfm.prepare.cache import write_manifest
from tpcfm.prepare.groups import cache as group_cache
from tpcfm.prepare.groups.settings import TokenizerConfig
from tpcfm.prepare.sequences import cache as sequence_cache
from tpcfm.prepare.sequences.settings import SerializationConfig, TargetConfig
from tpcfm.prepare.store import PreparedStore
from tpcfm.train import load_config

Config = Mapping[str, Any]
NO_TARGETS = TargetConfig(objective="next_token")
"""Nothing is trained here: no neighbours are looked for."""


@contextmanager
def open_event(
    file: str | Path, row: int, run: str | Path, detector: Detector | None = None
) -> Iterator[tuple[PreparedStore, int]]:
    """Open one event of any file as a trained model wants it: ``with open_event(file, 4, run) as (store, row): ...``.

    Args:
        file: raw file, event table or folder of a prepared cache.
        row: event of the file.
        run: model directory; its ``config.json`` says how its events are prepared.
        detector: whose reader opens a raw file, if not that of the model: files of the same detector in another format.

    Yields:
        A store with the event, and its row there; they last as long as the block.

    Raises:
        DataError, CheckpointError: as `prepared_event`.
    """
    with tempfile.TemporaryDirectory() as folder:
        yield prepared_event(Path(file), row, load_config(run), Path(folder), detector)


def prepared_event(
    file: Path, row: int, config: Config, folder: Path, detector: Detector | None = None
) -> tuple[PreparedStore, int]:
    """Return a store with an event and its row there.

    Args:
        file: raw file, event table or folder of a prepared cache.
        row: event of the file.
        config: ``config.json`` of the model directory: its detector and tokenizer, or serialization and box edges.
        folder: an empty folder for intermediate files; needed as long as the store.
        detector: whose reader opens a raw file, if not that of the model.

    Raises:
        DataError: no such file or event, an event of another detector, or one that the cuts reject.
        CheckpointError: the model directory does not say how its events were prepared.
    """
    model = model_detector(config)
    if not file.exists():
        raise DataError(f"{file}: no such file")
    if file.is_dir():
        store = PreparedStore(file)
        check_detector(store.detector, model, file, scaling=True)
        _check_row(file, row, len(store))
        return store, row
    with_reader = model if detector is None else detector
    check_detector(with_reader, model, "--detector")
    table = folder / "one.parquet"
    _write_row(_event_table(file, with_reader, folder), row, model, file, table)
    cache = folder / "cache"
    cache.mkdir()
    if "tokenizer" in config:
        group_cache.write_part(table, cache / "one.arrow", TokenizerConfig.model_validate(config["tokenizer"]))
        write_manifest(cache, name="one event", detector=model)
    else:
        if not config.get("edges") or "serialization" not in config:
            raise CheckpointError(
                "config.json of this model holds no tokenizer, and not serialization and edges: it does not say how its events are prepared"
            )
        edges = cache / "edges.json"
        write_json(edges, config["edges"])
        serialization = SerializationConfig.model_validate(config["serialization"])
        sequence_cache.write_part(table, edges, cache / "one.arrow", serialization, NO_TARGETS)
        write_manifest(cache, name="one event", edges=edges)
    store = PreparedStore(cache)
    if not len(store):
        reason = pq.read_table(cache / "one.rejected.parquet")["reason"].to_pylist()
        raise DataError(f"{file}: event {row} cannot be used by this model: {reason[0] if reason else 'rejected'}")
    return store, 0


def model_detector(config: Config) -> Detector:
    """Return the detector of a model, with the signal scaling it was trained with.

    Raises:
        CheckpointError: its ``config.json`` does not hold it.
    """
    try:
        return Detector.model_validate(config["detector"])
    except (KeyError, ValueError) as error:
        raise CheckpointError(
            f"config.json of this model holds no detector (found {config.get('detector')!r}): trained by the first edition? "
            "Train or import it again"
        ) from error


def check_detector(given: Detector, model: Detector, source: object, *, scaling: bool = False) -> None:
    """Make sure that events are of the detector that a model was trained on, however their files are read.

    Args:
        given: detector of the events.
        model: of the model.
        source: where ``given`` comes from, for the message.
        scaling: the events are prepared, so that the signal must be scaled as in training, too.

    Raises:
        DataError: another detector.
    """
    alike = given.model_copy(update={name: getattr(model, name) for name in ("read", "simulation", "release")})
    if given.name != model.name or alike.with_scaling(model.signal_scaling()).hash != model.hash:
        raise DataError(
            f"{source}: detector {given.name} ({given.hash}); this model was trained on events of {model.name} ({model.hash})"
        )
    if scaling and alike.hash != model.hash:
        raise DataError(
            f"{source}: the signal is scaled by {given.signal_scaling()}, in the training of this model by {model.signal_scaling()}; "
            "give the event table or the raw file, which are scaled as the model wants it"
        )


def _check_row(file: Path, row: int, count: int) -> None:
    if not 0 <= row < count:
        raise DataError(f"{file.name}: no event {row}: it has {count} (0 to {count - 1})")


def _event_table(file: Path, detector: Detector, folder: Path) -> Path:
    if detector_at(file) is not None:
        return file
    out = folder / "events.parquet"
    try:
        ingest_file(file, detector, file.stem, out, folder / "rejected.parquet", split_rule=lambda _: "test")
    except DataError as error:
        raise DataError(f"{error}\n(read as a file of {detector.name}, which this model was trained on)") from error
    return out


def _write_row(table: Path, row: int, model: Detector, file: Path, out: Path) -> None:
    """Copy one row of an event table of the model's detector, with its schema."""
    with open_table(table) as opened:
        check_detector(detector_of(opened.schema_arrow, file), model, file)
        _check_row(file, row, opened.metadata.num_rows)
        for group in range(opened.num_row_groups):
            count = opened.metadata.row_group(group).num_rows
            if row < count:
                pq.write_table(opened.read_row_group(group).slice(row, 1), out)
                return
            row -= count
