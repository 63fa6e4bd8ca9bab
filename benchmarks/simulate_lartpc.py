"""Liquid-argon simulation: events per second on one core, and where the time goes."""

import tempfile
import time
from pathlib import Path

from tpcfm.simulate.lartpc import Simulator, simulate_file

EVENTS = 300


def main() -> None:
    """Print the rates of the Monte Carlo alone and with the HDF5 writer, and their ratio."""
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
        size = path.stat().st_size
    print(f"{'what':34} {'events/s/core':>14} {'points/s':>12} {'ratio':>6}")
    print(f"{'simulate':34} {EVENTS / alone:14.0f} {points / alone:12,.0f} {1.0:6.2f}")
    print(f"{'simulate and write HDF5':34} {EVENTS / written:14.0f} {points / written:12,.0f} {alone / written:6.2f}")
    print(f"{points / EVENTS:.0f} points per event, {size / EVENTS / 1024:.0f} KiB per event")


if __name__ == "__main__":
    main()
