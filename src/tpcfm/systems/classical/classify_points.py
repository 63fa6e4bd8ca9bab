"""Labels with classes without a network: gradient-boosted trees on the local geometry of points."""

import time
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from tpcfm.evaluate.classification import confusion_matrix
from tpcfm.evaluate.segmentation import batched_scores, macro
from tpcfm.models.classical.trees import TreeEnsemble
from tpcfm.plan.run import Run
from tpcfm.prepare.geometry.local_geometry import geometry_names
from tpcfm.systems.classical.settings import TreesConfig
from tpcfm.systems.classical.task import ClassicalTask
from tpcfm.tasks.classes import score_classes
from tpcfm.tasks.geometry import Geometry
from tpcfm.tasks.labelled import check_outputs
from tpcfm.tasks.support import Rows
from tpcfm.train import FitResult, to_device
from tpcfm.workspace import Workspace

VALIDATION_POINTS = 100_000
Points = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]
"""Features (N, F) and classes (N,) of points that have one."""


def gather(task: ClassicalTask, events: Rows, limit: int) -> Points:
    """Return at most so many points of some events, evenly taken from each of them."""
    stride = max(1, -(-int(task.store.lengths[events].sum()) // limit))
    geometry, truth = [], []
    for _, batch in task.batches(events):
        for start, stop in pairwise(batch["offsets"].tolist()):
            geometry.append(batch["geometry"][start:stop:stride])
            truth.append(batch[task.label][start:stop:stride])
    known = (labels := np.concatenate(truth)) >= 0
    return np.concatenate(geometry)[known], labels[known]


def grow(block: TreesConfig, training: Points, held_out: Points) -> tuple[TreeEnsemble, list[dict[str, Any]], float]:
    """Grow trees with each weighting of the classes; return the best by macro F1 on held-out points, the history, and its power.

    The number of rounds is chosen with it, in steps of ``train.evaluate_every``.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    (features, truth), train = training, block.train
    counts = np.bincount(truth, minlength=block.classes)
    every = train.evaluate_every or max(1, train.steps // 10)
    best: tuple[float, float, int, Any] = (-1.0, 0.0, 0, None)
    history = []
    for power in block.weight_powers:
        grown = HistGradientBoostingClassifier(
            max_iter=train.steps,
            learning_rate=train.learning_rate,
            max_leaf_nodes=block.leaves,
            min_samples_leaf=min(block.min_leaf, max(1, len(truth) // 10)),
            l2_regularization=block.l2,
            early_stopping=False,
            random_state=block.seed,
        ).fit(features, truth, sample_weight=(len(truth) / counts[truth]) ** power)
        for rounds, chances in enumerate(grown.staged_predict_proba(held_out[0]), start=1):
            if rounds % every and rounds != train.steps:
                continue
            decided = grown.classes_[chances.argmax(1)]
            f1 = float(macro(batched_scores(confusion_matrix(held_out[1], decided, block.classes))["f1"]))
            history.append({"step": rounds, "split": "validation", "f1": f1, "weight_power": power})
            if f1 > best[0]:
                best = (f1, power, rounds, grown)
    return TreeEnsemble.of(best[3], best[2], block.classes), history, best[1]


def run(run: Run, workspace: Workspace, *, max_seconds: float | None = None, device: str | None = None) -> None:
    """Grow trees on the labelled events, choose weighting and rounds on validation events, score on the test split.

    A job that is stopped begins anew: growing takes minutes.

    Raises:
        DataError: the cache is missing or damaged, or holds too few labelled events.
    """
    block = run.block(TreesConfig)
    task = ClassicalTask(run, workspace, device, block, Geometry())
    check_outputs(task.store, {block.label: block.classes})
    started = time.monotonic()
    training = gather(task, task.training, block.points)
    model, history, power = grow(block, training, gather(task, task.validation, VALIDATION_POINTS))
    best = max(history, key=lambda row: row["f1"])
    result = FitResult(best["step"], best["step"], best["f1"], time.monotonic() - started, history)
    rows, shown = score_classes(task, model, lambda batch: {block.label: model(to_device(batch, task.device))})
    rows += task.metric_rows(block.label, {"f1": best["f1"]}, split="validation")
    rows += task.metric_rows(block.label, {"weight_power": power, "training_points": float(len(training[1]))}, split="")
    sizes = {"nodes": len(model.value), "trees": len(model.root), "scores": len(model.base)}
    task.leave(
        model,
        result,
        rows,
        shown,
        title=f"Gradient-boosted trees on local geometry, {block.label}, {block.n_labels} labelled events",
        what=f"No network: classes weigh their inverse share to the power {power:g} and {best['step']} rounds are kept, as validation events say.",
        config={"architecture": "classical_trees", **sizes, "features": geometry_names(task.store.detector)},
        parameters=2 * len(model.value),
    )
