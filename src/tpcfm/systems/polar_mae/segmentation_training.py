"""Training, scoring and writing of a segmentation network: the same for the token encoder and the sparse U-Net."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from tpcfm.evaluate.table import write_metrics
from tpcfm.plan.run import Run
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.polar_mae.segmentation_task import CLASSES, PointwiseObjective, SegmentationTask
from tpcfm.systems.polar_mae.settings import SegmentationConfig, SparseUNetConfig
from tpcfm.tasks.support import Collate, Rows, identity, model_card, packed_source
from tpcfm.train import fit, save_model
from tpcfm.workspace import Workspace


def train_segmentation(
    run: Run,
    workspace: Workspace,
    store: PreparedStore,
    model: nn.Module,
    block: SegmentationConfig | SparseUNetConfig,
    *,
    rows: Rows,
    objective: PointwiseObjective,
    collate: Collate,
    title: str,
    config: Mapping[str, Any],
    max_seconds: float | None,
    device: str | None,
) -> None:
    """Train, keep the weights of the best validation macro F1, score them on the test split, write everything.

    Args:
        run, workspace, max_seconds, device: as the recipe got them.
        store: groups cache.
        model: maps a batch to logits (N, C).
        block: settings of the run.
        rows: labelled training events.
        objective: the loss.
        collate: makes a batch of some events.
        title: of the model card.
        config: what it takes to build the model again; classes and detector are added.

    Raises:
        Interrupted: stopped by a signal or the time limit; the same call continues.
    """
    train = block.train
    source = packed_source(store, rows, collate, train, block.seed)
    task = SegmentationTask(
        store, collate, objective, max_points=train.max_points, seed=block.seed, precision=train.precision
    )
    result = fit(
        model,
        objective,
        source,
        train,
        state=workspace.state(run.id),
        identity=identity(run, store, workspace),
        seed=block.seed,
        validate=task.validate,
        monitor="-f1",
        keep="best",
        max_seconds=max_seconds,
        device=device,
    )
    folder = workspace.run(run.id)
    table = task.score(model, run, folder, calibrate=block.calibrate)
    macro = {f"test {r['metric']}": r["value"] for r in table if r["class"] == "" and r["metric"].startswith("f1")}
    save_model(
        folder,
        model,
        config={**config, "classes": list(CLASSES), "detector": "pilarnet"},
        card=model_card(f"{title}, {block.n_labels} labelled events", run, store, model, macro),
        run={"run": run.model_dump(mode="json"), "seconds": result.seconds, "data": store.fingerprint},
        history=result.history,
    )
    write_metrics(folder / "metrics.parquet", table)
