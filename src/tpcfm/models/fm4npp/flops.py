"""Floating-point operations of FM4NPP training, by formula (a multiplication and an addition count as two)."""

import math

from tpcfm.models.fm4npp.settings import Fm4nppModel


def matrix_products(config: Fm4nppModel, slots: int = 30) -> float:
    """Return the forward operations per point of all weight matrices: twice their entries."""
    d, n, inner = config.width, config.width // config.state_divisor, config.width * config.expand
    heads = inner // config.head_size
    if config.mixer == "mamba2":
        per_block = d * (2 * inner + 2 * n + heads) + inner * d
    elif config.mixer == "bidirectional":
        per_block = d * (2 * inner + 2 * n + 2 * heads) + inner * d
    elif config.mixer == "mamba3":
        per_block = d * (2 * inner + 2 * n + 3 * heads + n // 4) + inner * d
    else:
        rank = math.ceil(d / 16)
        per_block = 3 * d * inner + inner * (rank + 2 * n) + rank * inner
    return 2.0 * (config.depth * per_block + 3 * slots * d + (3 + 6 * config.frequencies) * d)


def scan(config: Fm4nppModel) -> float:
    """Return the forward operations per point of the recurrences themselves: decay, update, read-out of each state.

    The same for all mixers: two directions have half of the states each, and the trapezoidal rule changes the weight of an
    input, not the number of updates.
    """
    inner, n = config.width * config.expand, config.width // config.state_divisor
    return 6.0 * config.depth * inner * n


def chunked_scan(config: Fm4nppModel, chunk: int = 64) -> float:
    """Return the forward operations per point of the scan as matrix products over chunks (not of Mamba-1, which has none).

    Inside a chunk: C with B (per head in Mamba-3), then the weights with the inputs (per direction); across chunks: building
    and reading the states. (The carry between chunks is smaller by a factor of the chunk length and left out.)
    """
    inner, n = config.width * config.expand, config.width // config.state_divisor
    maps = chunk * n * (inner // config.head_size if config.mixer == "mamba3" else 1)
    directions = 2 if config.mixer == "bidirectional" else 1
    return 2.0 * config.depth * (maps + directions * chunk * inner + 2 * inner * n)


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
