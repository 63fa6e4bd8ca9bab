"""The liquid-argon simulation beside what is published about PILArNet-M, and beside real events.

Published figures: arXiv 2502.02558, App. A (points, trajectories, class counts) and App. C (group sizes); the number of
events with at least 1,024 points is Sec. III's. Not all of them fit together: 400 groups of 16 points need more points than
the mean event has, so the published group figures must be those of larger events or of looser cuts.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from tpcfm.detectors.model import ClassLabel
from tpcfm.detectors.registry import load_detector
from tpcfm.prepare.geometry.neighbourhood import ball_query
from tpcfm.prepare.groups.suppression import suppress
from tpcfm.simulate.lartpc import LartpcEvent, Simulator
from tpcfm.simulate.lartpc.apparatus import ENERGY_THRESHOLD_MEV, LOW_ENERGY

_DETECTOR = load_detector("pilarnet")
_SEMANTIC = _DETECTOR.labels["semantic"]
assert isinstance(_SEMANTIC, ClassLabel)
SEMANTIC = {value: kind.name for value, kind in _SEMANTIC.classes.items()}
SEMANTIC_COLOURS = _SEMANTIC.colours()
PUBLISHED_EVENTS, PUBLISHED_TRAJECTORIES = _DETECTOR.published["events"], _DETECTOR.published["fragments"]
PUBLISHED_VOXELS = _DETECTOR.published["points"]["semantic"]
GROUP_RADIUS, _OVERLAP = 5.0, 0.73
_USED_EVENTS = (1_033_377 + 10_471) / PUBLISHED_EVENTS


def group_sizes(event: LartpcEvent, threshold: float = ENERGY_THRESHOLD_MEV) -> np.ndarray:
    """Return the points in each group (radius 5, f = 0.73, no cap), low-energy deposits and weak voxels left out, (T,)."""
    keep = (event.point_semantic != LOW_ENERGY) & (event.energy > threshold)
    xyz = event.voxel[keep].astype(np.int32)
    if xyz.shape[0] == 0:
        return np.empty(0, np.int64)
    offsets, _ = ball_query(xyz, suppress(xyz, GROUP_RADIUS, _OVERLAP), GROUP_RADIUS)
    return np.diff(offsets)


def aggregates(events: Sequence[LartpcEvent]) -> pd.DataFrame:
    """Return the comparison, columns ``quantity``, ``simulated``, ``published`` (None where nothing is published)."""
    points = np.array([e.energy.size for e in events])
    kept = np.array([((e.point_semantic != LOW_ENERGY) & (e.energy > ENERGY_THRESHOLD_MEV)).sum() for e in events])
    voxels = np.sum([np.bincount(e.semantic, weights=e.size, minlength=5) for e in events], axis=0)
    published = np.array(PUBLISHED_VOXELS, float)
    groups = [group_sizes(e) for e in events]
    sizes = np.concatenate(groups)
    uncut = np.concatenate([group_sizes(e, 0.0) for e in events])
    histogram = np.bincount(sizes, minlength=8)
    rows: list[tuple[str, Any, float | None]] = [
        ("points per event", points.mean(), published.sum() / PUBLISHED_EVENTS),
        ("points per event, 5 % quantile", np.quantile(points, 0.05), None),
        ("points per event, median", np.median(points), None),
        ("points per event, 95 % quantile", np.quantile(points, 0.95), None),
        ("points per event, largest", points.max(), 30_000),
        ("points per event after the cuts", kept.mean(), None),
        ("events with 1,024 points after the cuts (%)", 100 * np.mean(kept >= 1024), 100 * _USED_EVENTS),
        (
            "trajectories per event",
            np.mean([e.size.size - 1 for e in events]),
            PUBLISHED_TRAJECTORIES / PUBLISHED_EVENTS,
        ),
    ]
    for k in range(4):
        rows.append(
            (f"{SEMANTIC[k]} share (%)", 100 * voxels[k] / voxels[:4].sum(), 100 * published[k] / published[:4].sum())
        )
    rows += [
        ("low-energy share of all (%)", 100 * voxels[4] / voxels.sum(), 100 * published[4] / published.sum()),
        ("groups per event", np.mean([g.size for g in groups if g.size]), 400),
        ("groups per event, 95 % quantile", np.quantile([g.size for g in groups], 0.95), None),
        ("group size, most frequent", float(histogram[6:].argmax() + 6), 16),
        (
            "group size, most frequent, without the energy cut",
            float(np.bincount(uncut, minlength=8)[6:].argmax() + 6),
            16,
        ),
        ("group size, 99.9 % quantile", np.quantile(sizes, 0.999), 150),
        ("group size, largest", sizes.max(), None),
    ]
    return pd.DataFrame(rows, columns=["quantity", "simulated", "published"])


def simulate_events(events: int, seed: int) -> list[LartpcEvent]:
    """Simulate events 0 .. events - 1 of file 0."""
    simulator = Simulator()
    return [simulator.event(seed, 0, k) for k in range(events)]
