"""Write collisions in a large cylindrical TPC as CSV: helices of charged particles crossing 159 pad rows, millimetres and microseconds.

A toy of the size of a heavy-ion experiment (85 < r < 250 cm, |z| < 250 cm), to show how events of thousands of hits with 64-bit particle
ids are read; it is no simulation of physics.

    python examples/heavy_ion_tpc/make_hits.py --events 50 --out examples/heavy_ion_tpc/hits.csv.gz
"""

import argparse
import gzip
from pathlib import Path

import numpy as np

ROWS_MM = np.linspace(852.0, 2466.0, 159)  # radii of the pad rows
HALF_LENGTH_MM = 2497.0
FIELD_TESLA = 0.5
SPECIES = {211: 0.82, 321: 0.10, 2212: 0.06, 11: 0.02}  # PDG code and share; charges come in pairs
GAP = 2**33 + 12_345  # between particle ids: they need 64 bits and have holes


def particle(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the hits (n, 3) of one particle in mm, their charges (n,), and its PDG code."""
    code = int(rng.choice(list(SPECIES), p=list(SPECIES.values())))
    sign = int(rng.choice([-1, 1]))
    pt = 0.15 + rng.exponential(0.5)  # GeV
    eta, phi = rng.uniform(-0.95, 0.95), rng.uniform(-np.pi, np.pi)
    radius = 1000 * pt / (0.3 * FIELD_TESLA)  # of the circle, mm
    reached = ROWS_MM[2 * radius > ROWS_MM]
    turned = np.arcsin(reached / (2 * radius))
    angle = phi + sign * turned
    z = rng.normal(0, 50) + 2 * radius * turned * np.sinh(eta)
    xyz = np.column_stack([reached * np.cos(angle), reached * np.sin(angle), z]) + rng.normal(0, 0.7, (len(reached), 3))
    inside = (np.abs(z) < HALF_LENGTH_MM) & (rng.random(len(z)) < 0.97)
    charge = rng.gamma(3.0, 20.0, len(z)) * (1 + 0.3 / pt**2)
    return xyz[inside], charge[inside], sign * code


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=50)
    parser.add_argument("--particles", type=int, nargs=2, default=(15, 140), metavar=("LEAST", "MOST"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="hits.csv or hits.csv.gz")
    given = parser.parse_args()
    opened = gzip.open if given.out.suffix == ".gz" else open
    with opened(given.out, "wt", encoding="utf-8") as stream:
        stream.write("run,event,px_mm,py_mm,pz_mm,adc,mc_particle,mc_pdg\n")
        for event in range(given.events):
            rng = np.random.default_rng([given.seed, event])
            identity, rows = int(rng.integers(1, GAP)), []
            for _ in range(rng.integers(given.particles[0], given.particles[1] + 1)):
                identity += int(rng.integers(1, 5)) * GAP
                xyz, charge, code = particle(rng)
                rows += [(*p, q, identity, code) for p, q in zip(xyz, charge, strict=True)]
            for i in rng.permutation(len(rows)):  # as a readout would: not along the tracks
                x, y, z, q, number, code = rows[i]
                stream.write(f"2026,{1000 + 7 * event},{x:.2f},{y:.2f},{z:.2f},{q:.1f},{number},{code}\n")
    print(f"{given.out}: {given.events} events")


if __name__ == "__main__":
    main()
