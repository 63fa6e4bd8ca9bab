"""Learning rate of a step: linear warm-up, then a cosine, both per optimiser step."""

import math
from collections.abc import Iterable
from typing import Any

from tpcfm.config.training import TrainConfig


def rate_factor(step: int, config: TrainConfig) -> float:
    """Return learning rate / peak at a step (the rate with which step number ``step``, from 0, updates the weights).

    Step 0 has ``initial_fraction``; step ``warmup_steps`` has 1; the last step, ``steps - 1``, has
    ``final_fraction``. Without warm-up the cosine starts at 1. With the settings of arXiv 2502.02558 (Appendix,
    pretraining: peak 1e-4, 12,500 warm-up steps from 8.6e-6, final 8.6e-6): 8.6e-6 at step 0, 1e-4 at step 12,500,
        8.6e-6 at the end.
    """
    if step < config.warmup_steps:
        return config.initial_fraction + (1 - config.initial_fraction) * step / config.warmup_steps
    span = max(config.steps - 1 - config.warmup_steps, 1)
    progress = min((step - config.warmup_steps) / span, 1.0)
    return config.final_fraction + (1 - config.final_fraction) * 0.5 * (1 + math.cos(math.pi * progress))


def set_rates(groups: Iterable[dict[str, Any]], step: int, config: TrainConfig) -> float:
    """Write the rates of a step into optimiser groups, each times its ``lr_scale``; return the unscaled rate."""
    rate = config.learning_rate * rate_factor(step, config)
    for group in groups:
        group["lr"] = rate * group["lr_scale"]
    return rate
