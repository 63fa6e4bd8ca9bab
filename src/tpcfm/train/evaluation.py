"""An objective's exact means over a fixed set."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from tpcfm.errors import DataError
from tpcfm.losses.objective import Batch, Objective, StepInfo, term_names
from tpcfm.train.batches import to_device


def evaluate_objective(
    model: nn.Module,
    objective: Objective,
    batches: Iterable[Batch | tuple[StepInfo, Batch]],
    device: torch.device | str,
    *,
    seed: int = 0,
    precision: str = "float32",
) -> dict[str, float]:
    """Return ``loss`` and every term, each the exact mean over all batches however they are cut.

    Args:
        model: put into evaluation mode, without gradients, and put back afterwards.
        objective: the loss.
        batches: packed batches, with or without their ``StepInfo`` (default: step 0, epoch 0, not training, so that
            keyed draws are the same in every evaluation).
        device: where to compute.
        seed: seed of the default ``StepInfo``.
        precision: "bfloat16" evaluates under autocast, as training does.

    Raises:
        DataError: no batches, or no term has a count.
    """
    device = torch.device(device)
    names = term_names(objective)
    sums = dict.fromkeys(names, 0.0)
    counts = dict.fromkeys(names, 0.0)
    plain = StepInfo(step=0, epoch=0, seed=seed, training=False)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            for item in batches:
                info, batch = item if isinstance(item, tuple) else (plain, item)
                for name, value in objective.counts(batch, info).items():
                    counts[name] += float(value)
                for name, part in objective.sums(model, to_device(batch, device), info).items():
                    sums[name] += float(part)
    finally:
        model.train(was_training)
    if not any(counts.values()):
        raise DataError(
            "evaluation: nothing to average: no batches, or no event has a target (next neighbours: no point lies further out"
            " than another; see targets.candidates)"
        )
    terms = {name: sums[name] / counts[name] for name in names if counts[name]}
    return {"loss": weighted(objective, terms), **terms}


def weighted(objective: Objective, terms: dict[str, Any]) -> Any:
    """Return the loss of the given mean terms: their sum, each times its weight."""
    return sum(objective.weights[name] * value for name, value in terms.items())
