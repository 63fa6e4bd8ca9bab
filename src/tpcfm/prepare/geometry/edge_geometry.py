"""Geometry of pairs of near points: what says that two hits belong to one particle before anything is learned."""

import numpy as np
import numpy.typing as npt

from tpcfm.detectors.model import Detector
from tpcfm.prepare.geometry.local_geometry import LocalGeometry, geometry_names

RANKED = 16
"""Neighbours of a point among which others have a rank."""
DIRECTIONS = (0, 1)
"""Neighbourhoods (places in `local_geometry.SIZES`) whose directions are compared."""
OF_PAIR = (
    "distance", "rank_low", "rank_high", "crowding",
    *(f"{what}_{size}" for size in (8, 24) for what in ("along_low", "along_high", "parallel", "linearity_low", "linearity_high")),
)  # fmt: skip
OF_SIGNAL = ("signal_difference", "signal_mean")
OF_AXIS = ("across_r", "across_z", "pointing", "slope_difference", "r")


def edge_names(detector: Detector) -> list[str]:
    """Return the names of the features of a pair in order."""
    return [*OF_PAIR, *OF_SIGNAL * (detector.main_signal is not None), *OF_AXIS * detector.cylindrical]


def near_pairs(near: npt.NDArray[np.integer], neighbours: int) -> npt.NDArray[np.int64]:
    """Return the pairs (2, E), smaller row first, of which one point is among the nearest of the other.

    Args:
        near: (N, k) neighbours by distance, -1 for none.
        neighbours: how many of them count, at most k.
    """
    point, slot = np.nonzero(near[:, :neighbours] >= 0)
    other = near[point, slot].astype(np.int64)
    key = np.unique(np.minimum(point, other) * len(near) + np.maximum(point, other))
    return np.stack(np.divmod(key, max(len(near), 1)))


def edge_geometry(
    detector: Detector,
    xyz: npt.NDArray[np.number],
    scaled_signal: npt.NDArray[np.floating] | None,
    local: LocalGeometry,
    edges: npt.NDArray[np.int64],
) -> npt.NDArray[np.float32]:
    """Return features (E, F) of pairs of points of one event; exchanging the two points changes nothing.

    log2 of the distance in pitches; share of the other's `RANKED` neighbours that are nearer (smaller, larger); log2 of the distance over
    the mean radius of their neighbourhoods of 8; for the neighbourhoods of 8 and 24: cosines of the pair with their principal
    directions (smaller, larger) and between these, linearities (smaller, larger); difference and mean of the scaled signals; in a cylinder share of the
    pair along r and z, its cosine with the line from the origin, the difference of z / r, and the mean radius in pitches.

    Args:
        detector: gives pitch and frame.
        xyz: (N, 3) in its unit.
        scaled_signal: (N,); None for a detector without signal.
        local: of these points.
        edges: (2, E).
    """
    names = {name: place for place, name in enumerate(geometry_names(detector))}
    points = np.asarray(xyz, np.float64) / detector.pitch
    a, b = edges
    step = points[b] - points[a]
    length = np.sqrt((step**2).sum(1))
    unit = step / np.maximum(length, 1e-9)[:, None]
    near = local.near[:, :RANKED]
    reach = np.linalg.norm(points[near] - points[:, None], axis=2)
    reach[near < 0] = np.inf
    there, back = _rank(reach, a, length), _rank(reach, b, length)
    radius = local.features[:, names["radius_8"]].astype(np.float64)
    log_length = np.log2(np.maximum(length, 1e-3))
    columns = [log_length, np.minimum(there, back), np.maximum(there, back), log_length - (radius[a] + radius[b]) / 2]
    for place, size in zip(DIRECTIONS, (8, 24), strict=True):
        first, second = local.direction[a, place], local.direction[b, place]
        along = np.abs((unit * first).sum(1)), np.abs((unit * second).sum(1))
        line = local.features[:, names[f"linearity_{size}"]]
        columns += [np.minimum(*along), np.maximum(*along), np.abs((first * second).sum(1))]
        columns += [np.minimum(line[a], line[b]), np.maximum(line[a], line[b])]
    if scaled_signal is not None:
        columns += [np.abs(scaled_signal[a] - scaled_signal[b]), (scaled_signal[a] + scaled_signal[b]) / 2]
    if detector.cylindrical:
        r = np.maximum(np.hypot(points[:, 0], points[:, 1]), 1e-9)
        slope = points[:, 2] / r
        middle = (points[a] + points[b]) / 2
        outward = middle / np.maximum(np.linalg.norm(middle, axis=1), 1e-9)[:, None]
        columns += [np.abs(r[a] - r[b]) / np.maximum(length, 1e-9), np.abs(unit[:, 2]), np.abs((unit * outward).sum(1))]
        columns += [np.abs(slope[a] - slope[b]), (r[a] + r[b]) / 2]
    return np.stack(columns, axis=1).astype(np.float32)


def _rank(
    reach: npt.NDArray[np.float64], point: npt.NDArray[np.int64], length: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the share (E,) of the neighbours listed for a point that are nearer than a length; those at that distance are not."""
    return np.asarray((reach[point] < length[:, None] * (1 - 1e-6)).mean(1))
