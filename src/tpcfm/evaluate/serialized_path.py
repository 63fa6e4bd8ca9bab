"""What a serialization does to events, as tables for pictures: the path through one event, the boxes over the points."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tpcfm.detectors.model import Detector
from tpcfm.prepare.sequences.coherence import coherence
from tpcfm.prepare.sequences.serialization import BoxEdges, serial_order
from tpcfm.prepare.sequences.settings import SerializationConfig

ORDERS = ("raster", "hilbert", "morton", "radial")
BINS = 120


def event_paths(event: Mapping[str, Any], edges: BoxEdges, label: str) -> pd.DataFrame:
    """Return the points of an event in each order: ``order x y z track``, rows in the order of the sequence.

    Args:
        event: of a sequences cache.
        edges: box edges of the cache.
        label: of instances; -1 in the column ``track`` where the event lacks it. ``attrs["same_next"]`` holds, by order,
            the share of steps that stay on an instance.
    """
    config = SerializationConfig(preset=edges.preset, bins=edges.asked)
    features = event["features"].reshape(-1, 4)
    labels = np.full(event["n_points"], -1) if event.get(label) is None else event[label]
    parts, same = [], {}
    for name in ORDERS:
        order = serial_order(features, config.model_copy(update={"order": name}), edges)
        points = {axis: event[axis][order] for axis in "xyz"}
        parts.append(pd.DataFrame({"order": name, **points, "track": labels[order].astype(np.int32)}))
        same[name] = coherence(labels[order]).values()["same_next"]
    table = pd.concat(parts, ignore_index=True)
    table.attrs["same_next"] = same
    return table


def box_distributions(
    features: Iterable[npt.NDArray[np.floating]], edges: BoxEdges, detector: Detector
) -> pd.DataFrame:
    """Return the distributions that the box edges cut, in physical units (arXiv 2508.14087, Fig. 9).

    Args:
        features: (N, 4) scaled signal and network coordinates of each event.
        edges: box edges fitted with the same preset.
        detector: of the events.

    Returns:
        ``axis kind left right count``: per network coordinate a histogram (kind ``points``) and the boxes (kind ``box``) with the
        points in each; the outermost boxes also take what lies beyond them, as the serialization does.
    """
    points = np.concatenate([np.asarray(f, dtype=np.float64) for f in features])
    rows = []
    for column, (axis, (offset, width)) in enumerate(detector.sequence_ranges(edges.preset).items(), 1):
        values = points[:, column]
        bounds = np.asarray(edges.axes[axis], dtype=np.float64)
        inner = np.searchsorted(bounds[1:-1], values, side="left")
        counts = np.bincount(inner, minlength=len(bounds) - 1)
        low, high = min(bounds[0], values.min()), max(bounds[-1], values.max())
        heights, cuts = np.histogram(values, BINS, (low, high))
        for kind, borders, found in (("points", cuts, heights), ("box", bounds, counts)):
            physical = borders * width + offset
            rows += [
                {"axis": axis, "kind": kind, "left": a, "right": b, "count": int(n)}
                for a, b, n in zip(physical[:-1], physical[1:], found, strict=True)
            ]
    return pd.DataFrame(rows)
