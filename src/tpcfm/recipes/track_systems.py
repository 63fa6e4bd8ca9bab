"""The comparison systems of track finding as the recipe sees them: inputs, network, clusterings to choose from."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tpcfm.classical.clusters import components, dbscan, hdbscan
from tpcfm.classical.tracking import TrackerSettings, find_tracks
from tpcfm.config.baselines_tracks import KalmanConfig, TrackBaselineConfig
from tpcfm.models.baselines.eggnet import EggNet
from tpcfm.models.baselines.exatrkx import ExaTrkx
from tpcfm.models.baselines.hept import Hept
from tpcfm.prepare.batches import Batch, collate_sequences
from tpcfm.prepare.features import comparison_features
from tpcfm.prepare.neighbour_graph import neighbour_graph
from tpcfm.prepare.store import PreparedStore
from tpcfm.train import StepInfo

Rows = npt.NDArray[np.int64]
Choice = dict[str, float]
"""Parameters of a clustering."""


@dataclass(frozen=True)
class TrackBatches:
    """Collate function: a batch with ``track_inputs`` (N, C) float32 of a system (arXiv 2508.14087, App. C).

    EggNet: eta, cos phi, sin phi and layer of the point and of its two nearest neighbours (C = 12); Exa.TrkX: energy and
    these four (5); HEPT: energy, x, y, z, eta, cos phi, sin phi, r (8); Kalman filter: none (0).
    """

    model: str

    def __call__(self, store: PreparedStore, rows: Rows, info: StepInfo) -> Batch:
        """Return the packed batch."""
        batch = collate_sequences(store, rows, 0)
        return {**batch, "track_inputs": track_inputs(self.model, batch["energy"], batch["xyz"], batch["offsets"])}


def track_inputs(
    model: str, energy: npt.NDArray[Any], xyz: npt.NDArray[Any], offsets: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Return the inputs (N, C) of a system."""
    if model == "kalman":
        return np.zeros((len(xyz), 0), np.float32)
    features = comparison_features(energy, xyz)  # energy, eta / 1.96, cos phi, sin phi, layer / 48
    if model == "exatrkx":
        return features
    if model == "eggnet":
        near = neighbour_graph(xyz, 2, offsets=offsets).index
        near = np.where(near >= 0, near, np.arange(len(xyz))[:, None])  # alone in its event: the point itself
        return np.concatenate([features[:, 1:], features[near[:, 0], 1:], features[near[:, 1], 1:]], axis=1)
    radius = (np.hypot(xyz[:, 0], xyz[:, 1]) - 30) / 48
    return np.column_stack([features[:, 0], xyz / 100, features[:, 1:4], radius]).astype(np.float32)


class KalmanFilter(nn.Module):
    """Stands where the networks stand; keeps the cuts chosen on validation events, so that they are saved."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("settings", torch.tensor(TrackerSettings(), dtype=torch.float64))

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the points (N, 3) as they are."""
        return batch["xyz"]


class TrackSystem:
    """One comparison system: its network, and how its answer becomes tracks under one of several clusterings."""

    def __init__(self, block: TrackBaselineConfig) -> None:
        self.block = block
        self.network: nn.Module = _network(block)
        self.choices = _choices(block)
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
        return find_tracks(event, TrackerSettings(**choice))  # type: ignore[arg-type]


def _network(block: TrackBaselineConfig) -> nn.Module:
    if block.eggnet:
        return EggNet(block.eggnet)
    if block.exatrkx:
        return ExaTrkx(block.exatrkx)
    return Hept(block.hept) if block.hept else KalmanFilter()


def _choices(block: TrackBaselineConfig) -> list[Choice]:
    """Return the clusterings to choose from, the published first."""
    if block.eggnet:
        return [{"eps": eps, "min_samples": block.eggnet.min_samples} for eps in block.eggnet.eps]
    if block.exatrkx:
        return [{"threshold": threshold} for threshold in block.exatrkx.thresholds]
    if block.hept:
        pairs = itertools.product(block.hept.min_cluster, block.hept.min_samples)
        return [{"min_cluster": cluster, "min_samples": samples} for cluster, samples in pairs]
    kalman = block.kalman or KalmanConfig()
    names = ("gate", "min_points", "pick_up", "merge")
    lists = (getattr(kalman, name) for name in names)
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*lists)]
