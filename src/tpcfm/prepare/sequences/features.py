"""Features of collider TPC points: cylindrical coordinates, layers, scaling (arXiv 2508.14087, Sec. 3 and App. A)."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from tpcfm.detectors.sphenix import LAYER_RADII_CM, SCALING
from tpcfm.errors import ConfigError

Scaling = Literal["paper", "released"]
FloatArray = npt.NDArray[np.floating]

_LAYER_BORDERS = (LAYER_RADII_CM[1:] + LAYER_RADII_CM[:-1]) / 2


def scaling_constants(scaling: str) -> dict[str, tuple[float, float]]:
    """Return offset and width of energy, eta, phi and r for a named preset.

    Raises:
        ConfigError: no such preset.
    """
    if scaling not in SCALING:
        raise ConfigError(f"scaling: {scaling!r} is not known; allowed: {', '.join(SCALING)}")
    return SCALING[scaling]


def cylindrical(x: FloatArray, y: FloatArray, z: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return pseudorapidity, azimuth (rad, from -pi to pi) and radius (cm) about the origin, in float64.

    Args:
        x, y, z: (N,) coordinates in cm with the detector centre as origin; no vertex correction is made.
    """
    x, y, z = (np.asarray(values, dtype=np.float64) for values in (x, y, z))
    radius = np.hypot(x, y)
    with np.errstate(divide="ignore", invalid="ignore"):
        eta = np.arcsinh(z / radius)  # equals -ln tan(theta / 2) with theta = atan2(r, z)
    return eta, np.arctan2(y, x), radius


def point_features(
    energy: FloatArray, x: FloatArray, y: FloatArray, z: FloatArray, scaling: str = "paper"
) -> npt.NDArray[np.float32]:
    """Return the network input of each point, (N, 4) float32: normalised energy, eta, phi, r.

    Each is (value - offset) / width with the constants of the preset; nothing is clipped.
    """
    constants = scaling_constants(scaling)
    values = (np.asarray(energy, dtype=np.float64), *cylindrical(x, y, z))
    columns = [(value - constants[name][0]) / constants[name][1] for name, value in zip(_NAMES, values, strict=True)]
    return np.stack(columns, axis=1).astype(np.float32)


_NAMES = ("energy", "eta", "phi", "r")
ETA_SCALE = 1.96  # of the comparison systems; the edge of the detector in pseudorapidity is at 1.92


def comparison_features(feature_energy: FloatArray, xyz: FloatArray) -> npt.NDArray[np.float32]:
    """Return the network input of the comparison systems, (N, 5): energy, eta / 1.96, cos phi, sin phi, layer / 48.

    Distances between the last four are where their graphs begin (arXiv 2508.14087, App. C).

    Args:
        feature_energy: (N,) normalised energy.
        xyz: (N, 3) cm.
    """
    eta, phi, radius = cylindrical(*np.asarray(xyz).T)
    layer = np.searchsorted(_LAYER_BORDERS, radius, side="left") / len(LAYER_RADII_CM)
    return np.stack([feature_energy, eta / ETA_SCALE, np.cos(phi), np.sin(phi), layer], axis=1).astype(np.float32)


def normalised_radius(radius_cm: FloatArray | float, scaling: str) -> npt.NDArray[np.float64]:
    """Return radii given in cm in the units of the preset."""
    offset, width = scaling_constants(scaling)["r"]
    return (np.asarray(radius_cm, dtype=np.float64) - offset) / width


def layer_index(radius: FloatArray, scaling: str) -> npt.NDArray[np.int32]:
    """Return the layer (0 to 47) with the nearest radius, for normalised radii.

    Radii of spacepoints are the 48 layer centres up to corrections far below the layer spacing, so "strictly larger
    radius" is only meaningful between layers; compared as floats, rounding would order points of one layer.
    """
    offset, width = scaling_constants(scaling)["r"]
    centimetres = np.asarray(radius, dtype=np.float64) * width + offset
    return np.searchsorted(_LAYER_BORDERS, centimetres, side="left").astype(np.int32)
