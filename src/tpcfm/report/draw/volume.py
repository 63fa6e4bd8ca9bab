"""Outline of a detector's volume as lines in space."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from tpcfm.detectors.model import Box, Cylinder, Detector

Lines = list[npt.NDArray[np.float64]]


def outline(detector: Detector) -> Lines:
    """Return lines (n, 3): the edges of a box, or the rings of a cylinder (at its layers' borders, if it has layers)."""
    volume = detector.volume
    if isinstance(volume, Box):
        return _edges(volume)
    layers = detector.layers
    radii = (layers.radii[0], *layers.regions, layers.radii[-1]) if layers else volume.r
    return list(_rings(volume, [r for r in radii if r > 0]))


def _edges(box: Box) -> Lines:
    corners = np.array(
        [[*(side[bit] for side, bit in zip((box.x, box.y, box.z), bits))] for bits in np.ndindex(2, 2, 2)]
    )
    return [corners[[a, a | bit]] for bit in (1, 2, 4) for a in range(8) if not a & bit]


def _rings(volume: Cylinder, radii: list[float]) -> Iterator[npt.NDArray[np.float64]]:
    angle = np.linspace(0, 2 * np.pi, 49)
    for radius in radii:
        border = radius in (radii[0], radii[-1])
        for z in (volume.z[0], sum(volume.z) / 2, volume.z[1]) if border else volume.z:
            yield np.stack([radius * np.cos(angle), radius * np.sin(angle), np.full(len(angle), z)], axis=1)
    for turn in np.arange(6) * np.pi / 3:  # lines along the axis, so that the rings look like one volume
        yield np.array([[radii[-1] * np.cos(turn), radii[-1] * np.sin(turn), z] for z in volume.z])
