"""Labels with instances on FM4NPP features or raw points: tracks, particles (arXiv 2508.14087, Sec. 4.2 and 5)."""

from tpcfm.losses.same_object import SameObject
from tpcfm.losses.set_matching import SetMatching
from tpcfm.plan.run import Run
from tpcfm.systems.fm4npp.adapter_task import AdapterTask
from tpcfm.tasks.instances import score_sets
from tpcfm.tasks.joining import score_joined
from tpcfm.workspace import Workspace


def run(run: Run, workspace: Workspace, *, max_seconds: float | None = None, device: str | None = None) -> None:
    """Train the set decoder (or the head of edge convolutions) of one label, resuming if there is a state, and write model directory, metrics and predictions.

    Raises:
        DataError: the cache is missing or damaged, or holds too few labelled events.
        CheckpointError: the backbone does not fit the sequences.
        Interrupted: stopped by a signal or the time limit; the same call continues.
    """
    task = AdapterTask(run, workspace, device)
    if head := task.block.edge_head:
        result = task.train(SameObject(task.labels[0]), max_seconds)
        task.leave(*score_joined(task, task.model, task.output, result, head, head.tuning_events))
        return
    result = task.train(SetMatching(task.batch_key, task.labels[0]), max_seconds)
    task.leave(result, *score_sets(task, task.model, task.output))
