"""Floating-point operations of FM4NPP training, by formula (a multiplication and an addition count as two)."""

import math

from tpcfm.config.fm4npp import Fm4nppModel


def matrix_products(config: Fm4nppModel, slots: int = 30) -> float:
    """Return the forward operations per point of all weight matrices: twice their entries."""
    d, n, inner = config.width, config.width // config.state_divisor, config.width * config.expand
    if config.mixer == "mamba2":
        per_block = d * (2 * inner + 2 * n + inner // config.head_size) + inner * d
    else:
        rank = math.ceil(d / 16)
        per_block = 3 * d * inner + inner * (rank + 2 * n) + rank * inner
    return 2.0 * (config.depth * per_block + 3 * slots * d + (3 + 6 * config.frequencies) * d)


def scan(config: Fm4nppModel) -> float:
    """Return the forward operations per point of the recurrences themselves: decay, update, read-out of each state."""
    inner, n = config.width * config.expand, config.width // config.state_divisor
    return 6.0 * config.depth * inner * n


def chunked_scan(config: Fm4nppModel, chunk: int = 64) -> float:
    """Return the forward operations per point of the Mamba-2 scan as matrix products over chunks.

    Inside a chunk: C with B, then the weights with the inputs; across chunks: building and reading the states. (The carry
    between chunks is smaller by a factor of the chunk length and left out.)
    """
    inner, n = config.width * config.expand, config.width // config.state_divisor
    return 2.0 * config.depth * (chunk * n + chunk * inner + 2 * inner * n)


def training_flops_per_point(config: Fm4nppModel, slots: int = 30) -> float:
    """Return the operations per point of one training step, forward and backward.

    The backward pass costs twice the forward one, except for the point embedding, which needs none when it is frozen.
    The scan is counted as a recurrence, so the number does not depend on how it is computed.
    """
    frozen = 0.0 if config.train_embedding else 2 * 2.0 * (3 + 6 * config.frequencies) * config.width
    return 3 * (matrix_products(config, slots) + scan(config)) - frozen


def training_flops(config: Fm4nppModel, points: float, slots: int = 30) -> float:
    """Return the operations of a training that sees ``points`` points."""
    return points * training_flops_per_point(config, slots)
