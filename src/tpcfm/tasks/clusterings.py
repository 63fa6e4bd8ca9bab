"""Scores of a network whose answer is clustered into objects: the clustering chosen on validation events, then the test split."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from tpcfm.detectors.model import Detector
from tpcfm.evaluate.tracking import TrackingTally
from tpcfm.models.classical.trees import TreeEnsemble
from tpcfm.prepare.geometry.pieces import Pieces
from tpcfm.prepare.packing import Batch
from tpcfm.tasks.clustering_choice import Choice, Chosen, Kind, choose
from tpcfm.tasks.instances import InstanceScores
from tpcfm.tasks.labelled import SHOWN_EVENTS, LabelledTask, shown_events
from tpcfm.tasks.support import spread
from tpcfm.tracking.clusters import components
from tpcfm.tracking.joining import Joined, cut, join_pieces
from tpcfm.tracking.partition import partition

Split = Callable[[Batch, Any], Iterator[Any]]
"""Batch and answer to what `Cluster` needs of each event."""
Cluster = Callable[[Any, Choice], npt.NDArray[np.int64]]
"""Of an event under a choice: the object of each point, -1 for none."""
Table = list[dict[str, Any]]


@dataclass(frozen=True)
class ScoredPairs:
    """Scored pairs of near points of one event."""

    xyz: npt.NDArray[Any]  # (N, 3) in the unit of the detector
    signal: npt.NDArray[Any] | None  # (N,) scaled
    edges: npt.NDArray[Any]  # (2, E)
    scores: npt.NDArray[Any]  # (E,) chances that both belong to one object
    joined: dict[float, Joined] = field(default_factory=dict)  # what `join` has joined, by threshold of the first stage


@dataclass(frozen=True)
class Join:
    """From scored pairs to objects.

    Args:
        joining: ``components`` of the pairs above the ``threshold``, or ``partition`` (`tpcfm.tracking.partition`).
        detector: of the events.
        trees: second stage (`tpcfm.tasks.joining`): chances that two of these pieces belong together; those that reach ``join`` are made one.
    """

    joining: str
    detector: Detector
    trees: TreeEnsemble | None = None

    def pieces(self, event: ScoredPairs, threshold: float) -> npt.NDArray[np.int64]:
        """Return what the first stage leaves, (N,), -1 for a point alone."""
        if self.joining == "partition":
            return partition(len(event.xyz), event.edges, event.scores, threshold)
        return components(len(event.xyz), event.edges[:, event.scores > threshold])

    def start(self, event: ScoredPairs, threshold: float) -> Pieces:
        """Return these pieces with what is known of them."""
        found = self.pieces(event, threshold)
        return Pieces(self.detector, event.xyz, event.signal, event.edges, event.scores, found)

    def __call__(self, event: ScoredPairs, choice: Choice) -> npt.NDArray[np.int64]:
        """Return the object of each point (N,), -1 for none."""
        threshold = choice["threshold"]
        if self.trees is None:
            return self.pieces(event, threshold)
        if threshold not in event.joined:
            event.joined[threshold] = join_pieces(self.start(event, threshold), self._chances)
        return cut(event.joined[threshold], choice["join"])

    def _chances(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.floating]:
        assert self.trees is not None
        return np.asarray(self.trees({"geometry": torch.from_numpy(features)}).softmax(1)[:, 1])


def split_edges(batch: Batch, answer: Any) -> Iterator[ScoredPairs]:
    """Yield the events of a batch from tensors of pairs and logits; the batch holds ``xyz`` and, where there is one, ``scaled_signal``."""
    edges, scores = answer[0].cpu().numpy(), answer[1].float().sigmoid().cpu().numpy()
    event = np.searchsorted(batch["offsets"], edges[0], side="right") - 1
    signal = batch.get("scaled_signal")
    for number, (start, stop) in enumerate(pairwise(batch["offsets"].tolist())):
        mine = event == number
        own = None if signal is None else signal[start:stop]
        yield ScoredPairs(batch["xyz"][start:stop], own, edges[:, mine] - start, scores[mine])


def split_points(batch: Batch, answer: Any) -> Iterator[npt.NDArray[Any]]:
    """Yield the rows of each event from a tensor (N, ...)."""
    values = answer.cpu().numpy()
    for start, stop in pairwise(batch["offsets"].tolist()):
        yield values[start:stop]


def score_clusterings(
    task: LabelledTask,
    model: nn.Module,
    answer: Callable[[Batch], Any],
    split: Split,
    cluster: Cluster,
    values: Mapping[str, Sequence[float]],
    kinds: dict[str, tuple[Kind, float]],
    tuning_events: int,
) -> tuple[Table, Table, Choice]:
    """Choose a clustering by ARI on validation events, score it on the test events; write the scores of every event.

    The ``_calibrated`` rows say the same again, since the decision is a chosen one.

    Args:
        task: the run, of one label.
        model: trained.
        answer: of the model to a batch.
        split, cluster: see `Split` and `Cluster`.
        values, kinds: what to try of each parameter (`tpcfm.tasks.clustering_choice.choose`).
        tuning_events: validation events at most.

    Returns:
        Rows of the metrics table and of the predictions table, and the choice.
    """
    (label,) = task.labels
    started = time.monotonic()
    events: list[tuple[Any, Any]] = []
    for _, batch, found in task.answers(model, answer, spread(task.validation, tuning_events)):
        truth = [batch[label][start:stop] for start, stop in pairwise(batch["offsets"].tolist())]
        events += zip(truth, split(batch, found), strict=True)

    def score(choices: Iterable[Choice]) -> list[float]:
        tallies = []
        for choice in choices:
            tallies.append(TrackingTally())
            for truth, event in events:
                tallies[-1].update(truth, cluster(event, choice))
        return [tally.values()["ari"] for tally in tallies]

    chosen: Chosen = choose({name: list(found) for name, found in values.items()}, kinds, score)
    tuning_seconds = time.monotonic() - started

    def decided(batch: Batch) -> npt.NDArray[np.int64]:
        return np.concatenate([cluster(event, chosen.choice) for event in split(batch, answer(batch))])

    scores = InstanceScores(task.store, label)
    shown: Table = []
    for rows, batch, found in task.answers(model, decided):
        scores.update(rows, batch, found, found)
        shown += shown_events(task.store, rows, batch, batch[label], found, SHOWN_EVENTS - len(shown))
    scores.write(task.folder)
    metrics = task.metric_rows(label, scores.values(), scores.intervals())
    metrics += task.metric_rows(label, {"ari": chosen.value}, split="validation")
    tuning = {f"clustering_{name}": float(value) for name, value in chosen.choice.items()}
    tuning |= {"tuned_at_edge": float(chosen.at_edge), "tuning_choices": chosen.tried, "tuning_seconds": tuning_seconds}
    return metrics + task.metric_rows(label, tuning, split=""), shown, chosen.choice
