"""Semantic segmentation on the token encoder: frozen (PEFT) or fully fine-tuned (arXiv 2502.02558, Sec. 4)."""

import torch

from tpcfm.errors import ConfigError
from tpcfm.models.polar_mae.segmentation import SegmentationModel
from tpcfm.plan.run import Run
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.polar_mae.batches import GroupBatches
from tpcfm.systems.polar_mae.segmentation_task import CLASSES, PointwiseObjective, class_weights, labelled_rows
from tpcfm.systems.polar_mae.segmentation_training import train_segmentation
from tpcfm.systems.polar_mae.settings import SegmentationConfig
from tpcfm.tasks.support import load_encoder, pretrained_model_config
from tpcfm.workspace import Workspace


def run(run: Run, workspace: Workspace, *, max_seconds: float | None = None, device: str | None = None) -> None:
    """Train on the labelled events, keep the weights of the best validation macro F1, score them on the test split.

    Raises:
        ConfigError: more labels than events; `start: pretrained` without a pretrained run, or the other way round.
        Interrupted: stopped by a signal or the time limit; the same call continues.
    """
    block = run.block(SegmentationConfig)
    if (block.start == "pretrained") != (run.pretrained is not None):
        raise ConfigError(
            f"{run.id}: start is {block.start!r} but pretrained is {run.pretrained!r}; give both or neither"
        )
    store = PreparedStore(workspace.cache(run.cache))
    architecture = block.model
    if run.pretrained is not None:
        found = pretrained_model_config(workspace.run(run.pretrained), store)
        regularisation = {name: getattr(block.model, name) for name in ("drop_path", "attention_dropout")}
        architecture = found.model_copy(update=regularisation)

    torch.manual_seed(block.seed)
    model = SegmentationModel(
        architecture,
        len(CLASSES),
        frozen=block.mode == "peft",
        head_hidden=block.head_hidden,
        head_dropout=block.head_dropout,
    )
    if run.pretrained is not None:
        load_encoder(model.encoder, workspace.run(run.pretrained))
    rows = labelled_rows(store, block.n_labels, block.seed)
    weights = class_weights(store, rows, block.class_weights)
    objective = PointwiseObjective(weights, block.gamma)
    trained_depth = 0 if block.mode == "peft" else architecture.depth
    collate = GroupBatches(points=True, drop_path=architecture.drop_path, depth=trained_depth)
    train_segmentation(
        run,
        workspace,
        store,
        model,
        block,
        rows=rows,
        objective=objective,
        collate=collate,
        title=f"Semantic segmentation, {block.mode}",
        config={
            "architecture": "polar_mae_segmentation",
            "model": architecture.model_dump(mode="json"),
            "head_hidden": model.head.conv1.out_features,
            "class_weights": weights,
            "tokenizer": store.settings,
        },
        max_seconds=max_seconds,
        device=device,
    )
