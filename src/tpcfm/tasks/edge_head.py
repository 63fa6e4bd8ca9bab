"""What the head of edge convolutions needs of a run, whatever its system: geometry, weights of classes, objects out of pairs."""

import numpy as np
import torch

from tpcfm.detectors.model import Detector
from tpcfm.models.heads.edge_head import EdgeHeadNetwork
from tpcfm.models.heads.settings import EdgeHead
from tpcfm.prepare.geometry.edge_geometry import edge_names
from tpcfm.prepare.geometry.local_geometry import geometry_names
from tpcfm.tasks.event_cache import MEMORY_BYTES
from tpcfm.tasks.geometry import Geometry
from tpcfm.tasks.labelled import LabelledTask

SCALE_EVENTS = 20  # labelled events that geometry is standardised by


def geometry_sizes(detector: Detector) -> tuple[int, int]:
    """Return the numbers of local geometry of a point and of a pair."""
    return len(geometry_names(detector)), len(edge_names(detector))


def geometry_of(config: EdgeHead, instances: bool, keep: int = MEMORY_BYTES) -> Geometry:
    """Return what adds the geometry that the head reads to batches."""
    return Geometry(config.neighbours, config.pairs if instances else 0, keep=keep)


def standardise(task: LabelledTask, head: EdgeHeadNetwork) -> None:
    """Take mean and deviation of the geometry from some of the labelled events."""
    batches = [batch for _, batch in task.batches(task.training[:SCALE_EVENTS])]
    head.geometry.take(torch.from_numpy(np.concatenate([batch["geometry"] for batch in batches])))
    if head.pairs is not None:
        head.pair_geometry.take(torch.from_numpy(np.concatenate([batch["edge_features"] for batch in batches])))


def class_weights(task: LabelledTask, label: str, power: float) -> list[float]:
    """Return loss weights of the classes of the labelled events, (points / points of the class) ** power with a mean over points of 1."""
    kind = task.store.detector.classes()[label]
    numbers = np.concatenate([kind.encode(task.store.value(int(row), label)) for row in task.training])
    counts = np.bincount(numbers[numbers >= 0], minlength=len(kind.values))
    weights = (counts.sum() / np.maximum(counts, 1)) ** power
    return (weights * counts.sum() / (weights * counts).sum()).tolist()
