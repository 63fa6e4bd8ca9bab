"""Coordinate check of the parameterization: do activations and their updates keep their size as the width grows?

(Tensor Programs V, arXiv 2203.03466, App. D; for FM4NPP arXiv 2508.14087, App. B.6.) A model of each width takes the same few
steps on the same batch; what is recorded per part is the root mean square of its output and of the change of that output
since the start.
"""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn

from tpcfm.config.training import TrainConfig
from tpcfm.evaluate.table import write_metrics
from tpcfm.files import atomic, write_json
from tpcfm.losses.next_neighbours import NextNeighbours
from tpcfm.models.fm4npp.backbone import Fm4npp, slots_of
from tpcfm.models.fm4npp.settings import Fm4nppModel
from tpcfm.plan.run import Run
from tpcfm.prepare.sequences.batches import collate_sequences
from tpcfm.prepare.sequences.settings import TargetConfig
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.fm4npp.study_settings import CoordinateCheck
from tpcfm.tasks.support import choose_device, events_of, metric_rows, run_record, spread
from tpcfm.train import StepInfo, to_device
from tpcfm.train.optimizer import make_optimizer
from tpcfm.train.provenance import provenance
from tpcfm.workspace import Workspace

Batch = Mapping[str, npt.NDArray[Any]]
QUANTITIES = ("activation", "update")


def run(run: Run, workspace: Workspace, *, max_seconds: float | None = None, device: str | None = None) -> None:
    """Check one parameterization on a few training events; write the sizes and their exponents in the width.

    ``sizes.parquet`` of the run folder holds every size (rows of :func:`coordinate_check`); the metrics table holds, per part of
    the network (``class``), ``activation_slope`` and ``update_slope`` after the last step: 0 is flat over the widths.
    ``max_seconds`` is accepted as in every recipe; a check has no state to stop in.

    Raises:
        DataError: the cache is missing or damaged.
    """
    started = time.perf_counter()
    block = run.block(CoordinateCheck)
    store = PreparedStore(workspace.cache(run.cache))
    targets = block.targets
    k = targets.k if targets.objective == "next_neighbours" else 0
    rows = spread(events_of(store, "train"), block.events)
    sizes = coordinate_check(
        collate_sequences(store, rows, k, candidates=targets.candidates, wrap=targets.wrap),
        targets,
        block.widths,
        block.model.parameterization,
        steps=block.steps,
        learning_rate=block.learning_rate,
        model=block.model,
        seeds=block.seeds,
        device=device,
    )
    folder: Path = workspace.run(run.id)
    with atomic(folder / "sizes.parquet") as temporary:
        pd.DataFrame(sizes).assign(parameterization=block.model.parameterization).to_parquet(temporary, index=False)
    exponents = [
        row
        for quantity in QUANTITIES
        for part, value in slopes(sizes, quantity).items()
        for row in metric_rows(run, {f"{quantity}_slope": value}, task=run.task, split="train", name=part)
    ]
    write_json(folder / "run.json", {**provenance(), **run_record(run, store, time.perf_counter() - started)})
    write_metrics(folder / "metrics.parquet", exponents)


def coordinate_check(
    batch: Batch,
    targets: TargetConfig,
    widths: Iterable[int],
    parameterization: str,
    *,
    steps: int = 3,
    learning_rate: float = 1e-3,
    model: Fm4nppModel | None = None,
    seeds: Iterable[int] = (0,),
    device: str | None = None,
) -> list[dict[str, Any]]:
    """Train a model of each width for a few steps and return the sizes of activations and updates.

    Args:
        batch: packed sequences with ``features``, ``offsets`` and what the targets need.
        targets: what is predicted.
        widths: backbone widths.
        parameterization: "mup" or "standard".
        steps: optimiser steps.
        learning_rate: base rate, constant.
        model: everything of the architecture but width, dropout (none) and parameterization.
        seeds: of the initial weights; sizes are means over them.
        device: where to train; default CUDA if there is one.

    Returns:
        Rows ``width``, ``step`` (0 before the first), ``part`` ("branch 1" ..., "state in" and "state out" where the mixer has a map of
        its own to B and C, "prediction"), ``activation``, ``update``.
    """
    rows = []
    base, where = (model or Fm4nppModel()).model_dump(), choose_device(device)
    for width in widths:
        changed = {"width": width, "dropout": 0.0, "parameterization": parameterization}
        config = Fm4nppModel.model_validate({**base, **changed})
        runs = [_one(batch, targets, config, steps, learning_rate, seed, where) for seed in seeds]
        for step in range(steps + 1):
            for part in runs[0][step]:
                activation, update = np.mean([run[step][part] for run in runs], axis=0)
                rows.append({"width": width, "step": step, "part": part, "activation": activation, "update": update})
    return rows


def _one(
    batch: Batch,
    targets: TargetConfig,
    config: Fm4nppModel,
    steps: int,
    learning_rate: float,
    seed: int,
    device: torch.device,
) -> list[dict[str, tuple[float, float]]]:
    torch.manual_seed(seed)
    model = Fm4npp(config, slots_of(targets)).to(device)
    train = TrainConfig(steps=steps + 1, batch_size=1, learning_rate=learning_rate, weight_decay=0.0, betas=(0.9, 0.95))
    optimizer = make_optimizer(model, train, model.parameter_groups(0.0))
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group["lr_scale"]
    tensors = to_device({name: np.array(values) for name, values in batch.items() if name != "event_key"}, device)
    objective = NextNeighbours(targets)
    count = objective.counts(batch, StepInfo(0, 0, seed, True))["squared_distance"]
    start = _activations(model, tensors)
    out = [{part: (_rms(value), 0.0) for part, value in start.items()}]
    for step in range(steps):
        loss = objective.sums(model, tensors, StepInfo(step, 0, seed, True))["squared_distance"] / count
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        now = _activations(model, tensors)
        out.append({part: (_rms(value), _rms(value - start[part])) for part, value in now.items()})
    return out


@torch.no_grad()
def _activations(model: Fm4npp, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return outputs of the residual branches, of the maps to B and C in the middle block, and the predictions."""
    found: dict[str, Tensor] = {}
    middle: Any = model.blocks[len(model.blocks) // 2]
    names = {"state in": getattr(middle.mixer, "lin_B", None), "state out": getattr(middle.mixer, "lin_C", None)}
    n = len(tensors["features"])

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], _: Any) -> None:
        found["block input"] = inputs[0][:n].clone()

    hook = middle.mixer.register_forward_hook(keep)
    branches = model.branches(tensors["features"], tensors["offsets"])
    hook.remove()
    inputs = found.pop("block input")
    parts = {f"branch {i + 1}": branch for i, branch in enumerate(branches)}
    parts |= {name: linear(inputs) for name, linear in names.items() if linear is not None}
    return {**parts, "prediction": model(tensors["features"], tensors["offsets"])}


def _rms(value: Tensor) -> float:
    return float(value.double().square().mean().sqrt())


def slopes(rows: Iterable[Mapping[str, Any]], quantity: str = "update", step: int = -1) -> dict[str, float]:
    """Return per part the exponent of a quantity in the width (least squares on logarithms); 0 means flat."""
    rows = list(rows)
    last = max(row["step"] for row in rows) if step < 0 else step
    out = {}
    for part in dict.fromkeys(row["part"] for row in rows):
        chosen = [row for row in rows if row["part"] == part and row["step"] == last and row[quantity] > 0]
        if len(chosen) > 1:
            widths, values = np.log([row["width"] for row in chosen]), np.log([row[quantity] for row in chosen])
            out[part] = float(np.polyfit(widths, values, 1)[0])
    return out
