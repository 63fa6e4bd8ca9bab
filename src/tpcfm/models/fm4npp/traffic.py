"""Bytes that a training of FM4NPP moves and keeps, by formula.

Fitted to what the plain PyTorch operations of a Mamba-2 training step read and write, and to what autograd keeps for the backward
pass; both grow with width times depth. A test compares them with a count.
"""

from tpcfm.models.fm4npp.settings import Fm4nppModel
from tpcfm.plan.work import OPTIMISER_BYTES

# Bytes per point, block and channel: (forward, backward) traffic and what is kept.
MOVED = {"float32": (725.0, 1540.0), "bfloat16": (630.0, 1420.0)}
KEPT = {"float32": 179.0, "bfloat16": 157.0}
# Embedding, last norm, head: bytes per point, and per point and channel.
MOVED_REST = {"float32": (3700.0, 44.0, 3600.0, 20.0), "bfloat16": (4000.0, 48.0, 3600.0, 22.0)}
KEPT_REST = {"float32": (360.0, 8.0), "bfloat16": (360.0, 6.0)}


def moved_forward(config: Fm4nppModel, precision: str = "float32") -> float:
    """Return the bytes per point that a forward pass reads and writes."""
    constant, slope, _, _ = MOVED_REST[precision]
    return config.depth * config.width * MOVED[precision][0] + constant + slope * config.width


def moved_training(config: Fm4nppModel, precision: str = "float32") -> float:
    """Return the bytes per point that a training step reads and writes; the optimiser's are few per point and left out."""
    _, _, constant, slope = MOVED_REST[precision]
    backward = config.depth * config.width * MOVED[precision][1] + constant + slope * config.width
    return moved_forward(config, precision) + backward


def kept(config: Fm4nppModel, precision: str = "float32", checkpointing: bool = False) -> float:
    """Return the bytes per point that wait for the backward pass.

    Args:
        config: architecture.
        precision: "float32" or "bfloat16".
        checkpointing: activation checkpointing: the input of every block and the inside of one.
    """
    constant, slope = KEPT_REST[precision]
    inside = KEPT[precision] * config.width
    blocks = inside + 4 * config.width * config.depth if checkpointing else inside * config.depth
    return blocks + constant + slope * config.width


def points_that_fit(config: Fm4nppModel, parameters: int, memory: float, precision: str = "float32") -> int:
    """Return the largest number of points per micro-batch whose training fits without activation checkpointing; 0 if none does.

    Args:
        config: architecture.
        parameters: trained ones.
        memory: bytes that may be filled.
        precision: "float32" or "bfloat16".
    """
    return max(0, int((memory - OPTIMISER_BYTES * parameters) / kept(config, precision)))
