"""A counter-based random generator (SplitMix64) for numba kernels: the same numbers for the same key, on every machine.

The state is a ``uint64`` array of length one, so that kernels share it by reference. Each event has a key of its own;
no draw depends on how many events were simulated before it, or by how many processes.
"""

import math

import numpy as np
import numpy.typing as npt

from tpcfm.kernels import njit

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)


def keyed_state(key: int) -> npt.NDArray[np.uint64]:
    """Return the generator state, shape (1,), of a 64-bit integer key."""
    return np.array([key & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64)


@njit(cache=True, inline="always")
def uniform(state):  # type: ignore[no-untyped-def]
    """Draw from [2⁻⁵⁴, 1): never zero, so that its logarithm is finite."""
    state[0] += _GAMMA
    z = state[0]
    z = (z ^ (z >> _S30)) * _MIX1
    z = (z ^ (z >> _S27)) * _MIX2
    z = z ^ (z >> _S31)
    return (float(z >> _S11) + 0.5) * 1.1102230246251565e-16


@njit(cache=True)
def normal(state):  # type: ignore[no-untyped-def]
    """Draw from the standard normal distribution (Box-Muller, one of the two values)."""
    return math.sqrt(-2.0 * math.log(uniform(state))) * math.cos(2.0 * math.pi * uniform(state))


@njit(cache=True)
def exponential(state):  # type: ignore[no-untyped-def]
    """Draw from the exponential distribution of mean one."""
    return -math.log(uniform(state))


@njit(cache=True)
def poisson(state, mean):  # type: ignore[no-untyped-def]
    """Draw a Poisson number by summing exponential gaps; meant for means up to about a hundred."""
    count = 0
    total = exponential(state)
    while total < mean:
        count += 1
        total += exponential(state)
    return count


@njit(cache=True)
def isotropic(state):  # type: ignore[no-untyped-def]
    """Draw a unit vector uniformly on the sphere."""
    cosine = 2.0 * uniform(state) - 1.0
    sine = math.sqrt(max(0.0, 1.0 - cosine * cosine))
    azimuth = 2.0 * math.pi * uniform(state)
    return sine * math.cos(azimuth), sine * math.sin(azimuth), cosine
