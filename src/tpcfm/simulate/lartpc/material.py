"""Liquid argon: stopping powers, knock-on rates, scattering and photon cross-sections, all as numba functions.

Bethe's formula with Sternheimer's density effect for heavy particles and the Berger-Seltzer form for electrons (Review of
Particle Physics, "Passage of particles through matter"); photon attenuation from the NIST XCOM tables. Energies in MeV,
lengths in cm.
"""

import math

import numpy as np

from tpcfm.simulate.lartpc.kernels import kernel

ELECTRON_MASS = 0.51099895  # MeV
MUON_MASS = 105.6583755
PION_MASS = 139.57039
PROTON_MASS = 938.27208816
NEUTRON_MASS = 939.56542052
NEUTRAL_PION_MASS = 134.9768

DENSITY = 1.396  # g/cm^3
Z_OVER_A = 18.0 / 39.948
RADIATION_LENGTH = 19.55 / DENSITY  # cm
IONISATION_ENERGY = 188.0e-6  # MeV
K_BETHE = 0.307075  # MeV cm^2/g
XI = 0.5 * K_BETHE * Z_OVER_A * DENSITY  # MeV/cm; knock-ons per MeV and cm at beta = 1 and T = 1 MeV

# Sternheimer's parameters of liquid argon.
_C_BAR, _X0, _X1, _A, _K = 5.2146, 0.2, 3.0, 0.19559, 3.0

# NIST XCOM total attenuation of argon (cm^2/g) against photon energy (MeV). Above 20 MeV pair production climbs to 7/9 per
# radiation length.
_PHOTON_ENERGY = np.array(
    [0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0]
    + [4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 50.0, 100.0, 1000.0, 10000.0]
)
_PHOTON_TOTAL = np.array(
    [63.16, 19.83, 8.629, 2.697, 1.228, 0.7012, 0.4664, 0.2760, 0.2043, 0.1427, 0.1205, 0.09953, 0.08776, 0.07958]
    + [0.07335, 0.06419, 0.05762, 0.05150, 0.04695, 0.04074, 0.03384, 0.03019, 0.02802, 0.02667, 0.02517, 0.02451]
    + [0.02418, 0.02453, 0.0278, 0.0309, 0.0370, 0.0390]
)


@kernel
def klein_nishina(energy: float) -> float:
    """Return the Compton attenuation coefficient per electron at rest (1/cm) of a photon of ``energy`` MeV."""
    k = energy / ELECTRON_MASS
    log = math.log1p(2.0 * k)
    radius2 = 0.0794078  # classical electron radius squared, barn
    sigma = (1.0 + k) / k**2 * (2.0 * (1.0 + k) / (1.0 + 2.0 * k) - log / k) + log / (2.0 * k)
    sigma -= (1.0 + 3.0 * k) / (1.0 + 2.0 * k) ** 2
    return 2.0 * math.pi * radius2 * sigma * 0.602214076 * Z_OVER_A * DENSITY


def _photon_tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tabulate total, Compton and pair coefficients (1/cm) on a logarithmic grid."""
    grid = np.linspace(math.log(0.01), math.log(10000.0), 512)
    total = np.exp(np.interp(grid, np.log(_PHOTON_ENERGY), np.log(_PHOTON_TOTAL))) * DENSITY
    compton = np.array([klein_nishina(math.exp(g)) for g in grid])
    compton = np.minimum(compton, total)
    pair = np.where(np.exp(grid) > 2.0 * ELECTRON_MASS, total - compton, 0.0)
    return total, compton, pair


PHOTON_TOTAL, PHOTON_COMPTON, PHOTON_PAIR = _photon_tables()
_GRID_LOW = math.log(0.01)
_GRID_STEP = (math.log(10000.0) - math.log(0.01)) / 511.0


@kernel
def photon_coefficients(energy: float) -> tuple[float, float, float]:
    """Return the total, Compton and pair-production attenuation (1/cm); the remainder is photoelectric absorption."""
    at = (math.log(energy) - _GRID_LOW) / _GRID_STEP
    at = min(max(at, 0.0), 510.999)
    i = int(at)
    f = at - i
    return (
        PHOTON_TOTAL[i] + f * (PHOTON_TOTAL[i + 1] - PHOTON_TOTAL[i]),
        PHOTON_COMPTON[i] + f * (PHOTON_COMPTON[i + 1] - PHOTON_COMPTON[i]),
        PHOTON_PAIR[i] + f * (PHOTON_PAIR[i + 1] - PHOTON_PAIR[i]),
    )


@kernel
def density_effect(beta_gamma: float) -> float:
    """Return Sternheimer's delta of liquid argon."""
    x = math.log10(beta_gamma)
    if x < _X0:
        return 0.0
    delta = 2.0 * math.log(10.0) * x - _C_BAR
    if x < _X1:
        delta += _A * (_X1 - x) ** _K
    return delta


