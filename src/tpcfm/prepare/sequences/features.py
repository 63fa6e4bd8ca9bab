"""What networks see of the points of a sequence: network coordinates, layers, scaling (arXiv 2508.14087, Sec. 3 and App. A).

A cylinder is seen in pseudorapidity, azimuth and radius, a box in x, y and z (`Detector.axes`); the third of them is the
one in which sequences rise.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from tpcfm.detectors.model import Detector
from tpcfm.errors import ConfigError

FloatArray = npt.NDArray[np.floating]
GRAPH = "graph"
"""Preset of a detector's ranges that holds for the inputs of graph networks, where there is one."""


def ranges(detector: Detector, preset: str = "") -> list[tuple[float, float]]:
    """Return offset and width of the three network coordinates.

    Raises:
        ConfigError: the detector has no such preset.
    """
    if preset and preset not in detector.presets:
        known = ", ".join(map(repr, ("", *detector.presets)))
        raise ConfigError(f"preset: {preset!r} is not known to the detector {detector.name}; allowed: {known}")
    return list(detector.sequence_ranges(preset).values())


def cylindrical(x: FloatArray, y: FloatArray, z: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return pseudorapidity, azimuth (rad, from -pi to pi) and radius about the z axis and the origin, in float64.

    Args:
        x, y, z: (N,) coordinates with the detector centre as origin; no vertex correction is made.
    """
    x, y, z = (np.asarray(values, dtype=np.float64) for values in (x, y, z))
    radius = np.hypot(x, y)
    with np.errstate(divide="ignore", invalid="ignore"):
        eta = np.arcsinh(z / radius)  # equals -ln tan(theta / 2) with theta = atan2(r, z)
    return eta, np.arctan2(y, x), radius


def network_coordinates(detector: Detector, xyz: npt.ArrayLike, preset: str = "") -> npt.NDArray[np.float64]:
    """Return the network coordinates (N, 3) of points (N, 3): (value - offset) / width each; nothing is clipped."""
    columns = np.ascontiguousarray(np.asarray(xyz).T, dtype=np.float64)
    values = cylindrical(*columns) if detector.cylindrical else columns
    scaled = [(value - low) / width for value, (low, width) in zip(values, ranges(detector, preset), strict=True)]
    return np.stack(scaled, axis=1)


def point_features(
    detector: Detector, signal: FloatArray | None, xyz: npt.ArrayLike, preset: str = ""
) -> npt.NDArray[np.float32]:
    """Return the network input of each point, (N, 4) float32: scaled signal (0 without one), and its network coordinates.

    Args:
        detector: with a fixed scaling of its signal.
        signal: (N,) main signal; None without one.
        xyz: (N, 3).
        preset: of the ranges.
    """
    place = network_coordinates(detector, xyz, preset)
    scaled = np.zeros(len(place)) if signal is None else detector.scale_signal(signal)
    return np.column_stack([scaled, place]).astype(np.float32)


def event_features(detector: Detector, event: Any, preset: str = "") -> npt.NDArray[np.float32]:
    """Return the `point_features` of an event of a table, in its order."""
    main = detector.main_signal
    xyz = np.stack([event[axis] for axis in "xyz"], axis=1)
    return point_features(detector, None if main is None else event[main.name], xyz, preset)


def comparison_features(detector: Detector, scaled_signal: FloatArray, xyz: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Return the network input of the baselines, (N, 5); distances between the last four are where their graphs begin.

    Cylinder (arXiv 2508.14087, App. C): signal, eta / half its range, cos phi, sin phi, layer / number of layers (share of
    the radial range without layers). Box: signal, x, y and z from -1 to 1, and a column of zeros, so that the same networks
    run on every detector. Ranges are those of the preset `GRAPH` where the detector has it (sPHENIX: eta / 1.96).

    Args:
        scaled_signal: (N,) as in the features of a sequence.
        xyz: (N, 3) in the detector's unit.
    """
    xyz = np.asarray(xyz)
    spans = ranges(detector, GRAPH if GRAPH in detector.presets else "")
    middle_half = [(low + width / 2, width / 2) for low, width in spans]
    if not detector.cylindrical:
        place = [(column - middle) / half for column, (middle, half) in zip(xyz.T, middle_half)]
        return np.stack([scaled_signal, *place, np.zeros(len(xyz))], axis=1).astype(np.float32)
    eta, phi, radius = cylindrical(*xyz.T)
    middle, half = middle_half[0]
    if detector.layers is None:
        share = (radius - spans[2][0]) / spans[2][1]
    else:
        share = np.searchsorted(_borders(detector), radius, side="left") / len(detector.layers.radii)
    return np.stack([scaled_signal, (eta - middle) / half, np.cos(phi), np.sin(phi), share], axis=1).astype(np.float32)


def _borders(detector: Detector) -> npt.NDArray[np.float64]:
    """Return the borders midway between layers."""
    assert detector.layers is not None
    radii = np.array(detector.layers.radii)
    return (radii[1:] + radii[:-1]) / 2


def level_index(outward: FloatArray, detector: Detector, preset: str = "") -> npt.NDArray[np.int32]:
    """Return the level of points from their third network coordinate: how far out they lie, in whole numbers.

    With layers: the layer with the nearest radius. Radii of spacepoints are the layer centres up to corrections far below
    the layer spacing, so "strictly further out" is only meaningful between layers; compared as floats, rounding would order
    points of one layer. Without layers: the nearest step of ``pitch`` from the lower end of the volume.
    """
    offset, width = ranges(detector, preset)[2]
    length = np.asarray(outward, dtype=np.float64) * width + offset
    if detector.layers is not None:
        return np.searchsorted(_borders(detector), length, side="left").astype(np.int32)
    return np.rint((length - _start(detector)) / detector.pitch).astype(np.int32)


def level_places(levels: npt.NDArray[np.integer], detector: Detector, preset: str = "") -> npt.NDArray[np.float64]:
    """Return the third network coordinate of levels: of the layer, or of the step."""
    offset, width = ranges(detector, preset)[2]
    if detector.layers is not None:
        return (np.array(detector.layers.radii)[levels] - offset) / width
    return np.asarray((_start(detector) + levels * detector.pitch - offset) / width)


def _start(detector: Detector) -> float:
    return detector.volume.r[0] if detector.volume.shape == "cylinder" else detector.volume.z[0]


def check_wrap(detector: Detector, preset: str = "") -> None:
    """Make sure that azimuth can be taken across the seam.

    Raises:
        ConfigError: a box has none, or its range is not the full circle.
    """
    if not detector.cylindrical:
        raise ConfigError(f"wrap: the detector {detector.name} is a box; azimuth has a seam in cylinders only")
    if not math.isclose(ranges(detector, preset)[1][1], 2 * math.pi):
        raise ConfigError(f"wrap: ranges.phi of the detector {detector.name} must be 2 pi wide")
