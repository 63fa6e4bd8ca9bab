"""Ingest against reading the raw file alone (h5py rows; zip members through zipfile), in one run, wall time.

Ingest reads, checks every value, splits, gathers statistics, encodes and compresses. A ratio of 1 would mean that all this costs
nothing beside reading. From memory: the raw file lies in the page cache. From disk: it is dropped from it before every
reading, as with datasets larger than memory; there the disk sets the pace of both.
"""

import os
import resource
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tpcfm.events.job import ingest_file

LARTPC_EVENTS, COLLIDER_EVENTS = 600, 4000
POINTS = 860  # of a collider event, as published


def write_lartpc(path: Path, events: int) -> None:
    """Write straight smeared tracks on the lattice, about 4,500 points per event, in the v2 layout."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w", libver="latest") as file:
        point = file.create_dataset("point", (events,), dtype=h5py.vlen_dtype(np.float32))
        cluster = file.create_dataset("cluster", (events,), dtype=h5py.vlen_dtype(np.int32))
        for event in range(events):
            steps = np.arange(int(rng.integers(100, 300)))[:, None]
            pieces, sizes, seen = [], [], np.zeros(0, np.int64)
            for _ in range(25):
                direction = rng.normal(size=3)
                line = rng.integers(50, 700, 3) + steps * direction / np.abs(direction).max()
                voxels = np.clip(np.round(line + rng.normal(0, 0.6, line.shape)), 0, 767).astype(np.int64)
                keys = voxels @ (768 * 768, 768, 1)
                _, first = np.unique(keys, return_index=True)
                first = np.sort(first[~np.isin(keys[first], seen)])
                seen = np.concatenate([seen, keys[first]])
                pieces.append(voxels[first])
                sizes.append(len(first))
            table = np.zeros((sum(sizes), 8), np.float32)
            table[:, :3] = np.concatenate(pieces)
            table[:, 3] = rng.gamma(2, 0.5, len(table))
            table[:, 4:] = rng.random((len(table), 4))
            labels = np.zeros((25, 6), np.int32)
            labels[:, 0], labels[:, 1] = sizes, np.arange(25) - 1
            labels[:, 2], labels[:, 4] = labels[:, 1] // 2, rng.integers(0, 4, 25)
            labels[0, 1:] = (-1, -1, -1, 4, -1)
            point[event], cluster[event] = table.ravel(), labels.ravel()


def write_collider(folder: Path, events: int) -> Path:
    """Write a labelled shard of noise within the detector, 860 points per event."""
    rng = np.random.default_rng(0)
    total = events * POINTS
    radius, angle = rng.uniform(31.4, 75.4, total), rng.uniform(-np.pi, np.pi, total)
    columns = [rng.gamma(2, 120, total), radius * np.cos(angle), radius * np.sin(angle), rng.uniform(-104, 104, total)]
    track = np.repeat(np.arange(total // 43) % 20, 43).astype(np.uint16)
    arrays = {
        "spacepoints": np.stack(columns, axis=1).astype(np.float32),
        "track_ids": track,
        "pid_labels": (track % 5).astype(np.uint8),
        "noise_tags": track % 9 == 0,
    }
    for stem, data in arrays.items():
        np.savez_compressed(folder / f"{stem}.npz", data=data, size=np.full(events, POINTS))
    return folder / "spacepoints.npz"


def read_lartpc(path: Path) -> None:
    """Read all rows with h5py, a few hundred at a time."""
    with h5py.File(path) as file:
        for start in range(0, len(file["point"]), 200):
            _ = file["point"][start : start + 200], file["cluster"][start : start + 200]


def read_collider(path: Path) -> None:
    """Read all members of all files of the shard through zipfile."""
    for file in path.parent.glob("*.npz"):
        with zipfile.ZipFile(file) as archive:
            for name in archive.namelist():
                with archive.open(name) as stream:
                    while stream.read(1 << 22):
                        pass


def drop(folder: Path) -> None:
    """Drop the files of a folder from the page cache."""
    for file in folder.iterdir():
        with open(file, "rb") as stream:
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def best(work: Callable[[], Any], before: Callable[[], Any], repeats: int = 3) -> float:
    """Return the least wall time of some runs, s."""
    times = []
    for _ in range(repeats):
        before()
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def rows() -> list[dict[str, Any]]:
    """Return the rows of the benchmark table."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        lartpc, collider, out = (Path(name) / folder for folder in ("lartpc", "collider", "out"))
        for folder in (lartpc, collider):
            folder.mkdir()
        write_lartpc(lartpc / "generic_v2_600_v2.h5", LARTPC_EVENTS)
        shard = write_collider(collider, COLLIDER_EVENTS)
        cases = (
            ("pilarnet", lartpc / "generic_v2_600_v2.h5", read_lartpc, "h5py"),
            ("sphenix", shard, read_collider, "zipfile"),
        )
        for detector, path, read, library in cases:

            def ingest(detector: str = detector, path: Path = path) -> dict[str, Any]:
                table = out / f"{detector}.parquet"
                return ingest_file(
                    path, detector, "set", table, table.with_suffix(".rejected.parquet"), lambda _: "train"
                )

            points = ingest()["points"]  # compiles the kernels
            for where, before in (("from memory", lambda: None), ("from disk", lambda path=path: drop(path.parent))):
                raw = best(lambda read=read, path=path: read(path), before)
                found.append(
                    {
                        "what": f"ingest {detector}, {where}",
                        "size": f"{points / 1e6:.1f} M points",
                        "against": f"{library} read alone",
                        "ratio": raw / best(ingest, before),
                        "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                    }
                )
    return found


if __name__ == "__main__":
    for row in rows():
        print(f"{row['what']:32}{row['size']:>16}  {row['against']:22}{row['ratio']:8.2f}{row['memory_mib']:9.1f} MiB")
