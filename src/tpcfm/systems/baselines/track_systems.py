"""The baselines that find instances as the recipe sees them: inputs, network, clusterings to choose from."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from tpcfm.detectors.model import Detector
from tpcfm.models.baselines.eggnet import EggNet
from tpcfm.models.baselines.exatrkx import ExaTrkx
from tpcfm.models.baselines.hept import Hept
from tpcfm.models.baselines.kalman import KalmanFilter
from tpcfm.models.baselines.track_settings import KalmanConfig
from tpcfm.prepare.geometry.neighbour_graph import neighbour_graph
from tpcfm.prepare.packing import Batch
from tpcfm.prepare.sequences.batches import collate_sequences
from tpcfm.prepare.sequences.features import comparison_features, ranges
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.baselines.track_settings import TrackBaselineConfig
from tpcfm.tasks.clustering_choice import Choice, Kind, grid
from tpcfm.tasks.event_cache import MEMORY_BYTES, EventCache
from tpcfm.tracking.chamber import chamber_of
from tpcfm.tracking.clusters import components, dbscan, hdbscan
from tpcfm.tracking.finder import TrackerSettings, find_tracks
from tpcfm.train import StepInfo

Rows = npt.NDArray[np.int64]
KINDS: dict[str, tuple[Kind, float]] = {
    "eps": ("scale", 0.0),
    "min_samples": ("count", 1.0),
    "threshold": ("score", 0.0),
    "min_cluster": ("count", 2.0),
    "gate": ("scale", 0.0),
    "min_points": ("count", 3.0),
    "pick_up": ("scale", 0.0),
    "merge": ("scale", 0.0),
}
"""How the parameters of clusterings are varied, and their natural lower limits."""


class TrackBatches:
    """Collate function: a batch with ``track_inputs`` (N, C) float32 of a system (arXiv 2508.14087, App. C).

    EggNet: eta, cos phi, sin phi and layer of the point and of its two nearest neighbours in these four (C = 12); Exa.TrkX: energy and
    these four (5); HEPT: energy, x, y, z, eta, cos phi, sin phi, r (8); Kalman filter: none (0). For a box, see
    `comparison_features`. Made once per event, and kept up to ``keep`` bytes.
    """

    def __init__(self, model: str, keep: int = MEMORY_BYTES) -> None:
        self.model = model
        self.inputs = EventCache(self._inputs, keep)

    def _inputs(self, store: PreparedStore, row: int) -> list[npt.NDArray[Any]]:
        event = collate_sequences(store, [row], 0)
        return [track_inputs(self.model, store.detector, event["features"][:, 0], event["xyz"], event["offsets"])]

    def __call__(self, store: PreparedStore, rows: Rows, info: StepInfo) -> Batch:
        """Return the packed batch."""
        batch = collate_sequences(store, rows, 0)
        inputs = [array for row in rows for array in self.inputs(store, int(row))]
        return {**batch, "track_inputs": np.concatenate(inputs)}


def track_inputs(
    model: str,
    detector: Detector,
    scaled_signal: npt.NDArray[Any],
    xyz: npt.NDArray[Any],
    offsets: npt.NDArray[np.int64],
) -> npt.NDArray[np.float32]:
    """Return the inputs (N, C) of a system."""
    if model == "kalman":
        return np.zeros((len(xyz), 0), np.float32)
    features = comparison_features(detector, scaled_signal, xyz)
    if model == "exatrkx":
        return features
    if model == "eggnet":
        near = neighbour_graph(features[:, 1:], 2, offsets=offsets).index
        near = np.where(near >= 0, near, np.arange(len(xyz))[:, None])  # alone in its event: the point itself
        return np.concatenate([features[:, 1:], features[near[:, 0], 1:], features[near[:, 1], 1:]], axis=1)
    offset, width = ranges(detector)[2]
    outward = np.hypot(xyz[:, 0], xyz[:, 1]) if detector.cylindrical else xyz[:, 2]
    metre = 100 / detector.coordinates.cm if detector.coordinates.cm else detector.half_diagonal
    place = [xyz / metre, features[:, 1:4], (outward - offset) / width]
    return np.column_stack([features[:, 0], *place]).astype(np.float32)


class TrackSystem:
    """One baseline: its network, and how its answer becomes objects under one of several clusterings.

    Args:
        block: settings.
        detector: of the events.

    Raises:
        ConfigError: the Kalman filter cannot work in this detector.
    """

    def __init__(self, block: TrackBaselineConfig, detector: Detector) -> None:
        self.block = block
        self.chamber = chamber_of(detector) if block.kalman else None
        self.network: nn.Module = _network(block)
        self.values = _values(block)
        self.choices = grid(self.values)
        self.published = self.choices[: 2 if block.exatrkx else 1]

    def split(self, batch: Batch, answer: Any) -> Iterator[Any]:
        """Yield per event what `cluster` needs of the network's answer to a batch."""
        offsets = batch["offsets"].tolist()
        if isinstance(answer, tuple):
            edges, scores = (part.cpu().numpy() for part in answer)
            event = np.searchsorted(batch["offsets"], edges[0], side="right") - 1
            for number, (start, stop) in enumerate(pairwise(offsets)):
                mine = event == number
                yield stop - start, edges[:, mine] - start, scores[mine]
        else:
            values = answer.cpu().numpy()
            for start, stop in pairwise(offsets):
                yield values[start:stop]

    def cluster(self, event: Any, choice: Choice) -> npt.NDArray[np.int64]:
        """Return the track of each point of an event, -1 for none."""
        if self.block.eggnet:
            return dbscan(event, choice["eps"], int(choice["min_samples"]))
        if self.block.hept:
            return hdbscan(event, int(choice["min_cluster"]), int(choice["min_samples"]))
        if self.block.exatrkx:
            points, edges, scores = event
            return components(points, edges[:, scores > choice["threshold"]])
        assert self.chamber is not None
        return find_tracks(event, self.chamber, TrackerSettings(**choice))  # type: ignore[arg-type]


def _network(block: TrackBaselineConfig) -> nn.Module:
    if block.eggnet:
        return EggNet(block.eggnet)
    if block.exatrkx:
        return ExaTrkx(block.exatrkx)
    return Hept(block.hept) if block.hept else KalmanFilter(TrackerSettings())


def _values(block: TrackBaselineConfig) -> dict[str, list[float]]:
    """Return what to try of each parameter of the clustering, the published value first."""
    if block.eggnet:
        return {"eps": block.eggnet.eps, "min_samples": [float(block.eggnet.min_samples)]}
    if block.exatrkx:
        return {"threshold": block.exatrkx.thresholds}
    if block.hept:
        return {name: [float(v) for v in getattr(block.hept, name)] for name in ("min_cluster", "min_samples")}
    kalman = block.kalman or KalmanConfig()
    return {
        name: [float(value) for value in getattr(kalman, name)] for name in ("gate", "min_points", "pick_up", "merge")
    }
