"""Features of points before and after the linear map of an adapter, for pictures and for numbers beside them.

Before: the mix of the backbone's layers, normalised, as the linear map reads it. After: what the head works with. Without
an adapter (a backbone of its own, or one with random weights) the layers are mixed with equal weights.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from tpcfm.models.fm4npp.backbone import Fm4npp
from tpcfm.prepare.packing import Batch
from tpcfm.prepare.sequences.batches import collate_sequences
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.fm4npp.adapter import Adapter

Features = npt.NDArray[np.float32]


def event_batch(store: PreparedStore, rows: Sequence[int]) -> Batch:
    """Return events joined into a packed batch without targets."""
    return collate_sequences(store, np.asarray(rows, dtype=np.int64), 0)


@torch.no_grad()
def equal_mix(backbone: Fm4npp, batch: Batch) -> Features:
    """Return (N, D): the mean over the layers, normalised per point."""
    return _equal(_branches(backbone, batch)).numpy()


@torch.no_grad()
def around_linear_map(adapter: Adapter, batch: Batch) -> tuple[Features, Features]:
    """Return (N, D) and (N, W): features before and after the adapter's linear map."""
    seen: dict[str, Tensor] = {}

    def keep(module: torch.nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen["before"], seen["after"] = inputs[0], output

    entrance = adapter.head.input
    assert isinstance(entrance, torch.nn.Module)
    linear = entrance.linear
    assert isinstance(linear, torch.nn.Module)
    hook = linear.register_forward_hook(keep)
    try:
        features, offsets = torch.from_numpy(batch["features"]), torch.from_numpy(batch["offsets"])
        entrance(adapter.inputs(features, offsets))
    finally:
        hook.remove()
    return seen["before"].float().numpy(), seen["after"].float().numpy()


def _branches(backbone: Fm4npp, batch: Batch) -> Tensor:
    backbone.eval()
    return backbone.branches(torch.from_numpy(batch["features"]), torch.from_numpy(batch["offsets"])).float()


def _equal(branches: Tensor) -> Tensor:
    mixed = branches.mean(0)
    return F.layer_norm(mixed, mixed.shape[-1:])
