"""Local geometry in packed batches: what classical methods and heads above the floor read, from any prepared cache."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from tpcfm.files import key64
from tpcfm.prepare.geometry.edge_geometry import edge_geometry, near_pairs
from tpcfm.prepare.geometry.local_geometry import local_geometry
from tpcfm.prepare.packing import Batch, coordinates, encoded_labels, join_offsets
from tpcfm.prepare.store import PreparedStore
from tpcfm.tasks.event_cache import MEMORY_BYTES, EventCache
from tpcfm.train import StepInfo
from tpcfm.train.keyed import keyed_generator

Rows = npt.NDArray[np.int64]


class Geometry:
    """Adds the local geometry to packed batches; that of an event is made once and kept.

    Args:
        neighbours: of each point, for graphs; 0 for none.
        pairs: neighbours whose pairs with a point are candidates for one object; 0 for none.
        features: false adds nothing at all.
        keep: bytes that are kept at most.
    """

    def __init__(self, neighbours: int = 0, pairs: int = 0, features: bool = True, keep: int = MEMORY_BYTES) -> None:
        self.neighbours, self.pairs, self.features = neighbours, pairs, features
        self.events = EventCache(self._make, keep)

    def _make(self, store: PreparedStore, row: int) -> list[npt.NDArray[Any]]:
        """Return features (N, F), neighbours (N, k), pairs (2, E), their features (E, P) and the scaled signal (N,), by row of the event."""
        detector, event = store.detector, store[row]
        xyz, main = coordinates([event]), detector.main_signal
        signal = None if main is None else np.asarray(detector.scale_signal(event[main.name]), np.float64)
        local = local_geometry(detector, xyz, signal)
        found = [local.features, local.near[:, : self.neighbours]]
        if self.pairs:
            edges = near_pairs(local.near, self.pairs)
            found += [edges.astype(np.int32), edge_geometry(detector, xyz, signal, local, edges)]
            found += [] if signal is None else [signal.astype(np.float32)]
        return found

    def add(self, batch: Batch, store: PreparedStore, rows: Rows, info: StepInfo) -> Batch:
        """Return a batch of some events with ``geometry`` (N, F) float32 (see `tpcfm.prepare.geometry`) and, as asked for:

        ``near`` (N, k) int64 (row in this batch, -1: none) with ``place`` (N, 3) float32 in pitches, in training turned at random about the
        axis or, in a box, anyhow; ``edges`` (2, E) int64 with ``edge_features`` (E, P) float32 and, where there is a signal, ``scaled_signal`` (N,) float32.
        """
        if not self.features:
            return batch
        events = [self.events(store, int(row)) for row in rows]
        starts = batch["offsets"][:-1].tolist()
        batch = {**batch, "geometry": np.concatenate([event[0] for event in events])}
        if self.neighbours:
            near = [event[1].astype(np.int64) for event in events]
            batch["near"] = np.concatenate([np.where(n >= 0, n + start, -1) for n, start in zip(near, starts)])
            batch["place"] = (batch["xyz"] / store.detector.pitch).astype(np.float32)
            for key, start, stop in zip(batch["event_key"], starts, batch["offsets"][1:]) if info.training else ():
                generator = keyed_generator(info.seed, info.epoch, int(key), "rotation of the neighbourhoods")
                turn = generator.standard_normal(4) * ([0, 0, 1, 1] if store.detector.cylindrical else 1)
                batch["place"][start:stop] = Rotation.from_quat(turn).apply(batch["place"][start:stop])
        if self.pairs:
            batch["edges"] = np.concatenate([e[2].astype(np.int64) + start for e, start in zip(events, starts)], axis=1)
            batch["edge_features"] = np.concatenate([event[3] for event in events])
            if store.detector.main_signal is not None:
                batch["scaled_signal"] = np.concatenate([event[4] for event in events])
        return batch

    def __call__(self, store: PreparedStore, rows: Rows, info: StepInfo) -> Batch:
        """Return the batch of some events of a cache of any kind: ``offsets``, ``event_key``, ``xyz``, labels and what `add` adds."""
        events = [store[int(row)] for row in rows]
        batch: Batch = {
            "offsets": join_offsets(event["n_points"] for event in events),
            "event_key": np.array([key64(event["event_id"]) for event in events], np.uint64),
            "xyz": coordinates(events),
            **encoded_labels(store.detector, events),
        }
        return self.add(batch, store, rows, info)
