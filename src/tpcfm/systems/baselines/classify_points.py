"""Baselines of a label with classes: graph networks and voxels (arXiv 2508.14087, Sec. 5 and App. C)."""

import torch
from torch import nn

from tpcfm.losses.point_classes import PointClasses
from tpcfm.models.baselines.point_graph_net import PointGraphNet
from tpcfm.models.baselines.voxel_unet import VoxelUNet
from tpcfm.plan.run import Run
from tpcfm.systems.baselines.baseline_task import BaselineTask
from tpcfm.systems.baselines.point_batches import GraphBatches, VoxelBatches
from tpcfm.systems.baselines.settings import PointBaselineConfig
from tpcfm.tasks.classes import score_classes
from tpcfm.tasks.labelled import check_outputs
from tpcfm.tasks.support import Collate
from tpcfm.train import to_device
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
    if block.voxel is not None:
        return VoxelUNet(block.label, block.classes, block.voxel), VoxelBatches(block.voxel)
    assert block.graph is not None
    return PointGraphNet(block.model, block.label, block.classes, block.graph), GraphBatches(block.graph)


def run(run: Run, workspace: Workspace, *, max_seconds: float | None = None, device: str | None = None) -> None:
    """Train a point classifier from scratch, resuming if there is a state; write model, metrics, predictions.

    Events, label subset, selection and metrics are those of the adapters.

    Raises:
        DataError: the cache is missing or damaged, or holds too few labelled events.
        Interrupted: stopped by a signal or the time limit; the same call continues.
    """
    block = run.block(PointBaselineConfig)
    torch.manual_seed(block.seed)
    model, collate = make_model(block)
    task = BaselineTask(run, workspace, device, block, collate)
    check_outputs(task.store, {block.label: block.classes})
    result = task.train(model, PointClasses(None, {block.label: 1.0}), max_seconds)
    metrics, shown = score_classes(task, model, lambda batch: model(to_device(batch, task.device)))
    task.leave(
        model,
        result,
        metrics,
        shown,
        title=f"{TITLES[block.model]}, {block.label}, {task.n_labels} labelled events",
        what="Baseline, trained from scratch on the labelled events.",
        config={"architecture": f"baseline_{block.model}", "baseline": block.model_dump(mode="json")},
    )
