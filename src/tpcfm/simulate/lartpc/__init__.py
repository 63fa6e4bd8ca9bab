"""Particle bombs and cosmic-like particles in a liquid-argon TPC: a step-by-step Monte Carlo in numba.

The events have the layout and labels of PILArNet-M (arXiv 2502.02558, App. A): voxels of 3 mm in a cube of 768.
"""

from tpcfm.simulate.lartpc.event import LartpcEvent, Simulator
from tpcfm.simulate.lartpc.file import simulate_file
from tpcfm.simulate.lartpc.generator import Settings

__all__ = ["LartpcEvent", "Settings", "Simulator", "simulate_file"]
