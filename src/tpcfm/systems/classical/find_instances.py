"""Labels with instances without a network to speak of: pairs of near points joined by a perceptron, or DBSCAN."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from tpcfm.detectors.model import Detector
from tpcfm.losses.same_object import SameObject
from tpcfm.models.classical.edge_perceptron import EdgePerceptron, Positions
from tpcfm.plan.run import Run
from tpcfm.prepare.geometry.edge_geometry import edge_names
from tpcfm.prepare.packing import Batch
from tpcfm.systems.classical.settings import FinderConfig
from tpcfm.systems.classical.task import ClassicalTask
from tpcfm.tasks.clustering_choice import Choice, Kind
from tpcfm.tasks.clusterings import Join, score_clusterings, split_edges, split_points
from tpcfm.tasks.event_cache import MEMORY_BYTES
from tpcfm.tasks.geometry import Geometry
from tpcfm.tasks.joining import join_sizes, score_joined, trees_of
from tpcfm.tracking.clusters import dbscan
from tpcfm.train import FitResult, to_device
from tpcfm.workspace import Workspace

KINDS: dict[str, tuple[Kind, float]] = {"eps": ("scale", 0.0), "min_samples": ("count", 1.0)}


class Finder:
    """A classical finder: its batches, its network, and how its answer becomes objects."""

    def __init__(self, block: FinderConfig, detector: Detector, keep: int = MEMORY_BYTES) -> None:
        self.block, self.detector = block, detector
        self.geometry = Geometry(
            pairs=block.edges.neighbours if block.edges else 0, features=block.edges is not None, keep=keep
        )
        self.network: nn.Module = Positions(detector.pitch)
        self.split: Any = split_points
        self.values: dict[str, list[float]] = {}
        if block.edges:
            self.network, self.split = EdgePerceptron(len(edge_names(detector)), block.edges.hidden), split_edges
        elif block.dbscan:
            self.values = {"eps": block.dbscan.eps, "min_samples": [float(n) for n in block.dbscan.min_samples]}

    def cluster(self, event: Any, choice: Choice) -> npt.NDArray[np.int64]:
        """Return the object of each point of an event, -1 for none."""
        if self.block.edges:
            return Join(self.block.edges.joining, self.detector, trees_of(self.network))(event, choice)
        return dbscan(event, choice["eps"], int(choice["min_samples"])) if len(event) else np.zeros(0, np.int64)


def run(run: Run, workspace: Workspace, *, max_seconds: float | None = None, device: str | None = None) -> None:
    """Train the perceptron (resuming if there is a state), choose the clustering on validation events, score on the test split.

    Raises:
        DataError: the cache is missing or damaged, or holds too few labelled events.
        Interrupted: stopped by a signal or the time limit; the same call continues.
    """
    block = run.block(FinderConfig)
    torch.manual_seed(block.seed)
    result = None
    task = ClassicalTask(run, workspace, device, block, Geometry())
    finder = Finder(block, task.store.detector)
    task.geometry, network = finder.geometry, finder.network
    if isinstance(network, EdgePerceptron):
        features = [batch["edge_features"] for _, batch in task.batches(task.training[:20])]
        network.standardised.take(torch.from_numpy(np.concatenate(features)))
        result = task.fit(network, SameObject(block.label), task.settings, max_seconds)

    def answer(batch: Batch) -> Any:
        return network(to_device(batch, task.device))

    if block.edges and result:
        result, rows, shown, choice = score_joined(task, network, answer, result, block.edges, block.tuning_events)
    else:
        rows, shown, choice = score_clusterings(
            task, network, answer, finder.split, finder.cluster, finder.values, KINDS, block.tuning_events
        )
    name = "Perceptron on pairs of near points" if block.edges else "DBSCAN on positions"
    task.leave(
        network,
        result or FitResult(0, None, None, 0.0, []),
        rows,
        shown,
        title=f"{name}, {block.label}" + (f", {block.n_labels} labelled events" if result else ""),
        what="Clustering chosen on validation events: "
        + ", ".join(f"{key} {value:g}" for key, value in choice.items())
        + ".",
        config={
            "architecture": "classical_edges" if block.edges else "classical_dbscan",
            "finder": block.model_dump(mode="json"),
            "features": edge_names(task.store.detector) if block.edges else [],
            "clustering": choice,
            **join_sizes(network),
        },
        parameters=sum(p.numel() for p in network.parameters()),
    )
