"""Numbers of the simulation that were tuned to the published aggregates, in one place, with what each of them moves.

Everything else (geometry, material, cross sections, lifetimes) is physics and is not tuned.
"""

from typing import NamedTuple


class Settings(NamedTuple):
    """Tuned constants; a named tuple of floats, so that numba kernels can take it."""

    vertex_sigma_z_cm: float = 5.0
    vertex_sigma_xy_cm: float = 0.01

    # Soft electrons that photons and neutrons from the calorimeter make in the gas, per particle that reaches it: electron
    # and noise shares.
    soft_electrons: float = 0.30
    soft_low_gev: float = 0.0005
    soft_high_gev: float = 0.2
    # Charged spallation products per hadron that reaches the calorimeter, and per g/cm² of solid passed: proton, other shares.
    backscatter: float = 0.06
    spallation_per_gram: float = 0.012

    # An event needs this many points to be kept.
    min_points: int = 1

    # Readout: two deposits nearer than this in a layer make one point.
    merge_rphi_cm: float = 0.5
    merge_z_cm: float = 1.2
    # Longest arc and longest drift extent of one point: longer charge is split by the cluster finder.
    point_arc_cm: float = 2.0
    point_z_cm: float = 4.0
    sigma_rphi_cm: float = 0.012
    sigma_rphi_drift: float = 0.0012  # per sqrt(cm) of drift
    sigma_z_cm: float = 0.045
    sigma_z_drift: float = 0.002

    # Signal: energy column = gain × keV; below the threshold nothing is stored.
    gain_adc_per_kev: float = 60.0
    landau_width: float = 1.3
    threshold_adc: float = 23.0
    saturation_adc: float = 6250.0


DEFAULT = Settings()
MAX_PATH_CM = 10_000.0  # a looper is given up after 100 m
MAX_STEPS = 20_000
