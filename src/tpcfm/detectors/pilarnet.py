"""Liquid-argon TPC volume of PILArNet-M: lattice, classes, colours (arXiv 2502.02558, App. A)."""

EDGE = 768  # voxels per side
PITCH_CM = 0.3  # voxel edge, cm
CENTRE = 384.0  # voxel coordinate of the centre
SCALE = 384.0 * 3**0.5  # voxels; the corners land on the unit sphere
ENERGY_THRESHOLD_MEV = 0.13  # strictly above is kept
ENERGY_MAX_MEV = 20.0
GROUP_RADIUS = 5.0  # voxels

SEMANTIC = {0: "shower", 1: "track", 2: "Michel", 3: "delta", 4: "low energy"}
LOW_ENERGY = 4
SEGMENTATION_CLASSES = ("shower", "track", "Michel", "delta")
SEMANTIC_COLOURS = {0: "#2f6fde", 1: "#7b8794", 2: "#e4572e", 3: "#2a9d6f", 4: "#d9d2c5"}
PID = {-1: "low energy", 0: "photon", 1: "electron", 2: "muon", 3: "pion", 4: "proton", 5: "kaon"}

# Published voxel counts per semantic class (shower, track, Michel, delta, low energy).
PUBLISHED_VOXELS = (1_926_651_899, 2_038_240_940, 34_083_197, 92_015_482, 1_145_363_125)
PUBLISHED_EVENTS = 1_210_080
PUBLISHED_TRAJECTORIES = 28_251_859
