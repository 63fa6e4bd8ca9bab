"""The chamber that the simulation fills: pad rows, drift, field of the sPHENIX TPC (arXiv 2508.14087, App. A)."""

import numpy as np
import numpy.typing as npt

from tpcfm.detectors.registry import load_detector

_LAYERS = load_detector("sphenix").layers
assert _LAYERS is not None
LAYER_RADII_CM: npt.NDArray[np.float64] = np.array(_LAYERS.radii)
HALF_LENGTH_CM = 105.0
PT_PER_RADIUS = 0.0042  # GeV per cm of bending radius at 1.4 T
DRIFT_VELOCITY_CM_PER_NS = 8.0e-3
NOISE_MOMENTUM_GEV = 0.06  # points of particles below it are labelled as noise
