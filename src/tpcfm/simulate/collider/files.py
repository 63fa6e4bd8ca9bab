"""Whole files of simulated collisions: reproducible by (seed, index), independent of every other file."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from tpcfm.errors import ConfigError
from tpcfm.files import key64
from tpcfm.simulate.collider.event import Detector, Event
from tpcfm.simulate.collider.gun import GunSource
from tpcfm.simulate.collider.pythia import PythiaSource
from tpcfm.simulate.collider.settings import DEFAULT, Settings
from tpcfm.simulate.collider.write import file_name, write_pack

SourceName = Literal["pythia", "gun"]


class Source(Protocol):
    """Something that makes the particles of a collision."""

    def seed(self, key: int) -> None: ...

    def next(self, vertex: tuple[float, float, float]) -> npt.NDArray[np.float64]: ...


@lru_cache(maxsize=2)
def _source(name: str) -> Source:
    """One generator per process: starting Pythia takes seconds."""
    if name == "pythia":
        return PythiaSource()
    if name == "gun":
        return GunSource()
    raise ConfigError(f"source: {name!r} is not a source of collisions; allowed are 'pythia' and 'gun'")


def collisions(
    source: SourceName, seed: int, index: int, settings: Settings = DEFAULT
) -> Iterator[npt.NDArray[np.float64]]:
    """Yield the primaries of the collisions of file ``index``, shape (P, 8), at vertices spread along the beam."""
    generator = _source(source)
    key = f"collider/{source}/{index}"
    generator.seed(key64(key, seed))
    vertices = np.random.Generator(np.random.Philox(key64(f"{key}/vertex", seed)))
    while True:
        x, y, z = vertices.standard_normal(3)
        across = settings.vertex_sigma_xy_cm
        yield generator.next((across * x, across * y, settings.vertex_sigma_z_cm * z))


def simulate_events(
    source: SourceName, seed: int, index: int, count: int, settings: Settings = DEFAULT
) -> Iterator[Event]:
    """Yield ``count`` events of file ``index``; collisions that leave no point in the chamber are passed over."""
    detector = Detector(settings)
    made = 0
    for number, primaries in enumerate(collisions(source, seed, index, settings)):
        if made == count:
            return
        event = detector.simulate(primaries, key64(f"collider/{source}/{index}/{number}", seed))
        if len(event.points) >= settings.min_points:
            made += 1
            yield event


def simulate_file(
    out_folder: Path,
    index: int,
    events: int,
    seed: int,
    source: SourceName,
    labelled: bool,
    particles: bool,
) -> None:
    """Write one shard of simulated pp collisions in the TPCpp-10M layout.

    ``spacepoints_NNN.npz`` always; with ``labelled`` also ``track_ids``, ``pid_labels`` and ``noise_tags``; with ``particles`` the
    truth table ``particles`` (track_id, pdg, px, py, pz, E in GeV, vx, vy, vz in cm, charge). Labels do not change the points.

    Raises:
        ConfigError: a value is out of range.
        MachineError: Pythia is missing, or a file cannot be written.
    """
    if events < 1 or index < 0:
        raise ConfigError(f"events = {events}, index = {index}: expected at least one event and an index of 0 or more")
    made = list(simulate_events(source, seed, index, events))
    folder = Path(out_folder)
    # The points last: a reader that finds them finds the labels too.
    if particles:
        write_pack(folder / file_name("particles", index), "particles", [event.particles for event in made])
    if labelled:
        write_pack(folder / file_name("noise_tags", index), "noise_tags", [event.noise for event in made])
        write_pack(folder / file_name("pid_labels", index), "pid_labels", [event.pid for event in made])
        write_pack(folder / file_name("track_ids", index), "track_ids", [event.track for event in made])
    write_pack(folder / file_name("spacepoints", index), "spacepoints", [event.points for event in made])
