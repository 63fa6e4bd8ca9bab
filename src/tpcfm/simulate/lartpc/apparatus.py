"""The chamber that the simulation fills: lattice and threshold of the published files (arXiv 2502.02558, App. A)."""

EDGE = 768  # voxels per side
PITCH_CM = 0.3  # edge of a voxel
ENERGY_THRESHOLD_MEV = 0.13  # a voxel counts as seen above it
LOW_ENERGY = 4  # semantic class of deposits too small for a class of their own
