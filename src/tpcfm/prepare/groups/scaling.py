"""Scaling of energies and coordinates (arXiv 2502.02558, Sec. III, eq. 1)."""

from typing import Any

import numpy as np
import numpy.typing as npt

from tpcfm.detectors import pilarnet

Floats = npt.NDArray[np.floating[Any]]


def scale_energy(
    energy: npt.ArrayLike, epsilon: float = pilarnet.ENERGY_THRESHOLD_MEV, maximum: float = pilarnet.ENERGY_MAX_MEV
) -> Floats:
    """Map energies in MeV to about [−1, 1] on a logarithmic scale (eq. 1): 0 → −1, ``maximum`` → 1; no clipping above.

    Args:
        energy: MeV, not negative; any shape.
        epsilon: offset inside the logarithm, MeV. The published weights were made with 0.13.
        maximum: energy that maps to 1, MeV.
    """
    low, high = np.log10(epsilon), np.log10(maximum + epsilon)
    return 2 * (np.log10(np.asarray(energy) + epsilon) - low) / (high - low) - 1


def unscale_energy(
    scaled: npt.ArrayLike, epsilon: float = pilarnet.ENERGY_THRESHOLD_MEV, maximum: float = pilarnet.ENERGY_MAX_MEV
) -> Floats:
    """Inverse of `scale_energy`: energies in MeV."""
    low, high = np.log10(epsilon), np.log10(maximum + epsilon)
    return 10 ** ((np.asarray(scaled) + 1) / 2 * (high - low) + low) - epsilon


def scale_coordinates(voxel: npt.ArrayLike) -> Floats:
    """Centre voxel coordinates and scale the detector's corners onto the unit sphere; any shape."""
    return (np.asarray(voxel) - pilarnet.CENTRE) / pilarnet.SCALE


def unscale_coordinates(scaled: npt.ArrayLike) -> Floats:
    """Inverse of `scale_coordinates`: voxel coordinates."""
    return np.asarray(scaled) * pilarnet.SCALE + pilarnet.CENTRE
