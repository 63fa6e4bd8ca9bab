"""Comparison systems of particle identification and noise tagging (arXiv 2508.14087, Sec. 5 and App. C)."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from tpcfm.evaluate.event_scores import NAME as EVENT_SCORES
from tpcfm.evaluate.event_scores import write_event_scores
from tpcfm.losses.point_classes import PointClasses
from tpcfm.models.baselines.point_graph_net import PointGraphNet
from tpcfm.models.baselines.voxel_unet import VoxelUNet
from tpcfm.plan.run import Run
from tpcfm.systems.baselines.baseline_task import BaselineTask
from tpcfm.systems.baselines.point_batches import GraphBatches, VoxelBatches
from tpcfm.systems.baselines.settings import PointBaselineConfig
from tpcfm.systems.fm4npp.classify_points import NAMES
from tpcfm.tasks.labelled import SHOWN_EVENTS, shown_events
from tpcfm.tasks.point_scores import PointScores
from tpcfm.tasks.support import Collate
from tpcfm.workspace import Workspace

TITLES = {
    "sage": "SAGE network",
    "graph_conv": "GraphConv network",
    "gcn": "GCN",
    "gat": "GAT",
    "voxel_unet": "Voxel U-Net with query decoder (standing for OneFormer3D)",
}


def make_model(block: PointBaselineConfig) -> tuple[nn.Module, Collate]:
    """Return the network of a run and what makes its batches."""
    classes = len(NAMES[block.task])
    if block.voxel is not None:
        return VoxelUNet(block.task, classes, block.voxel), VoxelBatches(block.voxel)
    assert block.graph is not None
    return PointGraphNet(block.model, block.task, classes, block.graph), GraphBatches(block.graph)


def run(run: Run, workspace: Workspace, *, max_seconds: float | None = None, device: str | None = None) -> None:
    """Train a point classifier from scratch, resuming if there is a state; write model, metrics, predictions.

    Events, label subset, selection and metrics are those of ``classify_points``.

    Raises:
        DataError: the cache is missing or damaged, or holds too few labelled events.
        Interrupted: stopped by a signal or the time limit; the same call continues.
    """
    block = run.block(PointBaselineConfig)
    torch.manual_seed(block.seed)
    model, collate = make_model(block)
    task = BaselineTask(run, workspace, device, block, task=block.task, collate=collate)
    result = task.train(model, PointClasses(None, {block.task: 1.0}), max_seconds)

    scores = PointScores(NAMES[block.task])
    held_out = (
        (_log_p(answer, block.task), batch[block.task]) for _, batch, answer in task.predict(model, task.validation)
    )
    scores.tune(held_out, int(task.store.lengths[task.validation].sum()))
    shown: list[dict[str, Any]] = []
    for rows, batch, answer in task.predict(model):
        truth = batch[block.task]
        found = scores.update(truth, _log_p(answer, block.task), batch["offsets"])
        shown += shown_events(task.store, rows, batch, truth, found, SHOWN_EVENTS - len(shown))
    parts = [(block.task, 0, scores.sums())]
    write_event_scores(workspace.run(run.id) / EVENT_SCORES, task.store.event_ids(task.test), parts)
    metrics = scores.rows(lambda values, intervals, name: task.metric_rows(values, intervals, name=name))
    task.finish(
        model,
        result,
        metrics,
        shown,
        title=f"{TITLES[block.model]}, {block.task}, {block.n_labels} labelled events",
        what="Comparison system, trained from scratch on the labelled events.",
        config={"architecture": f"baseline_{block.model}", "baseline": block.model_dump(mode="json")},
    )


def _log_p(answer: dict[str, torch.Tensor], task: str) -> npt.NDArray[np.float32]:
    values: npt.NDArray[np.float32] = answer[task].float().log_softmax(1).cpu().numpy()
    return values
