"""Small raw files in the published layouts, written with h5py and NumPy alone, for the tests of the readers."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np


def lartpc_event(
    rng: np.random.Generator, points: int = 300, clusters: int = 6, low_energy: int = 20
) -> dict[str, Any]:
    """One PILArNet-M event: ``point`` (N, 8) float32, ``cluster`` (M, 6) int, ``extra`` (M, 11) float32."""
    total = points + low_energy
    voxels = rng.choice(100**3, total, replace=False)
    point = np.zeros((total, 8), np.float32)
    point[:, 0], point[:, 1], point[:, 2] = voxels // 10_000 + 300, voxels // 100 % 100 + 10, voxels % 100 + 600
    point[:, 3] = rng.gamma(2.0, 0.4, total) + 0.01
    point[:, 4] = point[:, 3]
    point[:, 5:] = rng.random((total, 3))
    cuts = np.sort(rng.choice(np.arange(1, points), clusters - 1, replace=False))
    sizes = np.diff([0, *cuts, points])
    cluster = np.zeros((clusters + 1, 6), np.int64)
    cluster[0] = [low_energy, -1, -1, -1, 4, -1]
    cluster[1:, 0], cluster[1:, 1] = sizes, np.arange(clusters)
    cluster[1:, 2], cluster[1:, 3] = np.arange(clusters) // 2, np.arange(clusters) // 4
    cluster[1:, 4], cluster[1:, 5] = rng.integers(0, 4, clusters), rng.integers(0, 5, clusters)
    extra = rng.random((clusters + 1, 11)).astype(np.float32)
    extra[0] = -1
    return {"point": point, "cluster": cluster, "extra": extra}


def write_pilarnet(
    path: Path, events: list[dict[str, Any]], columns: int = 6, extra: int | None = None, integer: type = np.int32
) -> Path:
    """Write events in the PILArNet-M layout; ``extra`` columns of ``cluster_extra`` or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", libver="latest") as file:
        point = file.create_dataset("point", (len(events),), dtype=h5py.vlen_dtype(np.float32))
        cluster = file.create_dataset("cluster", (len(events),), dtype=h5py.vlen_dtype(integer))
        more = (
            file.create_dataset("cluster_extra", (len(events),), dtype=h5py.vlen_dtype(np.float32)) if extra else None
        )
        for i, event in enumerate(events):
            point[i] = event["point"].astype(np.float32).reshape(-1)
            cluster[i] = event["cluster"][:, :columns].astype(integer).reshape(-1)
            if more is not None:
                more[i] = event["extra"][:, :extra].reshape(-1)
    return path


def collider_shard(rng: np.random.Generator, events: int = 12, mean: int = 80) -> dict[str, Any]:
    """One labelled TPCpp-10M shard: per stem a pair (data, size)."""
    size = rng.integers(mean // 2, mean * 2, events).astype(np.int64)
    total = int(size.sum())
    radius, angle = rng.uniform(31.4, 75.4, total), rng.uniform(-np.pi, np.pi, total)
    data = np.stack(
        [rng.gamma(2, 120, total) + 23, radius * np.cos(angle), radius * np.sin(angle), rng.uniform(-104, 104, total)],
        axis=1,
    )
    track = rng.integers(0, 9, total).astype(np.uint16)
    event = np.repeat(np.arange(events), size)
    pid, noise = ((track + event) % 5).astype(np.uint8), (track + event) % 8 == 0
    per_event = rng.integers(1, 6, events).astype(np.int64)
    particles = rng.random((int(per_event.sum()), 10)).astype(np.float32)
    particles[:, 0], particles[:, 1], particles[:, 9] = np.arange(len(particles)) % 6, 211, -1
    return {
        "spacepoints": (data.astype(np.float32), size),
        "track_ids": (track, size),
        "pid_labels": (pid, size),
        "noise_tags": (noise, size),
        "particles": (particles, per_event),
    }


def write_tpcpp(folder: Path, shard: dict[str, Any], suffix: str = "", leave_out: tuple[str, ...] = ()) -> Path:
    """Write a shard in the TPCpp-10M layout; return the spacepoints file."""
    folder.mkdir(parents=True, exist_ok=True)
    for stem, (data, size) in shard.items():
        if stem not in leave_out:
            np.savez_compressed(folder / f"{stem}{suffix}.npz", data=data, size=size)
    return folder / f"spacepoints{suffix}.npz"