@kernel
def largest_knock_on(kinetic: float, mass: float) -> float:
    """Return the largest energy (MeV) that a heavy particle gives to one electron."""
    gamma = 1.0 + kinetic / mass
    beta_gamma2 = gamma * gamma - 1.0
    ratio = ELECTRON_MASS / mass
    return 2.0 * ELECTRON_MASS * beta_gamma2 / (1.0 + 2.0 * gamma * ratio + ratio * ratio)


@kernel
def heavy_stopping(kinetic: float, mass: float, cut: float) -> float:
    """Return the mean loss (MeV/cm) of a muon, pion or proton to knock-ons below ``cut`` MeV (restricted Bethe)."""
    gamma = 1.0 + kinetic / mass
    beta_gamma2 = gamma * gamma - 1.0
    beta2 = beta_gamma2 / (gamma * gamma)
    largest = largest_knock_on(kinetic, mass)
    upper = min(cut, largest)
    log = 0.5 * math.log(2.0 * ELECTRON_MASS * beta_gamma2 * upper / IONISATION_ENERGY**2)
    log -= 0.5 * beta2 * (1.0 + upper / largest) + 0.5 * density_effect(math.sqrt(beta_gamma2))
    # Bethe's formula fails below about 1 MeV/u; there the bracket is held above a floor and the particle stops within a voxel.
    return 2.0 * XI / beta2 * max(log, 0.3)


@kernel
def heavy_knock_ons(kinetic: float, mass: float, cut: float) -> tuple[float, float, float]:
    """Return the number per cm of knock-ons above ``cut``, the largest energy, and beta squared.

    The rate is that of the plain 1/T^2 law; a draw is then kept with probability 1 - beta^2 T / T_max (Rutherford's law
    for a spin-0 particle), which :func:`tpcfm.simulate.lartpc.tracks.transport_heavy` applies.
    """
    gamma = 1.0 + kinetic / mass
    beta2 = 1.0 - 1.0 / (gamma * gamma)
    largest = largest_knock_on(kinetic, mass)
    if largest <= cut:
        return 0.0, largest, beta2
    return XI / beta2 * (1.0 / cut - 1.0 / largest), largest, beta2


@kernel
def electron_stopping(kinetic: float) -> float:
    """Return the mean collision loss (MeV/cm) of an electron (Berger-Seltzer)."""
    tau = kinetic / ELECTRON_MASS
    gamma = tau + 1.0
    beta2 = 1.0 - 1.0 / (gamma * gamma)
    ratio = IONISATION_ENERGY / ELECTRON_MASS
    f = 1.0 - beta2 + (tau * tau / 8.0 - (2.0 * tau + 1.0) * math.log(2.0)) / (gamma * gamma)
    log = math.log(tau * tau * (tau + 2.0) / (2.0 * ratio * ratio)) + f - density_effect(math.sqrt(tau * (tau + 2.0)))
    return XI / beta2 * log


@kernel
def radiation_scale(kinetic: float) -> float:
    """Return the share of the complete-screening bremsstrahlung that is left at ``kinetic`` MeV.

    Follows the tabulated radiative stopping power of argon (Seltzer and Berger): about one half at 1 MeV, 0.72 at 10 MeV,
    0.9 at 1 GeV.
    """
    return max(1.0 - 0.28 * (10.0 / kinetic) ** 0.25, 0.1)


@kernel
def scattering_angle2(kinetic: float, mass: float) -> float:
    """Return the variance per cm of the projected scattering angle (Highland's formula at one radiation length)."""
    momentum_beta = kinetic * (kinetic + 2.0 * mass) / (kinetic + mass)
    return (13.6 / momentum_beta) ** 2 / RADIATION_LENGTH
