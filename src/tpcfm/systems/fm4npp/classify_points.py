"""Labels with classes on FM4NPP features or raw points: species, noise, semantics (arXiv 2508.14087, Sec. 4.2 and 5)."""

from tpcfm.losses.point_classes import PointClasses
from tpcfm.plan.run import Run
from tpcfm.systems.fm4npp.adapter_task import AdapterTask
from tpcfm.tasks.classes import score_classes
from tpcfm.tasks.edge_head import class_weights
from tpcfm.workspace import Workspace


def run(run: Run, workspace: Workspace, *, max_seconds: float | None = None, device: str | None = None) -> None:
    """Train a point classifier (of one label, or of several on one trunk), resuming if there is a state; write model, metrics, predictions.

    Raises:
        DataError: the cache is missing or damaged, or holds too few labelled events.
        CheckpointError: the backbone does not fit the sequences.
        Interrupted: stopped by a signal or the time limit; the same call continues.
    """
    task = AdapterTask(run, workspace, device)
    weights = {label: task.block.weights.get(label, 1.0) for label in task.labels}
    if head := task.block.edge_head:
        balance = {label: class_weights(task, label, head.weight_power) for label in task.labels}
        objective = PointClasses(None, weights, balance)
    else:
        objective = PointClasses(task.batch_key, weights)
    result = task.train(objective, max_seconds)
    task.leave(result, *score_classes(task, task.model, task.output))
