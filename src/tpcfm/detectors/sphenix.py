"""sPHENIX time projection chamber: layers, field, classes, colours, feature scaling (arXiv 2508.14087, App. A)."""

import numpy as np
import numpy.typing as npt

FIELD_T = 1.4
HALF_LENGTH_CM = 105.0
PT_PER_RADIUS = 0.0042  # GeV per cm of bending radius at 1.4 T
DRIFT_VELOCITY_CM_PER_NS = 8.0e-3
PADS = (1152, 1536, 2304)  # pads in azimuth, inner/middle/outer region

LAYER_RADII_CM: npt.NDArray[np.float64] = np.array(
    [31.372, 31.944, 32.516, 33.088, 33.660, 34.232, 34.804, 35.376, 35.948, 36.520, 37.092, 37.664, 38.236, 38.808, 39.380, 39.952]
    + [41.659, 42.680, 43.700, 44.721, 45.742, 46.762, 47.783, 48.804, 49.824, 50.845, 51.866, 52.886, 53.907, 54.928, 55.948, 56.969]
    + [58.911, 60.008, 61.105, 62.202, 63.299, 64.396, 65.493, 66.590, 67.688, 68.785, 69.882, 70.979, 72.076, 73.173, 74.270, 75.367]
)  # fmt: skip
REGION_EDGES_CM = (40.81, 57.94)

PID = {0: "other", 1: "pion", 2: "kaon", 3: "proton", 4: "electron"}
PID_COLOURS = {0: "#9aa5b1", 1: "#2f6fde", 2: "#e4572e", 3: "#2a9d6f", 4: "#d4a017"}
NOISE = {0: "signal", 1: "noise"}
NOISE_MOMENTUM_GEV = 0.06

# Feature scaling presets: (offset, width) with feature = (value - offset) / width; order (E, eta, phi, r).
SCALING = {
    "paper": {"energy": (253.0982, 268.7093), "eta": (-2.0, 4.0), "phi": (-np.pi, 2 * np.pi), "r": (30.0, 48.0)},
    "released": {
        "energy": (253.0982, 268.7093),
        "eta": (-2.0, 4.0),
        "phi": (-np.pi, 2 * np.pi),
        "r": (31.371997833, 75.384933472 - 31.371997833),
    },
}

# Published aggregates used for calibration and comparison.
PUBLISHED_POINTS_PER_EVENT = 861.0
PUBLISHED_TRACKS_PER_EVENT = 15.4
PUBLISHED_PID_SHARES = (0.087, 0.583, 0.027, 0.067, 0.237)
PUBLISHED_NOISE_SHARE = 0.1125
PUBLISHED_ENERGY_MEAN_STD = (253.1, 268.7)
