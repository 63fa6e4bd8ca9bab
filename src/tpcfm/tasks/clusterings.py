"""Scores of a network whose answer is clustered into objects: the clustering chosen on validation events, then the test split."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from tpcfm.evaluate.tracking import TrackingTally
from tpcfm.prepare.packing import Batch
from tpcfm.tasks.clustering_choice import Choice, Chosen, Kind, choose
from tpcfm.tasks.instances import InstanceScores
from tpcfm.tasks.labelled import SHOWN_EVENTS, LabelledTask, shown_events
from tpcfm.tasks.support import spread
from tpcfm.tracking.clusters import components
from tpcfm.tracking.partition import partition

Split = Callable[[Batch, Any], Iterator[Any]]
"""Batch and answer to what `Cluster` needs of each event."""
Cluster = Callable[[Any, Choice], npt.NDArray[np.int64]]
"""Of an event under a choice: the object of each point, -1 for none."""
Table = list[dict[str, Any]]


def split_edges(batch: Batch, answer: Any) -> Iterator[tuple[int, npt.NDArray[Any], npt.NDArray[Any]]]:
    """Yield number of points, pairs (2, E) and their scores (E,) of each event, from tensors of pairs and logits of a batch."""
    edges, scores = answer[0].cpu().numpy(), answer[1].float().sigmoid().cpu().numpy()
    event = np.searchsorted(batch["offsets"], edges[0], side="right") - 1
    for number, (start, stop) in enumerate(pairwise(batch["offsets"].tolist())):
        mine = event == number
        yield stop - start, edges[:, mine] - start, scores[mine]


def join(event: tuple[int, npt.NDArray[Any], npt.NDArray[Any]], choice: Choice, joining: str) -> npt.NDArray[np.int64]:
    """Return the object of each point of an event (`split_edges`) under a ``threshold``, -1 for none.

    Args:
        joining: ``components`` of the pairs above the threshold, or ``partition`` (`tpcfm.tracking.partition`).
    """
    points, edges, scores = event
    if joining == "partition":
        return partition(points, edges, scores, choice["threshold"])
    return components(points, edges[:, scores > choice["threshold"]])


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
