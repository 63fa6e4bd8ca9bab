"""What the configuration asks of a model before its first step."""

import logging

import torch
from torch import nn

from tpcfm.config.training import TrainConfig
from tpcfm.errors import ConfigError
from tpcfm.plan.work import USABLE
from tpcfm.train.batchnorm import has_batch_norm, synchronise
from tpcfm.train.distributed import Ranks
from tpcfm.train.source import PackedSource

LOG = logging.getLogger(__name__)


def set_up(model: nn.Module, config: TrainConfig, ranks: Ranks, source: PackedSource) -> None:
    """Move a model to its device, in training mode; switch on what is asked for.

    ``compile`` replaces ``model(...)`` in place, so names of weights stay. Batch statistics are shared between ranks, which needs
    equally many micro-batches on all of them.

    Raises:
        ConfigError: activation checkpointing is asked for, and the model does not offer ``set_activation_checkpointing``.
    """
    model.to(ranks.device)
    if config.activation_checkpointing == "auto":
        recompute_what_does_not_fit(model, config.precision, ranks.device)
    elif config.activation_checkpointing:
        switch = getattr(model, "set_activation_checkpointing", None)
        if not callable(switch):
            name = type(model).__name__
            raise ConfigError(f"train.activation_checkpointing: true, but {name} does not offer it; set it to false")
        switch(True)
    model.train()
    if ranks.world > 1 and has_batch_norm(model):
        synchronise(model)
        source.even = True
    if config.compile:
        model.compile(dynamic=True)


def recompute_what_does_not_fit(model: nn.Module, precision: str, device: torch.device) -> None:
    """Let micro-batches that would not fit the GPU recompute their activations, of a model that can tell (``points_that_fit``)."""
    fit = getattr(model, "points_that_fit", None)
    if callable(fit) and device.type == "cuda":
        points = fit(USABLE * torch.cuda.get_device_properties(device).total_memory, precision)
        model.set_activation_checkpointing(True, above=points)  # type: ignore[operator]
        LOG.info("micro-batches of more than %d points recompute their activations", points)
