"""How well an order keeps trajectories together: the numbers behind the choice of a serialization.

For a sequence of points, ``same_next`` is the share of consecutive pairs on the same track, ``run_length`` the mean number
of consecutive points of one track, ``return_distance`` the mean number of steps from a point to the next one of its track.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tpcfm.errors import DataError
from tpcfm.files import key64
from tpcfm.prepare.sequences.serialization import BoxEdges, serial_order
from tpcfm.prepare.sequences.settings import SerializationConfig
from tpcfm.prepare.store import PreparedStore

MAX_EVENTS = 1000
"""Events that the statistics of a cache look at (the first ones with labels)."""


@dataclass(frozen=True)
class CoherenceCounts:
    """Counts of one or more sequences; they add up."""

    points: int = 0
    pairs: int = 0  # consecutive pairs
    together: int = 0  # those on the same track
    returns: int = 0  # points that have a later one on their track
    steps: int = 0  # steps to it, summed
    expected: float = 0.0  # pairs on the same track expected of a random order

    def __add__(self, other: "CoherenceCounts") -> "CoherenceCounts":
        return CoherenceCounts(
            self.points + other.points,
            self.pairs + other.pairs,
            self.together + other.together,
            self.returns + other.returns,
            self.steps + other.steps,
            self.expected + other.expected,
        )

    def values(self) -> dict[str, float]:
        """Return the measures by name: ``same_next run_length return_distance random_same_next``; NaN if undefined."""
        runs = self.points - self.together  # holds over several events, as each begins with a run of its own
        return {
            "same_next": self.together / self.pairs if self.pairs else float("nan"),
            "run_length": self.points / runs if runs else float("nan"),
            "return_distance": self.steps / self.returns if self.returns else float("nan"),
            "random_same_next": self.expected / self.pairs if self.pairs else float("nan"),
        }


def coherence(track: npt.NDArray[np.integer]) -> CoherenceCounts:
    """Count how one sequence keeps its tracks together.

    Args:
        track: (N,) track labels in the order of the sequence.
    """
    track = np.asarray(track)
    n = len(track)
    if n == 0:
        return CoherenceCounts()
    order = np.argsort(track, kind="stable")  # points of a track one after another, in the order of the sequence
    same = track[order][1:] == track[order][:-1]
    sizes = np.unique(track, return_counts=True)[1]
    return CoherenceCounts(
        points=n,
        pairs=n - 1,
        together=int((track[1:] == track[:-1]).sum()),
        returns=int(same.sum()),
        steps=int(np.diff(order)[same].sum()),
        # Each of the n - 1 neighbouring pairs of a shuffled sequence is any pair of points with equal chance.
        expected=float((sizes * (sizes - 1)).sum() / n) if n > 1 else 0.0,
    )


@dataclass(frozen=True)
class LabelledEvent:
    """An event whose orders are compared: id, ``features`` (N, 4) and ``instance`` (N,), the objects of its points."""

    event_id: str
    features: npt.NDArray[np.float32]
    instance: npt.NDArray[np.integer] | None


def orders_to_compare(edges: BoxEdges) -> dict[str, SerializationConfig]:
    """Return every order by name: the six nestings of the raster boxes, Hilbert, Morton, radial."""
    base = SerializationConfig(preset=edges.preset, bins=edges.asked)
    nestings = ["_".join(names) for names in permutations(list(edges.axes)[::-1])]
    named = {f"raster {nesting}": {"order": "raster", "box_order": nesting} for nesting in nestings}
    named |= {order: {"order": order} for order in ("hilbert", "morton", "radial")}
    return {name: base.model_copy(update=change) for name, change in named.items()}


def count_orders(events: Iterable[LabelledEvent], edges: BoxEdges) -> dict[str, list[CoherenceCounts]]:
    """Return the counts of each event under `orders_to_compare`, and under a random one (``random``) as the floor.

    Raises:
        DataError: an event without labels, or no events.
    """
    orders = orders_to_compare(edges)
    counts: dict[str, list[CoherenceCounts]] = {name: [] for name in [*orders, "random"]}
    for event in events:
        if event.instance is None:
            raise DataError(f"event {event.event_id}: coherence needs labels of instances, this event has none")
        for name, config in orders.items():
            counts[name].append(coherence(event.instance[serial_order(event.features, config, edges)]))
        drawn = np.random.default_rng(key64(event.event_id)).permutation(event.instance)
        counts["random"].append(coherence(drawn))
    if not counts["random"]:
        raise DataError("coherence: no events to compare orders on")
    return counts


def compare_orders(events: Iterable[LabelledEvent], edges: BoxEdges) -> pd.DataFrame:
    """Return the coherence of several orders over the same events.

    Arguments and errors are those of `count_orders`.

    Returns:
        One row per order: ``order same_next run_length return_distance random_same_next events points``.
    """
    rows = []
    for name, counts in count_orders(events, edges).items():
        total = sum(counts, CoherenceCounts())
        rows.append({"order": name, **total.values(), "events": len(counts), "points": total.points})
    return pd.DataFrame(rows)


def sequence_statistics(store: PreparedStore) -> dict[str, Any]:
    """Return statistics of a sequences cache for its manifest: points per event, share of empty slots, and coherence by the
    first label of instances that the detector has."""
    lengths = np.asarray(store.lengths)
    total, labelled, slots, filled = CoherenceCounts(), 0, 0, 0
    label = next(iter(store.detector.instances()), None)
    for row in range(min(len(store), MAX_EVENTS)):
        track = None if label is None else store.value(row, label)
        neighbour = store.value(row, "neighbour")
        if track is not None:
            total, labelled = total + coherence(track), labelled + 1
        if neighbour is not None:
            slots, filled = slots + len(neighbour), filled + int((neighbour >= 0).sum())
    found: dict[str, Any] = {}
    if len(lengths):
        found["points_per_event"] = {
            "mean": float(lengths.mean()),
            "min": int(lengths.min()),
            "max": int(lengths.max()),
        }
    if labelled:
        found["coherence"] = {"events": labelled, **total.values()}
    if slots:
        found["empty_slots"] = 1 - filled / slots
    return found
