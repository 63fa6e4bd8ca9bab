"""Numbers of the simulation that were tuned to the published aggregates, in one place, with what each of them moves.

Everything else (geometry, material, cross sections, lifetimes, generator) is physics and is not tuned.
``tpcfm simulate calibrate-collider`` prints the aggregates that these numbers give beside the published ones.
"""

from typing import NamedTuple


class Settings(NamedTuple):
    """Tuned constants; a named tuple of numbers, so that numba kernels can take it."""

    vertex_sigma_z_cm: float = 5.0
    vertex_sigma_xy_cm: float = 0.01
    # Events with fewer points are passed over: the published events have "a few hundred" points and more.
    # Moves the mean number of points and tracks.
    min_points: int = 215

    # Soft electrons that photons and neutrons from the calorimeter make in the gas, per particle that reaches it, and the
    # range of their momenta (GeV/c). Move the electron and noise shares.
    soft_electrons: float = 0.044
    soft_low_gev: float = 0.001
    soft_high_gev: float = 0.3
    # Charged spallation products per hadron that reaches the calorimeter, and per g/cm² of solid passed, and their mean
    # kinetic energy. Move the proton and other shares and the tail of the energy column.
    backscatter: float = 0.085
    spallation_per_gram: float = 0.015
    spallation_gev: float = 0.3

    # Readout: two deposits nearer than this in a layer make one point.
    merge_rphi_cm: float = 0.4
    merge_z_cm: float = 0.8
    # Longest arc and longest extent along the drift of one point: longer charge is split by the cluster finder. Moves the
    # number of points per track, and through it the tail of the points per event.
    point_arc_cm: float = 0.9
    point_z_cm: float = 1.6
    sigma_rphi_cm: float = 0.012
    sigma_rphi_drift: float = 0.0012  # per sqrt(cm) of drift
    sigma_z_cm: float = 0.045
    sigma_z_drift: float = 0.002

    # Signal. Knock-on electrons harder than about ``landau_highest_kev`` leave the cluster. Gain, fluctuation and saturation
    # move the mean, the standard deviation and the largest value of the energy column.
    gain_adc_per_kev: float = 58.5
    landau_width: float = 1.0
    landau_highest_kev: float = 29.0
    threshold_adc: float = 23.0
    saturation_adc: float = 6300.0
    saturation_power: float = 1.0


DEFAULT = Settings()
MAX_PATH_CM = 10_000.0  # a looper is given up after 100 m
MAX_STEPS = 20_000
