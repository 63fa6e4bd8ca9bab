"""Writing prepared caches: atomic Arrow IPC parts, one per event table, and the manifest that joins them."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tpcfm.detectors.model import Detector
from tpcfm.errors import DataError
from tpcfm.events.schema import KEY, detector_in
from tpcfm.files import atomic, read_json, sha256, short_hash, write_json
from tpcfm.prepare.signal_scaling import fit_scaling
from tpcfm.prepare.store import SPLITS, PreparedStore, index_folder

_BATCH_BYTES, _BATCH_EVENTS = 8 << 20, 4096  # a record batch ends at either: bounded memory, few batches per file


def list_array(values: list[npt.NDArray[Any] | None], kind: pa.DataType) -> pa.Array:
    """Join one array per event into an Arrow list column of element type ``kind``; None becomes null."""
    lengths = [0 if value is None else len(value) for value in values]
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    dtype = kind.to_pandas_dtype()
    flat = np.concatenate([np.zeros(0, dtype), *(np.asarray(v, dtype) for v in values if v is not None)])
    mask = None
    if any(value is None for value in values):
        mask = pa.array([value is None for value in values])
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat, type=kind), mask=mask)


class PartWriter:
    """Collects events and writes them as record batches of about eight megabytes, or 4096 events."""

    def __init__(self, writer: pa.RecordBatchFileWriter, schema: pa.Schema) -> None:
        self._writer = writer
        self._schema = schema
        self._rows: list[Mapping[str, Any]] = []
        self._bytes = 0
        self.events = 0

    def add(self, event: Mapping[str, Any]) -> None:
        """Add one event: a value per field of the schema, list fields as one-dimensional arrays (or None)."""
        self._rows.append(event)
        self._bytes += sum(value.nbytes for value in event.values() if isinstance(value, np.ndarray))
        self.events += 1
        if self._bytes >= _BATCH_BYTES or len(self._rows) == _BATCH_EVENTS:
            self.flush()

    def flush(self) -> None:
        """Write what has been collected as one record batch."""
        if not self._rows:
            return
        columns = []
        for field in self._schema:
            values = [row[field.name] for row in self._rows]
            if pa.types.is_list(field.type):
                columns.append(list_array(values, field.type.value_type))
            else:
                columns.append(pa.array(values, type=field.type))
        self._writer.write_batch(pa.record_batch(columns, schema=self._schema))
        self._rows, self._bytes = [], 0


@contextmanager
def part_writer(
    path: str | Path, schema: pa.Schema, *, kind: str, settings: Mapping[str, Any], detector: Detector
) -> Iterator[PartWriter]:
    """Write one part atomically: yields a `PartWriter`; nothing is left behind if the block fails.

    Args:
        path: the ``.arrow`` file.
        schema: ``event_id split n_points`` and the columns of the cache.
        kind: "groups" or "sequences".
        settings: plain JSON values; every part of a cache must carry the same ones.
        detector: of the events; one per cache.
    """
    metadata = {b"kind": kind, b"settings": json.dumps(settings, sort_keys=True)}
    metadata[KEY] = detector.model_dump_json(exclude_defaults=True)
    described = schema.with_metadata(metadata)
    with (
        atomic(path) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, described) as writer,
    ):
        part = PartWriter(writer, described)
        yield part
        part.flush()


def rejected_path(part: str | Path) -> Path:
    """Table of the events that a part left out, beside it: ``<part>.rejected.parquet``."""
    return Path(part).with_suffix(".rejected.parquet")


def write_rejected(part: str | Path, rows: list[dict[str, Any]]) -> None:
    """Write the events that a part left out (``event_id``, ``file``, ``row``, ``reason``); an empty table if none."""
    schema = pa.schema([("event_id", pa.string()), ("file", pa.string()), ("row", pa.int32()), ("reason", pa.string())])
    with atomic(rejected_path(part)) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), temporary)


def part_header(path: str | Path) -> dict[str, Any]:
    """Return ``kind``, ``settings`` and ``detector`` of one part.

    Raises:
        DataError: the file is not a part of a prepared cache.
    """
    try:
        with pa.memory_map(str(path)) as source:
            metadata = pa.ipc.open_file(source).schema.metadata or {}
        found = {"kind": metadata[b"kind"].decode(), "settings": json.loads(metadata[b"settings"])}
    except (OSError, pa.ArrowInvalid, KeyError, ValueError) as error:
        raise DataError(f"{path}: not a part of a prepared cache: {error}") from error
    return {**found, "detector": detector_in(metadata, path)}


def _describe_part(path: Path) -> dict[str, Any]:
    with pa.memory_map(str(path)) as source:
        reader = pa.ipc.open_file(source)
        points, events = 0, 0
        splits = dict.fromkeys(SPLITS, 0)
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            events += batch.num_rows
            points += int(batch.column("n_points").to_numpy().sum(dtype=np.int64))
            for found in pc.value_counts(batch.column("split")).to_pylist():
                if found["values"] not in splits:
                    raise DataError(f"{path}: split {found['values']!r}; allowed: {', '.join(SPLITS)}")
                splits[found["values"]] += found["counts"]
    table = rejected_path(path)
    rejected = pq.read_metadata(table).num_rows if table.is_file() else 0
    return {
        "file": path.name,
        "events": events,
        "points": points,
        "splits": splits,
        "rejected": rejected,
        "sha256": sha256(path),
    }


def write_manifest(
    folder: str | Path,
    *,
    name: str,
    settings: Mapping[str, Any] | None = None,
    detector: Detector | None = None,
    edges: str | Path | None = None,
    statistics: Mapping[str, Callable[[PreparedStore], dict[str, Any]]] | None = None,
) -> dict[str, Any]:
    """Join the parts of a folder into ``manifest.json`` and write the index of lengths and splits beside it.

    Args:
        folder: holds ``*.arrow``; parts are taken in the order of their names.
        name: name of the cache.
        settings: what the parts must have been made with; taken from the parts unless given.
        detector: with the signal scaling to use (of a trained model); that of the parts unless given, where ``auto`` becomes
            mean and spread of the training events (of all, if none is for training).
        edges: box edges that the parts were made with (sequences): copied beside them and into the manifest; the
            ``edges.json`` of the folder unless given.
        statistics: for each kind of cache, what computes its statistics from the store.

    Raises:
        DataError: no parts, parts made with different settings or of different detectors, damaged parts.
    """
    folder = Path(folder)
    paths = sorted(path for path in folder.glob("*.arrow") if not path.name.startswith("."))
    if not paths:
        raise DataError(f"{folder}: no *.arrow parts to join; `tpcfm prepare groups` or `sequences` makes them")
    headers = [part_header(path) for path in paths]
    made_of = headers[0]["detector"]
    expected = {"kind": headers[0]["kind"], "settings": headers[0]["settings"] if settings is None else dict(settings)}
    for path, header in zip(paths, headers):
        own = header.pop("detector")
        if own.hash != made_of.hash:
            raise DataError(
                f"{path}: events of {own.name} ({own.hash}), those of {paths[0].name} are of {made_of.name} ({made_of.hash})"
            )
        if header != expected:
            raise DataError(
                f"{path}: made as {header['kind']} with {_difference(header['settings'], expected['settings'])}"
                f" (this | expected {expected['kind']}); prepare it again or remove it"
            )
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(_describe_part, paths))
    manifest: dict[str, Any] = {
        "name": name,
        **expected,
        "parts": parts,
        "events": sum(part["events"] for part in parts),
        "points": sum(part["points"] for part in parts),
        "rejected": sum(part["rejected"] for part in parts),
        "splits": {split: sum(part["splits"][split] for part in parts) for split in SPLITS},
    }
    beside = folder / "edges.json"
    if edges is not None and Path(edges).absolute() != beside.absolute():
        write_json(beside, read_json(edges))
    if expected["kind"] == "sequences" and beside.is_file():
        manifest["edges"] = read_json(beside)
    sums = [part["sha256"] for part in parts]
    detector = made_of if detector is None else detector
    manifest |= {"detector": _plain(detector), "fingerprint": short_hash({**expected, "parts": sums}, 64)}
    if detector.signal_scaling() == "auto":
        detector = detector.with_scaling(fit_scaling(_signals(PreparedStore(folder, manifest), detector)))
        manifest["detector"] = _plain(detector)
    store = PreparedStore(folder, manifest)
    _write_index(store)
    if statistics is not None and manifest["kind"] in statistics:
        manifest["statistics"] = statistics[manifest["kind"]](store)
    write_json(folder / "manifest.json", manifest)  # once, and last: a cache with a manifest is whole
    return manifest


def _plain(detector: Detector) -> dict[str, Any]:
    return detector.model_dump(mode="json", exclude_defaults=True)


def _signals(store: PreparedStore, detector: Detector) -> Iterator[npt.NDArray[Any]]:
    """Yield the main signal of the training events, batch by batch; of all events, if there are none."""
    name = detector.signal[0].name
    trained = store.manifest["splits"]["train"] > 0
    for batch in store.record_batches(("split", name)):
        lists = batch[name].filter(pc.equal(batch["split"], "train")) if trained else batch[name]
        yield lists.flatten().to_numpy()


def _write_index(store: PreparedStore) -> None:
    folder = index_folder(store.folder, store.fingerprint)
    for stale in set(store.folder.glob("index-*")) - {folder}:
        shutil.rmtree(stale)
    for name in ("n_points", *SPLITS):
        with atomic(folder / f"{name}.npy") as temporary, open(temporary, "wb") as stream:
            np.save(stream, store.scan(name))


def _difference(found: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    keys = sorted(key for key in {*found, *expected} if found.get(key) != expected.get(key))
    return ", ".join(f"{key} = {found.get(key)!r} | {expected.get(key)!r}" for key in keys) or "the same settings"
