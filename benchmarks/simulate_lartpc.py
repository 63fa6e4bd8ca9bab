"""Liquid-argon simulation on one core: what the HDF5 writer costs beside the Monte Carlo, and the rates."""

import tempfile
import time
from pathlib import Path
from typing import Any

from tpcfm.simulate.lartpc import Simulator, simulate_file

EVENTS = 300


def rows() -> list[dict[str, Any]]:
    """Return the row of the benchmark table: events per second written, against the Monte Carlo alone (1 is free writing)."""
    simulator = Simulator()
    simulator.event(0, 0, 0)  # compile
    start = time.process_time()
    points = sum(simulator.event(1, 0, k).energy.size for k in range(EVENTS))
    alone = time.process_time() - start
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.h5"
        simulate_file(path, 1, 0)  # imports
        start = time.process_time()
        simulate_file(path, EVENTS, 1)
        written = time.process_time() - start
    what = f"simulate and write, {EVENTS / written:.0f} events/s"
    size = f"{EVENTS} events, {points / EVENTS:.0f} points each"
    return [{"what": what, "size": size, "against": "Monte Carlo alone", "ratio": alone / written}]


if __name__ == "__main__":
    for row in rows():
        print("{what:36s} {size:>32s} {ratio:6.2f}x  {against}".format(**row))
