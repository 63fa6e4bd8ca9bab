"""Events to try an exported network on: made-up straight tracks in the volume of any detector, or the first of a file. Imports no torch."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tpcfm.detectors.model import AffineScaling, Cylinder, Detector, Signal, open_range
from tpcfm.errors import DataError
from tpcfm.inference.file_events import FileEvent, held_events, open_events

TRIED = 50
"""Events that are looked at for one that the model takes."""


def sample_events(
    detector: Detector, count: int, takes: Callable[[FileEvent], bool], file: Path | None = None
) -> list[FileEvent]:
    """Return events that a model takes.

    Args:
        detector: of the model.
        count: how many.
        takes: whether the model takes an event.
        file: raw file or event table; without one they are made up.

    Raises:
        DataError: there are not enough among the first `TRIED`.
    """
    if file is None:
        generator = np.random.default_rng(0)
        made = (held_events([_tracks(detector, generator, 6 + 4 * n)], detector)[0] for n in range(TRIED))
        return _first(made, count, takes, f"made-up events of {detector.name}; name a file with --events")
    with open_events(file, detector) as source:
        return _first(source.events, count, takes, f"events of {file}")


def _first(events: Iterator[FileEvent], count: int, takes: Callable[[FileEvent], bool], what: str) -> list[FileEvent]:
    found = list(islice((event for event in islice(events, TRIED) if not event.reason and takes(event)), count))
    if len(found) < count:
        raise DataError(f"the model takes {len(found)} of the first {TRIED} {what}; needed are {count}")
    return found


def _tracks(detector: Detector, generator: np.random.Generator, number: int) -> dict[str, Any]:
    """Return an event of straight tracks, 60 points each, from the middle half of the volume outwards."""
    ends = [_inside(detector, generator, number, share) for share in (0.25, 0.9)]
    along = np.linspace(0, 1, 60)[:, None, None]
    xyz = (ends[0] + along * (ends[1] - ends[0])).reshape(-1, 3)
    if isinstance(detector.volume, Cylinder):
        radius = np.hypot(xyz[:, 0], xyz[:, 1])
        low, high = detector.limits()["r"]
        xyz = xyz[(radius > low) & (radius < high)]
    if detector.coordinates.whole:
        xyz = np.unique(np.round(xyz), axis=0)
    event: dict[str, Any] = dict(zip("xyz", xyz.T, strict=True))
    return event | {signal.name: _signal(signal, generator, len(xyz)) for signal in detector.signal}


def _inside(detector: Detector, generator: np.random.Generator, number: int, share: float) -> npt.NDArray[np.float64]:
    """Return places (number, 3) at a share of the way from the middle (of a cylinder: from the inner wall) to the border."""
    limits = detector.limits()
    if not isinstance(detector.volume, Cylinder):
        directions = generator.uniform(-1, 1, (number, 3))
        half = np.array([(high - low) / 2 for low, high in limits.values()])
        return detector.centre + share * directions * half
    (low, high), (bottom, top) = limits["r"], limits["z"]
    radius, azimuth = low + share * (high - low), generator.uniform(-np.pi, np.pi, number)
    z = (bottom + top) / 2 + share * generator.uniform(-0.5, 0.5, number) * (top - bottom)
    return np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth), z], axis=1)


def _signal(signal: Signal, generator: np.random.Generator, count: int) -> npt.NDArray[np.float32]:
    low, high = open_range(signal.range)
    if isinstance(signal.scaling, AffineScaling):
        values = signal.scaling.offset + signal.scaling.width * generator.uniform(0.0, 1.0, count)
    else:
        values = np.exp(generator.normal(0, 0.7, count))
    floor = max(low, signal.threshold * 1.01 if signal.threshold is not None else low)
    return np.clip(values, floor, high).astype(np.float32)
