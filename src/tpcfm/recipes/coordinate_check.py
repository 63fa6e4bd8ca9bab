"""Coordinate check of the parameterization: do activations and their updates keep their size as the width grows?

(Tensor Programs V, arXiv 2203.03466, App. D; for FM4NPP arXiv 2508.14087, Sec. 4.2.) A model of each width takes the same few
steps on the same batch; what is recorded per part is the root mean square of its output and of the change of that output
since the start.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tpcfm.config.fm4npp import Fm4nppModel, TargetConfig
from tpcfm.config.training import TrainConfig
from tpcfm.losses.next_neighbours import NextNeighbours
from tpcfm.models.fm4npp import Fm4npp, slots_of
from tpcfm.train import StepInfo
from tpcfm.train.optimizer import make_optimizer

Batch = Mapping[str, npt.NDArray[Any]]


def coordinate_check(
    batch: Batch,
    targets: TargetConfig,
    widths: Iterable[int],
    parameterization: str,
    *,
    steps: int = 3,
    learning_rate: float = 1e-3,
    depth: int = 12,
    seeds: Iterable[int] = (0,),
) -> list[dict[str, Any]]:
    """Train a model of each width for a few steps and return the sizes of activations and updates.

    Args:
        batch: packed sequences with ``features``, ``offsets`` and what the targets need.
        targets: what is predicted.
        widths: backbone widths.
        parameterization: "mup" or "standard".
        steps: optimiser steps.
        learning_rate: base rate, constant.
        depth: blocks.
        seeds: of the initial weights; sizes are means over them.

    Returns:
        Rows ``width``, ``step`` (0 before the first), ``part`` ("branch 1" ..., "state in", "state out", "prediction"),
        ``activation``, ``update``.
    """
    rows = []
    for width in widths:
        config = Fm4nppModel.model_validate(
            {"width": width, "depth": depth, "dropout": 0.0, "parameterization": parameterization}
        )
        runs = [_one(batch, targets, config, steps, learning_rate, seed) for seed in seeds]
        for step in range(steps + 1):
            for part in runs[0][step]:
                activation, update = np.mean([run[step][part] for run in runs], axis=0)
                rows.append({"width": width, "step": step, "part": part, "activation": activation, "update": update})
    return rows


def _one(
    batch: Batch, targets: TargetConfig, config: Fm4nppModel, steps: int, learning_rate: float, seed: int
) -> list[dict[str, tuple[float, float]]]:
    torch.manual_seed(seed)
    model = Fm4npp(config, slots_of(targets))
    train = TrainConfig(steps=steps + 1, batch_size=1, learning_rate=learning_rate, weight_decay=0.0, betas=(0.9, 0.95))
    optimizer = make_optimizer(model, train, model.parameter_groups(0.0))
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group["lr_scale"]
    tensors = {name: torch.from_numpy(np.array(values)) for name, values in batch.items() if name != "event_key"}
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
    names = {"state in": middle.mixer.lin_B, "state out": middle.mixer.lin_C}
    n = len(tensors["features"])

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], _: Any) -> None:
        found["block input"] = inputs[0][:n].clone()

    hook = middle.mixer.register_forward_hook(keep)
    branches = model.branches(tensors["features"], tensors["offsets"])
    hook.remove()
    inputs = found.pop("block input")
    parts = {f"branch {i + 1}": branch for i, branch in enumerate(branches)}
    parts |= {name: linear(inputs) for name, linear in names.items()}
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
