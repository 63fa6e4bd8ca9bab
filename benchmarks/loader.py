"""Prepared caches: random access, scaling to many files, and loading against the training step that consumes it."""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import torch

from tpcfm.detectors.registry import load_detector
from tpcfm.events.schema import HEAD
from tpcfm.losses.next_neighbours import NextNeighbours
from tpcfm.models.fm4npp.settings import WIDTHS, Fm4nppModel
from tpcfm.prepare.cache import part_writer, write_manifest
from tpcfm.prepare.groups.batches import Batch, collate_sequences
from tpcfm.prepare.sequences.cache import sequence_fields
from tpcfm.prepare.sequences.settings import SerializationConfig, TargetConfig
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.fm4npp.support import new_backbone
from tpcfm.train import PackedSource, StepInfo

POINTS, K = 860, 30  # of a collider event, as published
BATCH = 16
SPHENIX = load_detector("sphenix")
SCHEMA = pa.schema(sequence_fields(SPHENIX))


def write_sequences(folder: Path, parts: int, events: int) -> None:
    """Write a cache with the columns and sizes of collider events; the values are noise."""
    rng = np.random.default_rng(0)
    settings = {
        "serialization": SerializationConfig().model_dump(mode="json"),
        "targets": TargetConfig(k=K).model_dump(mode="json"),
        "edges": "",
    }
    for number in range(parts):
        with part_writer(
            folder / f"{number}.arrow", SCHEMA, kind="sequences", settings=settings, detector=SPHENIX
        ) as part:
            for row in range(events):
                n = int(rng.integers(POINTS // 2, 3 * POINTS // 2))
                values: dict[str, Any] = {"event_id": f"noise/{number}/{row}", "split": "train", "n_points": n}
                for field in SCHEMA:
                    if field.name not in values:
                        size = n * {"neighbour": K, "features": 4}.get(field.name, 1)
                        kind = field.type.value_type.to_pandas_dtype()
                        values[field.name] = (rng.random(size) * (n if field.name == "neighbour" else 1)).astype(kind)
                part.add(values)
    write_manifest(folder, name="noise")


def write_many_small(folder: Path, parts: int, events: int) -> None:
    """Write ``parts`` equal files of ``events`` events of four points; all but the first are hard links to it."""
    schema = pa.schema([*HEAD, ("x", pa.list_(pa.int16()))])
    with part_writer(folder / "0000.arrow", schema, kind="noise", settings={}, detector=SPHENIX) as part:
        for row in range(events):
            x = np.arange(4, dtype=np.int16)
            part.add({"event_id": f"noise/{row}", "split": "train", "n_points": 4, "x": x})
    for number in range(1, parts):
        os.link(folder / "0000.arrow", folder / f"{number:04}.arrow")
    write_manifest(folder, name="noise")


def seconds(work: Callable[[], Any], calls: int, clock: Callable[[], float] = time.process_time) -> float:
    """Return the best time of several calls, after one to warm up."""
    work()
    times = []
    for _ in range(calls):
        start = clock()
        work()
        times.append(clock() - start)
    return min(times)


def open_each(folder: Path, rows: np.ndarray, per_file: int) -> None:
    """Read events, opening their file for each: what a loader without a store does."""
    for row in rows:
        with pa.OSFile(str(folder / f"{row // per_file}.arrow")) as source:
            reader, at = pa.ipc.open_file(source), int(row % per_file)
            for number in range(reader.num_record_batches):
                batch = reader.get_batch(number)
                if at < batch.num_rows:
                    {name: batch.column(name)[at].values.to_numpy() for name in ("x", "energy", "neighbour")}
                    break
                at -= batch.num_rows


def collate(store: PreparedStore, rows: np.ndarray, info: StepInfo) -> Batch:
    """Make a training batch."""
    return collate_sequences(store, rows)


def training_step(store: PreparedStore) -> Callable[[], None]:
    """Return one forward and backward pass of the smallest model (m1) on a batch."""
    targets = TargetConfig(k=K)
    model = new_backbone(Fm4nppModel(width=WIDTHS["m1"]), targets, 0)
    objective, info = NextNeighbours(targets), StepInfo(0, 0, 0, True)
    batch = collate_sequences(store, range(BATCH))
    tensors = {name: torch.from_numpy(value) for name, value in batch.items() if name != "event_key"}

    def step() -> None:
        model.zero_grad(set_to_none=True)
        sum(objective.sums(model, tensors, info).values()).backward()  # type: ignore[union-attr]

    return step


def rows() -> list[dict[str, Any]]:
    """Return the rows of the benchmark table."""
    torch.set_num_threads(1)
    found = []

    def add(what: str, size: str, against: str, ratio: float, memory: float = float("nan")) -> None:
        found.append({"what": what, "size": size, "against": against, "ratio": ratio, "memory_mib": memory})

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "sequences"
        per_file = 150
        write_sequences(folder, 4, per_file)
        store = PreparedStore(folder)
        drawn = np.random.default_rng(1).permutation(len(store))[:200]
        mapped = seconds(lambda: [store[row] for row in drawn], 5)
        add("random event from a prepared cache", "4 files", "file opened per event",
            seconds(lambda: open_each(folder, drawn, per_file), 3) / mapped)  # fmt: skip

        batches = [drawn[i : i + BATCH] for i in range(0, len(drawn) - BATCH, BATCH)]
        load = seconds(lambda: [collate_sequences(store, batch) for batch in batches], 5) / len(batches)
        step = seconds(training_step(store), 3)
        add("loader, one core", f"batch of {BATCH}", "m1 training step, one core", step / load)

        def stream(workers: int) -> None:
            source = PackedSource(
                store, np.arange(len(store)), collate, batch_size=BATCH, max_points=60_000, seed=0, workers=workers
            )
            for _ in source.stream(0, 100):
                pass

        one = seconds(lambda: stream(1), 3, time.perf_counter)
        for workers in (2, 4):
            if workers <= len(os.sched_getaffinity(0)):
                add(f"loader, {workers} threads", f"batch of {BATCH}", "1 thread, wall time",
                    one / seconds(lambda: stream(workers), 3, time.perf_counter))  # fmt: skip  # noqa: B023

        small, large = Path(name) / "small", Path(name) / "large"
        write_many_small(small, 1, 100_000)
        write_many_small(large, 100, 100_000)
        times = {}
        for folder in (small, large):
            process = psutil.Process()
            before = process.memory_full_info().uss
            opened = PreparedStore(folder)
            picked = np.random.default_rng(2).integers(0, len(opened.rows("train")), 20_000)
            train = opened.rows("train")
            times[folder] = seconds(lambda: [opened[train[i]] for i in picked], 3)  # noqa: B023
            memory = (process.memory_full_info().uss - before) / 2**20
        add("shuffled access, time per event", "10 M events, 100 files", "0.1 M events, 1 file",
            times[large] / times[small], memory)  # fmt: skip
    return found


if __name__ == "__main__":
    for row in rows():
        print(f"{row['what']:40}{row['size']:>26}  {row['against']:30}{row['ratio']:8.2f}{row['memory_mib']:9.1f} MiB")
