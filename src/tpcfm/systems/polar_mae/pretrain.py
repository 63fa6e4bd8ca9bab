"""Masked pretraining of PoLAr-MAE or Point-MAE on a groups cache (arXiv 2502.02558, Sec. 3)."""

import logging

import numpy as np
import torch

from tpcfm.detectors.model import Detector
from tpcfm.evaluate.table import write_metrics
from tpcfm.models.polar_mae.autoencoder import make_masked_autoencoder
from tpcfm.models.polar_mae.point_mae import PointMAE
from tpcfm.plan.run import Run
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.polar_mae.batches import GroupBatches
from tpcfm.systems.polar_mae.objective import MaskedObjective
from tpcfm.systems.polar_mae.probe_curve import curve_rows, make_probe_curve
from tpcfm.systems.polar_mae.reconstruction import write_reconstructions
from tpcfm.systems.polar_mae.settings import MaskedPretraining
from tpcfm.systems.polar_mae.support import ARCHITECTURES, METHOD
from tpcfm.tasks.support import (
    evaluation_batches,
    events_of,
    identity,
    metric_rows,
    model_card,
    packed_source,
    run_columns,
    run_record,
    spread,
    start_weights,
)
from tpcfm.train import evaluate_objective, fit, save_model
from tpcfm.workspace import Workspace

VALIDATION_EVENTS = 256
PICTURED_EVENTS = 4
# Parts that change with the points per group, or belong to the energy task: new where another run has them otherwise.
RENEWED = ("points_head.", "energy_head.", "position_embedding.")
LOG = logging.getLogger(__name__)


def run(run: Run, workspace: Workspace, *, max_seconds: float | None = None, device: str | None = None) -> None:
    """Train, resuming from the run's state if there is any, and write the model directory and its metrics.

    Begins with the weights of another pretraining if the run names one (``pretrained``), also of another detector: coordinates
    are those of the unit sphere, positions within a group in units of its radius. Needs no labels.

    Raises:
        DataError: the cache is missing, damaged or has no training or validation events.
        CheckpointError: the weights to start from are not there or do not fit.
        Interrupted: stopped by a signal or the time limit; the same call continues.
    """
    block = run.block(MaskedPretraining)
    store = PreparedStore(workspace.cache(run.cache))
    slots = int(store.settings["max_points"])
    kind, note = architecture_for(block.objective, store.detector)

    torch.manual_seed(block.seed)
    model = make_masked_autoencoder(kind, block.model, slots)
    if run.pretrained is not None:
        start_weights(model, workspace.run(run.pretrained), ARCHITECTURES, RENEWED)
        note += f" Begun with the weights of `{run.pretrained}`."
    objective = MaskedObjective(
        kind == "polar_mae", block.autoencode_weight, positions_only=block.chamfer == "position"
    )
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
    probe = make_probe_curve(store, block.probe_events)

    def losses(network: PointMAE) -> dict[str, float]:
        batches = evaluation_batches(store, held_out, collate, block.train.max_points, block.seed)
        where = next(network.parameters()).device
        return evaluate_objective(network, objective, batches, where, precision=block.train.precision)

    def validate(network: torch.nn.Module, step: int) -> dict[str, float]:
        assert isinstance(network, PointMAE)
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
    values = final | {f"best_{name}": value for name, value in best.items()}
    rows = metric_rows(run, values, task="pretrain", split="validation")
    judged = curve_rows(result.history, probe.classes if probe else [])
    common = {**run_columns(run), "task": "probe_curve", "split": "validation", "seed": run.seed}
    rows += [{**common, **row} for row in judged]
    folder = workspace.run(run.id)
    save_model(
        folder,
        model,
        config={
            "architecture": kind,
            "model": block.model.model_dump(mode="json"),
            "slots": slots,
            "tokenizer": store.settings,
            "detector": store.detector.model_dump(mode="json", exclude_defaults=True),
        },
        card=model_card(
            f"{'PoLAr-MAE' if kind == 'polar_mae' else 'Point-MAE'}, pretrained",
            run,
            store,
            model,
            {f"validation {name}": value for name, value in final.items()},
            METHOD + note,
        ),
        run=run_record(run, store, result.seconds),
        history=result.history,
    )
    pictured = spread(events_of(store, "validation"), PICTURED_EVENTS)
    write_reconstructions(folder / "reconstruction.parquet", model, store, pictured, collate, block.seed)
    write_metrics(folder / "metrics.parquet", rows)


def architecture_for(objective: str, detector: Detector) -> tuple[str, str]:
    """Return the architecture that an objective asks for on a detector, and what the card says about it.

    Without a signal there is nothing for the energy task to predict: what is trained is Point-MAE, its fourth input zero.
    """
    if objective == "point_mae" or detector.main_signal is not None:
        return objective, ""
    note = f"The detector {detector.name} has no signal: trained without the energy task, positions alone."
    LOG.warning(note)
    return "point_mae", f" {note}"
