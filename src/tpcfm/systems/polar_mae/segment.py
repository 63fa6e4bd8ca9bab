"""Heads on the token encoder, frozen (PEFT), trained in part or fully fine-tuned: classes of points (arXiv 2502.02558, Sec. 4), and instances.

Objects of an event (tracks, particles, interactions) are found by the set decoder of arXiv 2508.14087, Sec. 4.2, on the features
that the encoder gives to the points.
"""

from typing import Any

import torch

from tpcfm.errors import ConfigError
from tpcfm.losses.same_object import SameObject
from tpcfm.losses.set_matching import SetMatching
from tpcfm.models.polar_mae.segmentation import SegmentationModel
from tpcfm.plan.run import Run
from tpcfm.prepare.packing import Batch
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.polar_mae.batches import GroupBatches
from tpcfm.systems.polar_mae.class_head import HeadTask, PointwiseObjective, class_weights
from tpcfm.systems.polar_mae.edge_batches import EdgeBatches
from tpcfm.systems.polar_mae.settings import SegmentationConfig
from tpcfm.systems.polar_mae.support import METHOD, load_encoder, pretrained_model_config
from tpcfm.tasks.edge_head import class_weights as balance
from tpcfm.tasks.edge_head import geometry_sizes, standardise
from tpcfm.tasks.instances import score_sets
from tpcfm.tasks.joining import join_sizes, score_joined
from tpcfm.tasks.support import Collate
from tpcfm.train import to_device
from tpcfm.workspace import Workspace


def run(run: Run, workspace: Workspace, *, max_seconds: float | None = None, device: str | None = None) -> None:
    """Train on the labelled events, keep the best weights of the validation events, score them on the test split.

    The best are those of the largest macro F1, for instances of the smallest loss.

    Raises:
        DataError: fewer labelled events than asked for.
        ConfigError: `start: pretrained` without a pretrained run, or the other way round.
        Interrupted: stopped by a signal or the time limit; the same call continues.
    """
    block = run.block(SegmentationConfig)
    if (block.start == "pretrained") != (run.pretrained is not None):
        raise ConfigError(
            f"{run.id}: start is {block.start!r} but pretrained is {run.pretrained!r}; give both or neither"
        )
    architecture = block.model
    if run.pretrained is not None:
        store = PreparedStore(workspace.cache(run.cache))
        found = pretrained_model_config(workspace.run(run.pretrained), store)
        regularisation = {name: getattr(block.model, name) for name in ("drop_path", "attention_dropout")}
        architecture = found.model_copy(update=regularisation)
    trained_depth = 0 if block.mode == "peft" else architecture.depth
    collate: Collate = GroupBatches(points=True, drop_path=architecture.drop_path, depth=trained_depth)
    task = HeadTask(run, workspace, device, block, collate)

    torch.manual_seed(block.seed)
    sizes = geometry_sizes(task.store.detector)
    model = SegmentationModel(
        architecture,
        block.classes,
        frozen=block.mode == "peft",
        head_hidden=block.head_hidden,
        head_dropout=block.head_dropout,
        queries=block.queries,
        edge_head=block.edge_head,
        geometry=sizes,
        tokens=block.start != "none",
    )
    if run.pretrained is not None:
        load_encoder(model.encoder, workspace.run(run.pretrained))
    if block.mode in ("last", "lora"):
        model.tune(block.mode, block.tuning)
    weights = class_weights(task.store, block.label, task.training, block.class_weights) if block.classes else []
    config = {
        "architecture": "polar_mae_head",
        "model": architecture.model_dump(mode="json"),
        "head_hidden": model.head_hidden,
        "queries": block.queries,
        **({"mode": block.mode, "tuning": block.tuning.model_dump()} if block.mode in ("last", "lora") else {}),
        "class_weights": weights,
    }
    title = f"{block.label}, {block.mode}, {task.n_labels} labelled events"
    if head := block.edge_head:
        task.collate = EdgeBatches(model, head, not block.classes, task.device)
        standardise(task, model.head)  # type: ignore[arg-type]
        config["edge_head"] = {"settings": head.model_dump(), "geometry": sizes, "tokens": model.tokens}
        title = f"{block.label}, edge head, {task.n_labels} labelled events"
        if block.classes:
            weights = balance(task, block.label, head.weight_power)
            config["class_weights"] = weights
    if block.classes:
        objective = PointwiseObjective(weights, 0.0 if block.edge_head else block.gamma, block.label)
        task.train_classes(model, objective, title=title, config=config, max_seconds=max_seconds)
        return

    def answer(batch: Batch) -> Any:
        return model(to_device(batch, task.device))

    if head:
        result = task.fit(model, SameObject(block.label), task.settings, max_seconds)
        result, rows, shown, config["clustering"] = score_joined(task, model, answer, result, head, head.tuning_events)
        config |= join_sizes(model)
    else:
        result = task.fit(model, SetMatching(None, block.label), task.settings, max_seconds)
        rows, shown = score_sets(task, model, answer)
    rows += task.cost_rows(model, result)
    config |= {"label": block.label, "classes": [], "tokenizer": task.store.settings}
    task.finish(model, result, rows, shown, title=title, what=METHOD, config=config)
