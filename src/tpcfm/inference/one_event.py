"""One event of any file, prepared as a trained model wants it: raw file, event table or prepared cache."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tpcfm.errors import CheckpointError, DataError
from tpcfm.files import write_json
from tpcfm.prepare.cache import write_manifest
from tpcfm.prepare.groups import cache as group_cache
from tpcfm.prepare.groups.settings import TokenizerConfig
from tpcfm.prepare.sequences import cache as sequence_cache
from tpcfm.prepare.sequences.settings import SerializationConfig, TargetConfig
from tpcfm.prepare.store import PreparedStore
from tpcfm.train import load_config

LAYOUTS = {"pilarnet": "liquid-argon", "tpcpp": "collider"}
DETECTORS = {"pilarnet": "pilarnet", "sphenix": "tpcpp"}


def prepared_event(file: Path, row: int, config: dict[str, Any], folder: Path) -> tuple[PreparedStore, int]:
    """Return a store with an event and its row there.

    Args:
        file: raw file (``.h5``, ``.npz``), event table (``.parquet``) or folder of a prepared cache.
        row: event of the file.
        config: ``config.json`` of the model directory: its tokenizer, or its serialization with box edges.
        folder: an empty folder for intermediate files; needed as long as the store.

    Raises:
        DataError: no such file or event, an event of another detector, or one that the cuts reject.
        CheckpointError: the model directory does not say how its events were prepared.
    """
    if file.is_dir():
        store = PreparedStore(file)
        _check_row(file, row, len(store))
        return store, row
    table = folder / "one.parquet"
    _write_row(_event_table(file, folder), row, table)
    names = set(pq.read_schema(table).names)
    layout = "pilarnet" if "semantic" in names else "tpcpp"
    wanted = DETECTORS.get(str(config.get("detector")))
    if wanted is None:
        raise CheckpointError(f"detector: {config.get('detector')!r} in config.json; allowed: {', '.join(DETECTORS)}")
    if layout != wanted:
        raise DataError(f"{file}: a {LAYOUTS[layout]} event; this model was trained on {LAYOUTS[wanted]} events")
    cache = folder / "cache"
    cache.mkdir()
    if layout == "pilarnet":
        group_cache.write_part(table, cache / "one.arrow", TokenizerConfig.model_validate(config["tokenizer"]))
        write_manifest(cache, name="one event")
    else:
        if not config.get("edges"):
            raise CheckpointError("edges: config.json of this model holds no box edges, so its order cannot be made")
        write_json(cache / "edges.json", config["edges"])
        serialization = SerializationConfig.model_validate(config["serialization"])
        sequence_cache.write_part(table, cache / "edges.json", cache / "one.arrow", serialization, TargetConfig())
        write_manifest(cache, name="one event", edges=cache / "edges.json")
    store = PreparedStore(cache)
    if not len(store):
        reason = pq.read_table(cache / "one.rejected.parquet")["reason"].to_pylist()
        raise DataError(f"{file}: event {row} cannot be used by this model: {reason[0] if reason else 'rejected'}")
    return store, 0


@contextmanager
def open_event(file: str | Path, row: int, run: str | Path) -> Iterator[tuple[PreparedStore, int]]:
    """Open one event of any file as a trained model wants it: ``with open_event(file, 4, run) as (store, row): ...``.

    Args:
        file: raw file (``.h5``, ``.npz``), event table (``.parquet``) or folder of a prepared cache.
        row: event of the file.
        run: model directory; its ``config.json`` says how its events are prepared.

    Yields:
        A store with the event, and its row there; they last as long as the block.

    Raises:
        DataError, CheckpointError: as `prepared_event`.
    """
    with tempfile.TemporaryDirectory() as folder:
        yield prepared_event(Path(file), row, load_config(run), Path(folder))


def _check_row(file: Path, row: int, count: int) -> None:
    if not 0 <= row < count:
        raise DataError(f"{file.name}: no event {row}: it has {count} (0 to {count - 1})")


def _event_table(file: Path, folder: Path) -> Path:
    from tpcfm.events.job import ingest_file
    from tpcfm.readers.registry import recognise

    if not file.exists():
        raise DataError(f"{file}: no such file")
    if file.suffix == ".parquet":
        return file
    if file.suffix not in (".h5", ".npz"):
        raise DataError(f"{file}: expected a raw file (.h5, .npz), an event table (.parquet) or a folder of a cache")
    table = folder / "events.parquet"
    ingest_file(file, recognise(file), file.stem, table, folder / "rejected.parquet", split_rule=lambda _: "test")
    return table


def _write_row(table: Path, row: int, out: Path) -> None:
    """Copy one row of an event table, with its schema."""
    try:
        file = pq.ParquetFile(table)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{table}: not a readable event table: {error}") from error
    _check_row(table, row, file.metadata.num_rows)
    if "split" not in file.schema_arrow.names:
        raise DataError(f"{table}: not an event table: it has no column `split`")
    for group in range(file.num_row_groups):
        count = file.metadata.row_group(group).num_rows
        if row < count:
            pq.write_table(file.read_row_group(group).slice(row, 1), out)
            return
        row -= count
