"""A particle gun with the multiplicity and spectra of minimum-bias pp collisions at 200 GeV: needs no generator.

Charged multiplicity: negative binomial, tuned to the events that Pythia gives. Transverse momenta: Tsallis-Lévy fits of the
published identified-hadron spectra at mid-rapidity (STAR, PHENIX), rounded. Rapidity: flat plateau.
"""

import math

import numpy as np
import numpy.typing as npt

from tpcfm.simulate.collider.decays import two_body_momentum
from tpcfm.simulate.collider.species import (
    ANTIPROTON,
    KAON_MINUS,
    KAON_PLUS,
    MASS,
    NEUTRAL,
    PHOTON,
    PION_MINUS,
    PION_PLUS,
    PION_ZERO_MASS,
    PROTON,
)

PLATEAU = 2.5  # |rapidity|
MEAN_CHARGED = 3.2 * 2 * PLATEAU  # per event that can pass the cut on the number of points
NEGATIVE_BINOMIAL_K = 2.4
# (share of the hadrons, temperature GeV, power n); neutral pions and neutrons follow their charged partners.
_SPECTRA = (("pion", 0.86, 0.127, 9.7), ("kaon", 0.08, 0.170, 10.0), ("proton", 0.06, 0.190, 12.0))
_CODES = {"pion": (PION_MINUS, PION_PLUS), "kaon": (KAON_MINUS, KAON_PLUS), "proton": (ANTIPROTON, PROTON)}


def _inverse_spectrum(
    mass: float, temperature: float, power: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return (cumulative, pT) of dN/dpT ~ pT (1 + (m_T − m)/(nT))^−n."""
    pt = np.linspace(0.0, 12.0, 6001)
    density = pt * (1.0 + (np.sqrt(pt**2 + mass**2) - mass) / (power * temperature)) ** -power
    cumulative = np.cumsum(density)
    return cumulative / cumulative[-1], pt


class GunSource:
    """Primaries drawn from fitted spectra; same interface as the Pythia source."""

    def __init__(self) -> None:
        self._random = np.random.Generator(np.random.Philox(0))
        self._tables = {
            name: _inverse_spectrum(float(MASS[_CODES[name][0]]), temperature, power)
            for name, _, temperature, power in _SPECTRA
        }

    def seed(self, key: int) -> None:
        """Start a new random sequence."""
        self._random = np.random.Generator(np.random.Philox(key))

    def _momenta(self, kind: str, mass: float, count: int) -> npt.NDArray[np.float64]:
        draw = self._random.random((count, 3))
        pt = np.interp(draw[:, 0], *self._tables[kind])
        azimuth = 2.0 * math.pi * draw[:, 1]
        pz = np.sqrt(pt**2 + mass**2) * np.sinh(PLATEAU * (2.0 * draw[:, 2] - 1.0))
        return np.stack([pt * np.cos(azimuth), pt * np.sin(azimuth), pz], axis=1)

    def next(self, vertex: tuple[float, float, float]) -> npt.NDArray[np.float64]:
        """Return the particles of one event, shape (P, 8): species, x, y, z (cm), t (ns), px, py, pz (GeV/c)."""
        random = self._random
        rate = random.gamma(NEGATIVE_BINOMIAL_K, MEAN_CHARGED / NEGATIVE_BINOMIAL_K)
        rows = []
        for name, share, _, _ in _SPECTRA:
            codes = _CODES[name]
            count = int(random.poisson(rate * share))
            species = np.where(random.random(count) < 0.5, codes[0], codes[1])
            rows.append(np.column_stack([species, self._momenta(name, float(MASS[codes[0]]), count)]))
            if name == "proton":
                neutrons = int(random.poisson(rate * share))
                rows.append(
                    np.column_stack([np.full(neutrons, NEUTRAL), self._momenta(name, float(MASS[NEUTRAL]), neutrons)])
                )
        neutral = int(random.poisson(rate * _SPECTRA[0][1] / 2))
        rows.append(self._photons(self._momenta("pion", PION_ZERO_MASS, neutral)))
        particles = np.concatenate(rows)
        out = np.zeros((len(particles), 8))
        out[:, 0] = particles[:, 0]
        out[:, 1:4] = vertex
        out[:, 5:8] = particles[:, 1:4]
        return out

    def _photons(self, pions: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Let neutral pions of momentum (n, 3) decay; return rows (species, px, py, pz), shape (2n, 4)."""
        count = len(pions)
        cosine = 2.0 * self._random.random(count) - 1.0
        azimuth = 2.0 * math.pi * self._random.random(count)
        sine = np.sqrt(1.0 - cosine**2)
        half = two_body_momentum(PION_ZERO_MASS, 0.0, 0.0)
        rest = half * np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), cosine], axis=1)
        energy = np.sqrt((pions**2).sum(axis=1) + PION_ZERO_MASS**2)
        out = []
        for sign in (1.0, -1.0):
            dot = sign * (rest * pions).sum(axis=1)
            factor = (dot / (energy + PION_ZERO_MASS) + half) / PION_ZERO_MASS
            out.append(sign * rest + factor[:, None] * pions)
        momenta = np.concatenate(out)
        return np.column_stack([np.full(len(momenta), PHOTON), momenta])
