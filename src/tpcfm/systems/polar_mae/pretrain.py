"""Masked pretraining of PoLAr-MAE or Point-MAE on a groups cache (arXiv 2502.02558, Sec. 3)."""

import numpy as np
import torch

from tpcfm.evaluate.table import write_metrics
from tpcfm.models.polar_mae.autoencoder import make_masked_autoencoder
from tpcfm.models.polar_mae.point_mae import PointMAE
from tpcfm.plan.run import Run
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.polar_mae.batches import GroupBatches
from tpcfm.systems.polar_mae.early_weights import keep_early
from tpcfm.systems.polar_mae.objective import MaskedObjective
from tpcfm.systems.polar_mae.probe_curve import ProbeCurve, curve_rows
from tpcfm.systems.polar_mae.reconstruction import write_reconstructions
from tpcfm.systems.polar_mae.settings import MaskedPretraining
from tpcfm.tasks.support import (
    evaluation_batches,
    events_of,
    identity,
    model_card,
    packed_source,
    spread,
)
from tpcfm.train import evaluate_objective, fit, save_model
from tpcfm.workspace import Workspace

VALIDATION_EVENTS = 256
PICTURED_EVENTS = 4


def run(run: Run, workspace: Workspace, *, max_seconds: float | None = None, device: str | None = None) -> None:
    """Train, resuming from the run's state if there is any, and write the model directory and its metrics.

    Raises:
        DataError: the cache is missing, damaged or has no training or validation events.
        Interrupted: stopped by a signal or the time limit; the same call continues.
    """
    block = run.block(MaskedPretraining)
    store = PreparedStore(workspace.cache(run.cache))
    slots = int(store.settings["max_points"])

    torch.manual_seed(block.seed)
    model = make_masked_autoencoder(block.objective, block.model, slots)
    objective = MaskedObjective(block.objective == "polar_mae", block.autoencode_weight)
    collate = GroupBatches(
        mask_ratio=block.mask_ratio,
        masking=block.masking,
        drop_path=block.model.drop_path,
        depth=block.model.depth,
        decoder_depth=block.model.decoder_depth,
        diffusion=block.model.decoder == "diffusion",
    )
    source = packed_source(store, events_of(store, "train"), collate, block.train, block.seed)
    held_out = spread(events_of(store, "validation"), VALIDATION_EVENTS)

    probe = ProbeCurve(store, block.probe_events) if block.probe_events else None

    def losses(network: PointMAE) -> dict[str, float]:
        batches = evaluation_batches(store, held_out, collate, block.train.max_points, block.seed)
        where = next(network.parameters()).device
        return evaluate_objective(network, objective, batches, where, precision=block.train.precision)

    def validate(network: torch.nn.Module, step: int) -> dict[str, float]:
        assert isinstance(network, PointMAE)
        keep_early(network.encoder, workspace.run(run.id), step, block.train.steps)
        return losses(network) | (probe(network.encoder) if probe else {})

    result = fit(
        model,
        objective,
        source,
        block.train,
        state=workspace.state(run.id),
        identity=identity(run, store, workspace),
        seed=block.seed,
        validate=validate,
        monitor="loss",
        keep="last",
        max_seconds=max_seconds,
        device=device,
    )

    # The last weights are kept, as published; the best validation is reported beside them.
    final = losses(model)
    curve = [row for row in result.history if row["split"] == "validation"]
    best = {name: float(np.nanmin([row[name] for row in curve])) for name in final} if curve else final
    common = {"run": run.id, "family": run.family, "task": "pretrain", "split": "validation", "seed": block.seed}
    rows = [{**common, "metric": name, "value": value} for name, value in final.items()]
    rows += [{**common, "metric": f"best_{name}", "value": value} for name, value in best.items()]
    rows += [{**common, "task": "probe_curve", **row} for row in curve_rows(result.history, result.steps)]
    folder = workspace.run(run.id)
    save_model(
        folder,
        model,
        config={
            "architecture": block.objective,
            "model": block.model.model_dump(mode="json"),
            "slots": slots,
            "tokenizer": store.settings,
            "detector": "pilarnet",
        },
        card=model_card(
            f"{'PoLAr-MAE' if block.objective == 'polar_mae' else 'Point-MAE'}, pretrained",
            run,
            store,
            model,
            {f"validation {name}": value for name, value in final.items()},
        ),
        run={"run": run.model_dump(mode="json"), "seconds": result.seconds, "data": store.fingerprint},
        history=result.history,
    )
    pictured = spread(events_of(store, "validation"), PICTURED_EVENTS)
    write_reconstructions(folder / "reconstruction.parquet", model, store, pictured, collate, block.seed)
    write_metrics(folder / "metrics.parquet", rows)
