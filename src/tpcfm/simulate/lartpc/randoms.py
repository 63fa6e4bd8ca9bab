"""Counter-based random numbers for numba: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) on a one-element state.

One state per event, seeded by a hash of (seed, file index, event), makes the events of a file independent of each other,
of the number of processes and of the order in which they are made.
"""

import math

import numpy as np

from tpcfm.files import key64
from tpcfm.simulate.lartpc.kernels import kernel


def event_state(seed: int, index: int, event: int) -> np.ndarray:
    """Return the generator state, shape (1,) uint64, of one event of one file."""
    return np.array([key64(f"lartpc/{index}/{event}", seed)], np.uint64)


@kernel
def uniform(state: np.ndarray) -> float:
    """Return a number in (0, 1)."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (float(z >> np.uint64(11)) + 0.5) * 1.1102230246251565e-16


@kernel
def between(state: np.ndarray, low: float, high: float) -> float:
    """Return a number uniform between ``low`` and ``high``."""
    return low + (high - low) * uniform(state)


@kernel
def integer(state: np.ndarray, low: int, high: int) -> int:
    """Return an integer from ``low`` to ``high``, both included."""
    return low + int(uniform(state) * (high - low + 1))


@kernel
def exponential(state: np.ndarray) -> float:
    """Return an exponential number of mean one."""
    return -math.log(uniform(state))


@kernel
def normal_pair(state: np.ndarray) -> tuple[float, float]:
    """Return two independent normal numbers (Box-Muller)."""
    radius = math.sqrt(-2.0 * math.log(uniform(state)))
    angle = 2.0 * math.pi * uniform(state)
    return radius * math.cos(angle), radius * math.sin(angle)


@kernel
def poisson(state: np.ndarray, mean: float) -> int:
    """Return a Poisson number by multiplication; for means of a few."""
    limit = math.exp(-mean)
    product = uniform(state)
    count = 0
    while product > limit:
        product *= uniform(state)
        count += 1
    return count


@kernel
def direction(state: np.ndarray) -> tuple[float, float, float]:
    """Return an isotropic unit vector."""
    w = 2.0 * uniform(state) - 1.0
    angle = 2.0 * math.pi * uniform(state)
    sine = math.sqrt(1.0 - w * w)
    return sine * math.cos(angle), sine * math.sin(angle), w


@kernel
def deflect(state: np.ndarray, u: float, v: float, w: float, cosine: float) -> tuple[float, float, float]:
    """Turn the unit vector (u, v, w) by the angle of the given cosine, at a random azimuth."""
    sine = math.sqrt(max(0.0, 1.0 - cosine * cosine))
    angle = 2.0 * math.pi * uniform(state)
    return tilt(u, v, w, cosine, sine * math.cos(angle), sine * math.sin(angle))


@kernel
def tilt(u: float, v: float, w: float, c: float, a: float, b: float) -> tuple[float, float, float]:
    """Return c along (u, v, w) plus a and b along two vectors perpendicular to it, as a unit vector."""
    if abs(w) < 0.9:
        norm = math.sqrt(u * u + v * v)
        px, py, pz = v / norm, -u / norm, 0.0
    else:
        norm = math.sqrt(v * v + w * w)
        px, py, pz = 0.0, w / norm, -v / norm
    qx, qy, qz = v * pz - w * py, w * px - u * pz, u * py - v * px
    x, y, z = c * u + a * px + b * qx, c * v + a * py + b * qy, c * w + a * pz + b * qz
    norm = math.sqrt(x * x + y * y + z * z)
    return x / norm, y / norm, z / norm
