"""Second stage of a finder of objects: learning from labelled events which pieces of the first stage belong together."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from torch import nn

from tpcfm.models.classical.trees import TreeEnsemble
from tpcfm.models.heads.settings import Join as JoinSettings
from tpcfm.prepare.geometry.pieces import Pieces
from tpcfm.prepare.packing import Batch
from tpcfm.tasks.clustering_choice import Choice, Kind
from tpcfm.tasks.clusterings import Join, Table, score_clusterings, split_edges
from tpcfm.tasks.labelled import LabelledTask
from tpcfm.train import FitResult

KINDS: dict[str, tuple[Kind, float]] = {"threshold": ("score", 0.0), "join": ("score", 0.0)}
"""Of what is chosen on validation events."""
Examples = tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_], npt.NDArray[np.float64]]
"""Features (E, F) of pairs of pieces, do both belong to one object (E,), points of the smaller (E,)."""


class Joining(Protocol):
    """Settings of both stages."""

    @property
    def joining(self) -> Literal["partition", "components"]:
        """How pairs of points become pieces."""
        ...

    @property
    def thresholds(self) -> list[float]:
        """What to try of the threshold of the first stage where it stands alone."""
        ...

    @property
    def join(self) -> JoinSettings | None:
        """Settings of the second stage."""
        ...


def score_joined(
    task: LabelledTask,
    model: nn.Module,
    answer: Callable[[Batch], Any],
    result: FitResult,
    settings: Joining,
    tuning_events: int,
) -> tuple[FitResult, Table, Table, Choice]:
    """Learn the second stage if there is one, choose thresholds by ARI on validation events, score on the test events.

    Args:
        task: the run, of one label.
        model, answer: first stage, trained, and what it says about a batch (`split_edges`).
        result: of its training.
        settings: of both stages.
        tuning_events: validation events at most.

    Returns:
        The result with the time that the second stage took; rows of the metrics table and of the predictions table, and the choice.
    """
    joins, seconds = learn_to_join(task, model, answer, Join(settings.joining, task.store.detector), settings.join)
    values = {"threshold": settings.thresholds}
    if settings.join:
        values = {"threshold": settings.join.pieces, "join": settings.join.thresholds}
    found = score_clusterings(task, model, answer, split_edges, joins, values, KINDS, tuning_events)
    return replace(result, seconds=result.seconds + seconds), *found


def learn_to_join(
    task: LabelledTask, model: nn.Module, answer: Callable[[Batch], Any], joins: Join, settings: JoinSettings | None
) -> tuple[Join, float]:
    """Return how objects are joined, and the seconds that learning it took; the trees become the part ``join`` of the model.

    Learns from labelled training events alone, in the order of their nested subsets. Without settings there is no second stage.

    Args:
        task: the run, of one label.
        model, answer: first stage, trained, and what it says about a batch (`split_edges`).
        joins: first stage alone.
        settings: of the second stage.
    """
    if settings is None:
        return joins, 0.0
    started = time.monotonic()
    (label,) = task.labels
    generator = np.random.default_rng(task.seed)
    parts: list[Examples] = []
    for _, batch, found in task.answers(model, answer, task.training[: settings.events]):
        for event, (start, stop) in zip(split_edges(batch, found), pairwise(batch["offsets"].tolist()), strict=True):
            for threshold in settings.pieces:
                parts += examples(joins.start(event, threshold), batch[label][start:stop], generator)
    if trees := grow(parts, settings, task.seed):
        model.add_module("join", trees)
    return replace(joins, trees=trees), time.monotonic() - started


def examples(pieces: Pieces, truth: npt.NDArray[np.integer], generator: np.random.Generator) -> Iterator[Examples]:
    """Yield pairs of pieces as they come up while they are joined: half of the true pairs are made one, and the rest is looked at again.

    ``truth`` (N,) is that of the event's points. A piece belongs to the object that most of its points belong to; points of no object (-1) belong to nobody.
    """
    truth = truth[pieces.place]
    owner = np.array([np.bincount(truth[m] + 1).argmax() - 1 for m in pieces.members], np.int64)
    while True:
        pairs = pieces.candidates()
        if not len(pairs):
            return
        same = (owner[pairs[:, 0]] == owner[pairs[:, 1]]) & (owner[pairs[:, 0]] >= 0)
        size = np.array([len(m) for m in pieces.members])
        yield pieces.features(pairs), same, size[pairs].min(1).astype(float)
        true = generator.permutation(pairs[same])
        if not len(true):
            return
        for p, q in true[: (len(true) + 1) // 2].tolist():
            if len(pieces.members[p]) and len(pieces.members[q]):
                pieces.merge(p, q)


def grow(parts: Sequence[Examples], settings: JoinSettings, seed: int) -> TreeEnsemble | None:
    """Return trees that give two pieces a chance; a pair weighs the root of the points of its smaller piece.

    Of the false pairs, which are many more than the true ones, every n-th is taken and weighs n times as much.

    Without a true pair, or without a false one, there is nothing to learn and no second stage: None.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    if len({bool(s) for _, same, _ in parts for s in same}) < 2:
        return None
    features, same, size = (np.concatenate(found) for found in zip(*parts, strict=True))
    stride = max(1, -(-int((~same).sum()) // settings.pairs))
    kept = np.sort(np.concatenate([np.flatnonzero(same), np.flatnonzero(~same)[::stride]]))
    features, same, weight = features[kept], same[kept], np.sqrt(size[kept])
    weight[~same] *= stride
    grown = HistGradientBoostingClassifier(
        max_iter=settings.rounds,
        learning_rate=settings.learning_rate,
        max_leaf_nodes=settings.leaves,
        min_samples_leaf=min(20, max(1, len(same) // 10)),
        l2_regularization=settings.l2,
        early_stopping=False,
        random_state=seed,
    ).fit(features, same.astype(int), sample_weight=weight)
    return TreeEnsemble.of(grown, settings.rounds, 2)


def trees_of(model: nn.Module) -> TreeEnsemble | None:
    """Return the second stage of a model, if it has one."""
    trees = dict(model.named_children()).get("join")
    return trees if isinstance(trees, TreeEnsemble) else None


def join_sizes(model: nn.Module) -> dict[str, dict[str, int]]:
    """Return what ``config.json`` holds of a second stage, nothing without one."""
    trees = trees_of(model)
    if trees is None:
        return {}
    return {"join": {"nodes": len(trees.value), "trees": len(trees.root), "scores": len(trees.base)}}
