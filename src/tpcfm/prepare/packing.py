"""What all packed batches share: offsets, coordinates, labels."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tpcfm.detectors.model import Detector

Batch = dict[str, npt.NDArray[Any]]
Events = Sequence[Mapping[str, Any]]


def join_offsets(lengths: Iterable[int]) -> npt.NDArray[np.int64]:
    """Return (B + 1,) int64 offsets of consecutive runs of the given lengths."""
    return np.concatenate([[0], np.cumsum(list(lengths), dtype=np.int64)]).astype(np.int64)


def coordinates(events: Events) -> npt.NDArray[np.float32]:
    """Return ``x y z`` of all events, (N, 3)."""
    xyz = np.empty((sum(len(event["x"]) for event in events), 3), np.float32)
    for axis, name in enumerate("xyz"):
        np.concatenate([event[name] for event in events], out=xyz[:, axis], casting="same_kind")
    return xyz


def encoded_labels(detector: Detector, events: Events) -> Batch:
    """Return, by name, every label that all events carry, (N,) int64: number of the class or id of the instance, -1 for none."""
    found = {}
    for name, label in detector.labels.items():
        values = [event[name] for event in events]
        if all(value is not None for value in values):
            found[name] = label.encode(np.concatenate(values))
    return found
