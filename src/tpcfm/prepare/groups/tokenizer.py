"""From one event of a table to what PoLAr-MAE sees: cuts, then groups (arXiv 2502.02558, Sec. III and App. A)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tpcfm.detectors import pilarnet
from tpcfm.prepare.groups.grouping import Groups, group
from tpcfm.prepare.groups.settings import TokenizerConfig


@dataclass(frozen=True)
class CutEvent:
    """Points of one event after the cuts: ``xyz`` (N, 3) voxel, ``energy`` (N,) MeV, ``semantic`` (N,) int8."""

    xyz: npt.NDArray[Any]
    energy: npt.NDArray[np.float32]
    semantic: npt.NDArray[np.int8]


def cut(event: Mapping[str, npt.NDArray[Any]], energy_threshold: float) -> CutEvent:
    """Drop low-energy deposits (by label) and points at or below the threshold; the others stay in order.

    Args:
        event: ``x y z`` voxel, ``energy`` MeV, ``semantic``, each (n,).
        energy_threshold: MeV; strictly above is kept.
    """
    keep = (event["semantic"] != pilarnet.LOW_ENERGY) & (event["energy"] > energy_threshold)
    xyz = np.stack([event[axis][keep] for axis in "xyz"], axis=1)
    return CutEvent(xyz, event["energy"][keep].astype(np.float32), event["semantic"][keep].astype(np.int8))


def tokenize(event: CutEvent, config: TokenizerConfig) -> Groups:
    """Divide an event that passed the cuts into groups."""
    return group(event.xyz, config, event.energy)
