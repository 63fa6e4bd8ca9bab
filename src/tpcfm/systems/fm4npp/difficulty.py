"""Error of a pretrained backbone on easy and hard events: what weighting the loss by difficulty trades."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import nn

from tpcfm.losses.next_neighbours import NextNeighbours, event_difficulty, event_sums, event_targets, target_weights
from tpcfm.prepare.packing import Batch
from tpcfm.prepare.sequences.settings import TargetConfig
from tpcfm.train import to_device

GROUPS = 4
"""Equally populated groups of validation events, ordered by difficulty."""


@torch.no_grad()
def error_by_difficulty(
    model: nn.Module, targets: TargetConfig, batches: Iterable[Batch], device: torch.device, precision: str = "float32"
) -> dict[str, float]:
    """Return the unweighted error of each group of events, from the easiest ("1") to the hardest.

    The difficulty of an event is the mean squared distance between its points and their targets; it depends on the events
    alone, so the groups are the same for every model with these targets.

    Args:
        model: backbone; evaluated without gradients.
        targets: what it predicts.
        batches: the fixed validation set.
        device: where the model lies.
        precision: "bfloat16" evaluates under autocast, as training does.

    Returns:
        The loss of each group (mean squared distance, averaged as in training); fewer groups where there are fewer events with targets.
    """
    objective = NextNeighbours(targets)
    difficulty, error, count = [], [], []
    was_training = model.training
    model.eval()
    for batch in batches:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            squared = objective.per_point(model, to_device(batch, device)).double().cpu().numpy()
        difficulty.append(event_difficulty(batch, targets))
        error.append(event_sums(batch, squared))
        count.append(event_targets(batch, targets))
    model.train(was_training)
    values, errors, counts = np.concatenate(difficulty), np.concatenate(error), np.concatenate(count)
    order = np.argsort(values, kind="stable")[: int(np.isfinite(values).sum())]  # NaN sorts last: no targets
    groups = np.array_split(order, min(GROUPS, len(order))) if len(order) else []
    weights = target_weights(counts, targets)
    return {str(i + 1): float(weights[r] @ errors[r] / (weights[r] @ counts[r])) for i, r in enumerate(groups)}
