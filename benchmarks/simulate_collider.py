"""Collider simulation on one core: events per second against the target of 100 per second and against Pythia alone.

Times are processor time over the same collisions in one run, after compilation. "Pythia alone" is the generator without reading
its event record. Ratios below one against Pythia mean that the detector takes longer than the collision.
"""

import tempfile
import time
import tracemalloc
from math import nan
from pathlib import Path
from typing import Any

from tpcfm.errors import MachineError
from tpcfm.files import key64
from tpcfm.simulate.collider.event import Detector
from tpcfm.simulate.collider.files import SourceName, _source, collisions, simulate_file

EVENTS = 1500
TARGET = 100.0  # events per second and core


def _detector_seconds(source: SourceName) -> tuple[float, float, float]:
    """Return the processor time per collision of source and of detector, and the mean number of points."""
    stream = collisions(source, 1, 0)
    detector = Detector()
    for number in range(20):
        detector.simulate(next(stream), number)
    begin = time.process_time()
    primaries = [next(stream) for _ in range(EVENTS)]
    generated = time.process_time()
    points = sum(len(detector.simulate(particles, key64(str(i))).points) for i, particles in enumerate(primaries))
    return (generated - begin) / EVENTS, (time.process_time() - generated) / EVENTS, points / EVENTS


def _pythia_seconds() -> float:
    """Return the processor time per event of Pythia alone, at the settings of the simulation."""
    generator: Any = _source("pythia")
    begin = time.process_time()
    for _ in range(EVENTS):
        generator._pythia.next()
    return (time.process_time() - begin) / EVENTS


def _file_seconds(source: SourceName, events: int) -> tuple[float, float]:
    """Return the processor time per event of a whole labelled file, and the peak memory in MiB above the start."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.process_time()
        simulate_file(Path(folder), 0, events, 1, source, True, False)
        seconds = (time.process_time() - begin) / events
        tracemalloc.start()
        simulate_file(Path(folder), 0, events, 1, source, True, False)
        peak = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
    return seconds, peak


def rows() -> list[dict[str, Any]]:
    """Return one row per comparison: ``what size against ratio memory_mib``, and ``per_second``."""
    found: list[dict[str, Any]] = []

    def add(what: str, size: str, against: str, other: float, ours: float, memory: float) -> None:
        row = {"what": what, "size": size, "against": against, "ratio": other / ours, "memory_mib": memory}
        found.append(row | {"per_second": 1.0 / ours})

    target = f"{TARGET:.0f} events/s"
    file_events = EVENTS // 5
    for source in ("gun", "pythia"):
        try:
            made, walked, points = _detector_seconds(source)
        except MachineError as error:
            print(f"{source}: {error}")
            continue
        per_file, memory = _file_seconds(source, file_events)
        size = f"{points:.0f} points"
        add(f"collider, {source}: detector", size, target, 1 / TARGET, walked, nan)
        add(f"collider, {source}: source", size, target, 1 / TARGET, made, nan)
        add(f"collider, {source}: kept events, file", f"{file_events} events", target, 1 / TARGET, per_file, memory)
        if source == "pythia":
            alone = _pythia_seconds()
            add("collider, pythia: detector", size, "Pythia alone", alone, walked, nan)
            add("collider, pythia: source with reading", size, "Pythia alone", alone, made, nan)
            add("collider, pythia: source and detector", size, "Pythia alone", alone, made + walked, nan)
    return found


if __name__ == "__main__":
    for row in rows():
        print(
            "{what:38s} {size:>12s} {per_second:7.0f}/s {ratio:6.2f}x {memory_mib:6.1f} MiB  against {against}".format(
                **row
            )
        )
