"""Ionisation: mean loss (Bethe-Bloch), most probable loss and Landau fluctuations in the gas of the TPC.

Formulas: Particle Data Group, "Passage of particles through matter", Eqs. 34.5 (mean), 34.12 (most probable), 34.16 (multiple
scattering). Momenta and energies in GeV unless a name says otherwise.
"""

import math

import numpy as np
import numpy.typing as npt
from scipy.stats import landau

from tpcfm.kernels import njit
from tpcfm.simulate.collider.material import GAS_DENSITY
from tpcfm.simulate.collider.random import normal

_K_MEV = 0.307075  # MeV cm²/mol
_ELECTRON_MEV = 0.510999
_Z_OVER_A_GAS, _EXCITATION_GAS_EV = 0.465, 150.0
_Z_OVER_A_SOLID, _EXCITATION_SOLID_EV, _PLASMA_SOLID_EV = 0.499, 130.0, 30.0


@njit(cache=True)
def _density_gas(log10_bg):  # type: ignore[no-untyped-def]
    """Density effect δ of argon at 1 bar (Sternheimer parametrisation)."""
    if log10_bg < 1.7635:
        return 0.0
    delta = 4.605170 * log10_bg - 11.9480
    if log10_bg < 4.4855:
        delta += 0.19714 * (4.4855 - log10_bg) ** 2.9618
    return delta


@njit(cache=True)
def mean_loss(beta_gamma, mass, solid):  # type: ignore[no-untyped-def]
    """Return the mean ionisation loss in MeV cm²/g of charge ±1, in gas or in light solids (``solid``)."""
    bg2 = beta_gamma * beta_gamma
    gamma = math.sqrt(1.0 + bg2)
    beta2 = bg2 / (1.0 + bg2)
    if mass < 0.001:
        t_max = 0.5 * _ELECTRON_MEV * (gamma - 1.0) + 1e-9
    else:
        ratio = _ELECTRON_MEV * 1e-3 / mass
        t_max = 2.0 * _ELECTRON_MEV * bg2 / (1.0 + 2.0 * gamma * ratio + ratio * ratio)
    if solid:
        excitation = _EXCITATION_SOLID_EV * 1e-6
        delta = 2.0 * math.log(_PLASMA_SOLID_EV * 1e-6 / excitation * beta_gamma) - 1.0
        delta = max(0.0, delta)
        factor = _K_MEV * _Z_OVER_A_SOLID / beta2
    else:
        excitation = _EXCITATION_GAS_EV * 1e-6
        delta = _density_gas(math.log10(beta_gamma))
        factor = _K_MEV * _Z_OVER_A_GAS / beta2
    bracket = (
        0.5 * math.log(max(2.0, 2.0 * _ELECTRON_MEV * bg2 * t_max / (excitation * excitation))) - beta2 - 0.5 * delta
    )
    return factor * max(0.5, bracket)


@njit(cache=True)
def lose_energy(momentum, mass, grammage, solid):  # type: ignore[no-untyped-def]
    """Return the momentum (GeV/c) after ``grammage`` g/cm² of mean loss, 0 if the particle stops there.

    A large loss is taken in steps of at most a fifth of the kinetic energy, since dE/dx rises as the particle slows down.
    """
    left = grammage
    for _ in range(60):
        energy = math.sqrt(momentum * momentum + mass * mass)
        kinetic = energy - mass
        if kinetic < 1.0e-5:
            return 0.0
        rate = mean_loss(momentum / mass, mass, solid) * 1e-3
        step = left
        if rate * step > 0.2 * kinetic:
            step = 0.2 * kinetic / rate
        energy -= rate * step
        momentum = math.sqrt(max(0.0, energy * energy - mass * mass))
        left -= step
        if left <= 0.0:
            return momentum
    return 0.0


@njit(cache=True)
def deposit_kev(beta_gamma, path, width, highest_kev, landau_table, u):  # type: ignore[no-untyped-def]
    """Return the ionisation energy (keV) left along ``path`` cm of gas.

    Most probable loss plus a Landau fluctuation; ``width`` widens the Landau for the binding of the electrons, which
    matters in thin gas (a pure Landau is too narrow there). The fluctuation ends at ``highest_kev``: harder knock-on
    electrons leave the cluster. ``u`` in (0, 1) picks the quantile of ``landau_table`` (shape (Q,)) below that end.
    """
    bg2 = beta_gamma * beta_gamma
    beta2 = bg2 / (1.0 + bg2)
    xi = 0.5 * _K_MEV * _Z_OVER_A_GAS * GAS_DENSITY * path / beta2
    excitation = _EXCITATION_GAS_EV * 1e-6
    delta = _density_gas(math.log10(beta_gamma))
    inner = math.log(max(2.0, 2.0 * _ELECTRON_MEV * bg2 / excitation)) + math.log(max(0.1, xi / excitation))
    peak = xi * max(1.0, inner + 0.2 - beta2 - delta)
    end = max(8.0, 1e-3 * highest_kev / (width * xi))
    place = u * min(landau_table.size - 1, np.searchsorted(landau_table, end))
    cell = min(int(place), landau_table.size - 2)
    value = landau_table[cell] + (place - cell) * (landau_table[cell + 1] - landau_table[cell])
    return 1e3 * max(0.0, peak + width * xi * (value + 0.22278))


def landau_quantiles(size: int = 8193, highest: float = 0.9995) -> npt.NDArray[np.float64]:
    """Return quantiles of the Landau distribution at ``size`` even steps up to the ``highest``, shape (size,)."""
    # scipy's Landau has its mode near −0.43 in units of pi/2; bring it to the usual λ with the mode at −0.22278.
    steps = np.linspace(1e-6, highest, size)
    return np.asarray(landau.ppf(steps, loc=np.log(np.pi / 2), scale=np.pi / 2), dtype=np.float64)


@njit(cache=True)
def scattering_angle(momentum, mass, radiation_lengths, state):  # type: ignore[no-untyped-def]
    """Draw one projected multiple-scattering angle (rad); without the logarithm, so that steps add up."""
    beta = momentum / math.sqrt(momentum * momentum + mass * mass)
    return 0.0136 * 0.9 / (beta * momentum) * math.sqrt(radiation_lengths) * normal(state)
