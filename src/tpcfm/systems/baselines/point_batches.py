"""Packed batches of the baselines that classify points: neighbour graphs, or voxels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tpcfm.models.baselines.settings import GraphNetConfig, VoxelUNetConfig
from tpcfm.prepare.geometry.neighbour_graph import neighbour_graph
from tpcfm.prepare.packing import Batch
from tpcfm.prepare.sequences.batches import collate_sequences
from tpcfm.prepare.sequences.features import comparison_features, level_index, network_coordinates
from tpcfm.prepare.store import PreparedStore
from tpcfm.tasks.event_cache import MEMORY_BYTES, EventCache
from tpcfm.train import StepInfo

Rows = npt.NDArray[np.int64]


class GraphBatches:
    """Collate function: ``point_features`` (N, 5), ``edge_source`` (E,) int64 grouped by target, ``edge_bounds`` (N+1,).

    The graph of an event is made once and kept, up to ``keep`` bytes of them.
    """

    def __init__(self, config: GraphNetConfig, keep: int = MEMORY_BYTES) -> None:
        self.config = config
        self.graphs = EventCache(self._graph, keep)

    def _graph(self, store: PreparedStore, row: int) -> list[npt.NDArray[Any]]:
        """Return ``source`` (E,), rows within the event, and ``degree`` (N,) of an event."""
        event = collate_sequences(store, [row], 0)
        place = comparison_features(store.detector, event["features"][:, 0], event["xyz"])[:, 1:]
        graph = neighbour_graph(place, self.config.neighbours, max_distance=self.config.max_distance)
        held = graph.index >= 0
        return [graph.index[held], held.sum(1, dtype=np.int32)]

    def __call__(self, store: PreparedStore, rows: Rows, info: StepInfo) -> Batch:
        """Return the packed batch; edges lead from the neighbours to a point."""
        batch = collate_sequences(store, rows, 0)
        sources, degrees = zip(*(self.graphs(store, int(row)) for row in rows), strict=True)
        shifted = [source + start for source, start in zip(sources, batch["offsets"][:-1], strict=True)]
        bounds = np.zeros(len(batch["xyz"]) + 1, np.int64)
        np.cumsum(np.concatenate(degrees), out=bounds[1:])
        features = comparison_features(store.detector, batch["features"][:, 0], batch["xyz"])
        return {**batch, "point_features": features, "edge_source": np.concatenate(shifted), "edge_bounds": bounds}


@dataclass(frozen=True)
class VoxelBatches:
    """Collate function: ``voxel`` (V, 3) int64, ``voxel_event`` (V,), ``voxel_features`` (V, 5), ``point_voxel`` (N,).

    Voxels come by event, each once; points beyond the grid belong to the voxels at its edge. Azimuth is cut at -pi / pi.
    The grid spans the network coordinates of the detector; its third side divides the layers of a detector that has some
    (sPHENIX: 48 layers, 48 voxels).
    """

    config: VoxelUNetConfig

    def __call__(self, store: PreparedStore, rows: Rows, info: StepInfo) -> Batch:
        """Return the packed batch."""
        batch = collate_sequences(store, rows, 0)
        place = network_coordinates(store.detector, batch["xyz"])
        sides, layers = np.array(self.config.grid), store.detector.layers
        if layers is not None:
            place[:, 2] = (level_index(place[:, 2], store.detector) + 0.5) / len(layers.radii)
        cell = np.clip((place * sides).astype(np.int64), 0, sides - 1)
        event = np.repeat(np.arange(len(batch["offsets"]) - 1), np.diff(batch["offsets"]))
        key = np.ravel_multi_index((event, *cell.T), (len(batch["offsets"]), *self.config.grid))
        _, first, voxel, count = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
        sums = np.zeros((len(first), 5))
        np.add.at(sums, voxel, comparison_features(store.detector, batch["features"][:, 0], batch["xyz"]))
        return {
            **batch,
            "voxel": cell[first],
            "voxel_event": event[first],
            "voxel_features": (sums / count[:, None]).astype(np.float32),
            "point_voxel": voxel,
        }
