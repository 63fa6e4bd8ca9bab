"""From one event of a table to what PoLAr-MAE sees: cuts, then groups (arXiv 2502.02558, Sec. III and App. A)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tpcfm.detectors.model import Detector
from tpcfm.prepare.groups.grouping import Groups, group
from tpcfm.prepare.groups.settings import TokenizerConfig
from tpcfm.prepare.points import Event, Rows, kept_rows


@dataclass(frozen=True)
class CutEvent:
    """Points of one event after the cuts: ``xyz`` (N, 3), main ``signal`` (N,) or None, ``rows`` (N,) of the event table."""

    xyz: npt.NDArray[Any]
    signal: npt.NDArray[np.float32] | None
    rows: Rows


def cut(event: Event, detector: Detector, config: TokenizerConfig | None = None) -> CutEvent:
    """Drop points of the classes that the detector removes and points at or below a threshold; the others stay in order.

    With ``scatter: dbscan``, the points that then lie in no cluster go too: a footnote of arXiv 2502.02558 names DBSCAN (without its
    parameters) as what removes low-energy deposits where no label says which they are.

    Args:
        event: ``x y z``, signals, and labels where there are any, each (n,).
        detector: of the event.
        config: threshold of the main signal, strictly above is kept (null or no config: the detector's own), and ``scatter``.
    """
    config, main = config or TokenizerConfig(), detector.main_signal
    threshold = config.energy_threshold
    if threshold is None and main is not None:
        threshold = main.threshold
    rows = kept_rows(event, detector, threshold)
    xyz = np.stack([event[axis][rows] for axis in "xyz"], axis=1)
    if config.scatter == "dbscan" and len(rows):
        from sklearn.cluster import DBSCAN

        distance = config.scatter_distance * detector.pitch
        held = DBSCAN(eps=distance, min_samples=config.scatter_points).fit(xyz).labels_ >= 0
        rows, xyz = rows[held], xyz[held]
    return CutEvent(xyz, None if main is None else event[main.name][rows].astype(np.float32), rows)


def tokenize(event: CutEvent, config: TokenizerConfig, pitch: float = 1.0) -> Groups:
    """Divide an event that passed the cuts into groups; ``config.radius`` is in units of ``pitch``."""
    return group(event.xyz, config, event.signal, pitch=pitch)
