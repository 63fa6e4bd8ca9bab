"""Write unlabelled events of another liquid-argon TPC as HDF5: straight tracks and showers on a lattice of 512 x 256 x 1024 cells of 4 mm, in ADC counts.

A toy, to show how unlabelled files of a detector of one's own are read and pretrained on; it is no simulation of physics.

    python examples/liquid_argon_adc/make_hits.py --events 60 --out examples/liquid_argon_adc/hits.h5
"""

import argparse
from pathlib import Path

import h5py
import numpy as np

SHAPE = np.array([512, 256, 1024])
ADC_PER_CELL = 120.0


def direction(rng: np.random.Generator) -> np.ndarray:
    """Return a unit vector, uniform on the sphere."""
    v = rng.standard_normal(3)
    return v / np.linalg.norm(v)


def track(rng: np.random.Generator) -> np.ndarray:
    """Return points (n, 3) along a line, in cells."""
    along = np.arange(0, rng.uniform(60, 500), 0.7)[:, None]
    return rng.uniform(0.1, 0.9, 3) * SHAPE + along * direction(rng) + rng.normal(0, 0.4, (len(along), 3))


def shower(rng: np.random.Generator) -> np.ndarray:
    """Return points (n, 3) in a cone, in cells."""
    depth = rng.gamma(3.0, 20.0, int(rng.uniform(200, 1200)))[:, None]
    spread = rng.standard_normal((len(depth), 3)) * (1 + 0.12 * depth)
    return rng.uniform(0.2, 0.8, 3) * SHAPE + depth * direction(rng) + spread


def event(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the cells (n, 3) that saw charge, each once, and their ADC counts (n,)."""
    parts = [track(rng) for _ in range(rng.integers(2, 6))] + [shower(rng) for _ in range(rng.integers(1, 4))]
    cells = np.concatenate(parts).astype(np.int32)
    cells = cells[((cells >= 0) & (cells < SHAPE)).all(axis=1)]
    cells, hits = np.unique(cells, axis=0, return_counts=True)
    return cells, np.rint(hits * rng.gamma(4.0, ADC_PER_CELL / 4, len(cells)) + 1)


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="hits.h5")
    given = parser.parse_args()
    made = [event(np.random.default_rng([given.seed, number])) for number in range(given.events)]
    with h5py.File(given.out, "w") as file:
        group = file.create_group("hits")
        group["cell"] = np.concatenate([cells for cells, _ in made]).astype(np.int16)
        group["adc"] = np.concatenate([counts for _, counts in made]).astype(np.float32)
        group["hits_per_event"] = np.array([len(counts) for _, counts in made], np.int32)
    print(f"{given.out}: {given.events} events")


if __name__ == "__main__":
    main()
