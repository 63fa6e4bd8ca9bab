"""Next-neighbour pretraining of FM4NPP on a sequences cache (arXiv 2508.14087, Sec. 3 and 4)."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from torch import nn

from tpcfm.evaluate.table import write_metrics
from tpcfm.events.splits import data_fraction
from tpcfm.losses.next_neighbours import (
    DifficultyWeights,
    NextNeighbours,
    event_difficulty,
    naive_floors,
    targets_in_view,
)
from tpcfm.models.fm4npp.backbone import slots_of
from tpcfm.models.fm4npp.flops import training_flops
from tpcfm.plan.run import Run
from tpcfm.prepare.packing import Batch
from tpcfm.prepare.sequences.batches import collate_sequences
from tpcfm.prepare.sequences.settings import TargetConfig
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.fm4npp.difficulty import error_by_difficulty
from tpcfm.systems.fm4npp.settings import NeighbourPretraining
from tpcfm.systems.fm4npp.support import ARCHITECTURE, METHOD, backbone_config, new_backbone
from tpcfm.tasks.support import (
    Collate,
    evaluation_batches,
    events_of,
    identity,
    metric_rows,
    model_card,
    packed_source,
    run_record,
    spread,
    start_weights,
)
from tpcfm.train import StepInfo, evaluate_objective, fit, save_model
from tpcfm.workspace import Workspace

Rows = npt.NDArray[np.int64]
DIFFICULTY_EVENTS = 2000


def run(run: Run, workspace: Workspace, *, max_seconds: float | None = None, device: str | None = None) -> None:
    """Train, resuming from the run's state if there is any, and write the model directory and its metrics.

    A run with ``pretrained`` begins from the weights of that run, perhaps on another detector; where their shapes differ, embedding
    and head stay new.

    Raises:
        CheckpointError: the weights to begin from do not fit.
        DataError: the cache is missing, damaged or has no training or validation events.
        Interrupted: stopped by a signal or the time limit; the same call continues.
    """
    block = run.block(NeighbourPretraining)
    train, targets = block.train, block.targets
    store = PreparedStore(workspace.cache(run.cache))
    training = events_of(store, "train")
    if block.data_fraction < 1:
        training = training[data_fraction(store.event_ids(training), block.data_fraction)]
    held_out = spread(events_of(store, "validation"), block.validation_events)

    def collate(store: PreparedStore, rows: Rows, info: StepInfo) -> Batch:
        k = targets.k if targets.objective == "next_neighbours" else 0
        return collate_sequences(store, rows, k, candidates=targets.candidates, wrap=targets.wrap)

    def held_out_batches() -> Iterator[tuple[StepInfo, Batch]]:
        return evaluation_batches(store, held_out, collate, train.max_points, block.seed)

    model = new_backbone(block.model, targets, block.seed)
    if run.pretrained is not None:
        start_weights(model, workspace.run(run.pretrained), [ARCHITECTURE], ["embedding.", "head."])
    objective = NextNeighbours(targets, _difficulty(store, spread(training, DIFFICULTY_EVENTS), collate, block))
    source = packed_source(store, training, collate, train, block.seed)

    def validate(network: nn.Module, step: int) -> dict[str, float]:
        where = next(network.parameters()).device
        return evaluate_objective(network, objective, held_out_batches(), where, precision=train.precision)

    result = fit(
        model,
        objective,
        source,
        train,
        state=workspace.state(run.id),
        identity=identity(run, store, workspace),
        seed=block.seed,
        validate=validate,
        keep="last",
        parameter_groups=model.parameter_groups(train.weight_decay),
        max_seconds=max_seconds,
        device=device,
    )

    where = next(model.parameters()).device
    by_difficulty = error_by_difficulty(model, targets, (b for _, b in held_out_batches()), where, train.precision)
    points = sum(int(store.lengths[source.step_rows(step)].sum()) for step in range(result.steps))
    values = {
        "validation_loss": validate(model, result.steps)["loss"],
        **naive_floors((batch for _, batch in held_out_batches()), targets),
        "targets_in_view": targets_in_view((batch for _, batch in held_out_batches()), targets, block.model.causal),
        "parameters": float(sum(p.numel() for p in model.parameters() if p.requires_grad)),
        "points_seen": float(points),
        "flops": training_flops(block.model, points, slots_of(targets)),
    }
    folder = workspace.run(run.id)
    save_model(
        folder,
        model,
        config=backbone_config(block.model, targets, store),
        card=model_card("FM4NPP backbone, pretrained", run, store, model, values, f"{METHOD} {_what(targets)}"),
        run=run_record(run, store, result.seconds),
        history=result.history,
    )
    rows = metric_rows(run, values, task="pretrain", split="validation")
    for name, value in by_difficulty.items():
        rows += metric_rows(run, {"error_of_difficulty": value}, task="pretrain", split="validation", name=name)
    write_metrics(folder / "metrics.parquet", rows)


def _difficulty(
    store: PreparedStore, rows: Rows, collate: Collate, block: NeighbourPretraining
) -> DifficultyWeights | None:
    """Return the event weights of the training loss, fitted on training events, if it is to be rescaled."""
    if block.targets.rescale == "none":
        return None
    batches = evaluation_batches(store, rows, collate, block.train.max_points, block.seed)
    difficulty = np.concatenate([event_difficulty(batch, block.targets) for _, batch in batches])
    return DifficultyWeights.fit(difficulty, inverse=block.targets.rescale == "inverse_difficulty")


def _what(targets: TargetConfig) -> str:
    if targets.objective == "next_token":
        return "It predicts the coordinates of the next point of the sequence."
    return f"It predicts the coordinates of {targets.k} next neighbours ({targets.candidates}) at every point."
