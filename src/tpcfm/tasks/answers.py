"""What a trained network says about the points of a packed batch, one form for every system, and who says it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tpcfm.nn.queries import TrackSet
from tpcfm.nn.set_decision import UNASSIGNED, decide, query_chances
from tpcfm.prepare.packing import Batch
from tpcfm.prepare.store import PreparedStore

Rows = npt.NDArray[np.int64]
Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Answer:
    """What a network says about the points of a batch under one label; on the host.

    Attributes:
        values: (N,) int64, number of the class, or of the object within the event; -1 for none.
        score: (N,) float32 between 0 and 1, how sure it is: probability of the class or of belonging to the object (of no object:
            of belonging to none); None where the method says nothing of it.
        chances: for each event (Q,) float32, probability of each numbered object to be one; None for classes, and where the method says
            nothing of it.
    """

    values: npt.NDArray[np.int64]
    score: npt.NDArray[np.float32] | None = None
    chances: list[npt.NDArray[np.float32]] | None = None


@dataclass(frozen=True)
class Predictor:
    """A trained network, loaded once, that answers packed batches of prepared events.

    Attributes:
        collate: some rows of a store as a batch; on the host, may run in several threads.
        answer: a batch and the same as tensors on the network's device, to an answer per label.
    """

    collate: Callable[[PreparedStore, Rows], Batch]
    answer: Callable[[Batch, Tensors], dict[str, Answer]]


@dataclass(frozen=True)
class Embedder:
    """A pretrained backbone, loaded once, that turns packed batches of prepared events into features.

    Attributes:
        collate: some rows of a store as a batch; on the host, may run in several threads.
        layers: a batch as tensors on the device to (L, rows, D) float32, the outputs that heads are built on.
        summary: these layers to (rows, D): the features that a row is known by.
        xyz, offsets: keys of the batch: (rows, 3) places of the rows, (B + 1,) first row of each event.
        points: rows are the points that the network sees, in its order; else tokens.
    """

    collate: Callable[[PreparedStore, Rows], Batch]
    layers: Callable[[Tensors], Tensor]
    summary: Callable[[Tensor], Tensor]
    xyz: str
    offsets: str
    points: bool = field(default=False)


def class_answer(logits: Tensor) -> Answer:
    """Return the most probable class of each point, from logits (N, C)."""
    score, values = logits.float().softmax(1).max(1)
    return Answer(_host(values, np.int64), _host(score, np.float32))


def set_answer(found: TrackSet) -> Answer:
    """Return the object of each point by the published decision: the largest mask times object probability among object queries."""
    values, scores, chances = [], [], []
    for chance, masks in query_chances(found):
        best = decide(chance, masks)
        joint = masks * chance[:, None]
        taken = best != UNASSIGNED
        own = joint.gather(0, best.clamp(min=0)[None])[0]
        scores.append(torch.where(taken, own, 1 - joint.amax(0)))
        values.append(best)
        chances.append(_host(chance, np.float32))
    return Answer(_host(torch.cat(values), np.int64), _host(torch.cat(scores), np.float32), chances)


def _host(tensor: Tensor, kind: Any) -> Any:
    return tensor.cpu().numpy().astype(kind, copy=False)
