"""Small collider events and a sequences cache made of them, for the tests of the FM4NPP recipes."""

from pathlib import Path

import numpy as np

from event_tables import SPHENIX, write_table
from tpcfm.prepare.cache import write_manifest
from tpcfm.prepare.sequences.cache import fit_edges, write_part
from tpcfm.prepare.sequences.settings import SerializationConfig, TargetConfig

LAYER_RADII_CM = np.array(SPHENIX.layers.radii)  # type: ignore[union-attr]


def toy_event(rng: np.random.Generator, tracks: int) -> dict[str, np.ndarray]:
    """Return straight-ish tracks through the layers with labels: species from energy, noise = short tracks."""
    columns: dict[str, list[np.ndarray]] = {name: [] for name in ("x", "y", "z", "energy", "track", "pid", "noise")}
    for track in range(tracks):
        noise = rng.random() < 0.2
        radii = LAYER_RADII_CM[:: 1 if not noise else 6] if not noise else LAYER_RADII_CM[5:15]
        phi = rng.uniform(-np.pi, np.pi) + rng.normal(0, 0.004) * (radii - 30) + rng.normal(0, 0.002, len(radii))
        z = radii * rng.uniform(-1, 1)
        pid = int(rng.integers(0, 5))
        n = len(radii)
        values = {
            "x": radii * np.cos(phi),
            "y": radii * np.sin(phi),
            "z": z,
            "energy": 100 + 80 * pid + rng.exponential(60, n),
            "track": np.full(n, track),
            "pid": np.full(n, pid),
            "noise": np.full(n, int(noise)),
        }
        for name, value in values.items():
            columns[name].append(value)
    return {name: np.concatenate(parts) for name, parts in columns.items()}


def write_events(path: Path, splits: dict[str, int], seed: int = 0) -> None:
    """Write an event table of the sPHENIX TPC."""
    rng = np.random.default_rng(seed)
    rows = [(split, toy_event(rng, int(rng.integers(4, 9)))) for split, count in splits.items() for _ in range(count)]
    write_table(
        path,
        SPHENIX,
        [{"event_id": f"toy/a/{i}", "split": split, **event} for i, (split, event) in enumerate(rows)],
    )


def toy_cache(folder: Path, *, k: int = 30, splits: dict[str, int] | None = None, order: str = "raster") -> Path:
    """Write a sequences cache and return its folder."""
    folder.mkdir(parents=True)
    events = folder.parent / f"{folder.name}-events.parquet"
    write_events(events, splits or {"train": 12, "validation": 4, "test": 4})
    serialization, targets = SerializationConfig(order=order), TargetConfig(k=k)  # type: ignore[arg-type]
    edges = folder / "edges.json"
    fit_edges([events], edges, serialization)
    write_part(events, edges, folder / "a.arrow", serialization, targets)
    write_manifest(folder, name=folder.name, edges=edges)
    return folder
