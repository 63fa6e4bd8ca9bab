"""Small events and sequences caches made of them, for the tests of FM4NPP: a collider TPC, a liquid-argon box, a silicon-like cylinder."""

from pathlib import Path

import numpy as np

from event_tables import PILARNET, SPHENIX, write_table
from tpcfm.detectors.model import Detector
from tpcfm.prepare.cache import write_manifest
from tpcfm.prepare.sequences.cache import fit_edges, write_part
from tpcfm.prepare.sequences.settings import SerializationConfig, TargetConfig

LAYER_RADII_CM = np.array(SPHENIX.layers.radii)  # type: ignore[union-attr]
SILICON = Detector.model_validate(
    {
        "name": "silicon",
        "coordinates": {"unit": "mm"},
        "volume": {"shape": "cylinder", "r": (30.0, 1050.0), "z": (-1000.0, 1000.0)},
        "pitch": 20.0,
        "field_tesla": 2.0,
        "labels": {
            "particle": {"kind": "instances", "type": "int64", "background": [0]},
            "kind": {"kind": "classes", "classes": {-1: "unknown", 3: "pion", 7: "muon"}, "ignored": [-1]},
        },
    }
)
"""A cylinder in mm, without layers and without a signal; ids are 64-bit with gaps, 0 is noise."""
LARGE_ID = 1 << 40


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


def box_event(rng: np.random.Generator, particles: int) -> dict[str, np.ndarray]:
    """Return straight particles on the lattice of the liquid-argon detector, two to an interaction; every third has no species."""
    size = PILARNET.volume.high[0]
    species = len(PILARNET.labels["pid"].values)
    parts = []
    for number in range(particles):
        direction = rng.standard_normal(3)
        steps = np.arange(0, int(rng.integers(30, 60)))[:, None] * direction / np.linalg.norm(direction)
        xyz = np.unique((rng.uniform(0.3, 0.7, 3) * size + steps).astype(np.int64), axis=0)
        n, kind = len(xyz), int(rng.integers(0, species))
        energy = 0.3 + 0.4 * kind + rng.exponential(0.1, n)
        labels = {
            "semantic": kind % 4, "group": number if number else -1, "interaction": number // 2,
            "pid": -1 if number % 3 == 2 else kind,
        }  # fmt: skip
        parts.append({**dict(zip("xyz", xyz.T)), "energy": energy, **{k: np.full(n, v) for k, v in labels.items()}})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def silicon_event(rng: np.random.Generator, tracks: int) -> dict[str, np.ndarray]:
    """Return the tracks of `toy_event` in mm, every eighth point noise."""
    event = toy_event(rng, tracks)
    noise = rng.random(len(event["x"])) < 1 / 8
    kind = np.array([-1, 3, 7])[event["pid"] % 3]
    particle = np.where(noise, 0, 3 * event["track"] + LARGE_ID)
    return {**{axis: 10 * event[axis] for axis in "xyz"}, "particle": particle, "kind": np.where(noise, -1, kind)}


EVENTS = {"sphenix": (SPHENIX, toy_event), "pilarnet": (PILARNET, box_event), "silicon": (SILICON, silicon_event)}


def write_events(path: Path, splits: dict[str, int], seed: int = 0, detector: str = "sphenix") -> None:
    """Write an event table of one of `EVENTS`."""
    rng = np.random.default_rng(seed)
    described, make = EVENTS[detector]
    rows = [(split, make(rng, int(rng.integers(4, 9)))) for split, count in splits.items() for _ in range(count)]
    write_table(
        path,
        described,
        [{"event_id": f"toy/a/{i}", "split": split, **event} for i, (split, event) in enumerate(rows)],
    )


def toy_cache(
    folder: Path,
    *,
    k: int = 30,
    splits: dict[str, int] | None = None,
    order: str = "raster",
    detector: str = "sphenix",
) -> Path:
    """Write a sequences cache of events of one of `EVENTS` and return its folder."""
    folder.mkdir(parents=True)
    events = folder.parent / f"{folder.name}-events.parquet"
    write_events(events, splits or {"train": 12, "validation": 4, "test": 4}, detector=detector)
    serialization, targets = SerializationConfig(order=order), TargetConfig(k=k)  # type: ignore[arg-type]
    edges = folder / "edges.json"
    fit_edges([events], edges, serialization)
    write_part(events, edges, folder / "a.arrow", serialization, targets)
    write_manifest(folder, name=folder.name, edges=edges)
    return folder
