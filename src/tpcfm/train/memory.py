"""What a training step keeps in memory, counted: weights, gradients, optimiser, and what waits for the backward pass."""

from typing import Any

import torch
from torch import Tensor, nn

from tpcfm.losses.objective import Objective, StepInfo
from tpcfm.prepare.packing import Batch
from tpcfm.train.batches import to_device

STATES = 3  # numbers beside each trained weight: its gradient and the two moments of AdamW


def step_memory(
    model: nn.Module, objective: Objective, batch: Batch, info: StepInfo, device: torch.device, precision: str
) -> int:
    """Return the bytes of weights, of gradients and optimiser states of the trained ones, and of the tensors kept for the backward pass.

    A count, so the same on every machine and free of what else a process holds; workspaces of single operations, which live for moments,
    are left out. The model is as it was afterwards.

    Args:
        model: moved to the device.
        objective: its loss.
        batch: one micro-batch, NumPy arrays.
        info: of a training step.
        device: where to run.
        precision: of the training, ``float32`` or ``bfloat16``.
    """
    model.to(device)
    was, buffers = model.training, {name: value.clone() for name, value in model.named_buffers()}
    tensors: Any = to_device(batch, device)
    held = [*model.parameters(), *model.buffers(), *(v for v in tensors.values() if isinstance(v, Tensor))]
    known = {tensor.untyped_storage().data_ptr() for tensor in held}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    model.train()
    with (
        torch.random.fork_rng([device] if device.type == "cuda" else []),
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"),
    ):
        losses = objective.sums(model, tensors, info)
    del losses
    model.train(was)
    for name, value in model.named_buffers():  # running means of a batch norm
        value.copy_(buffers[name])
    weights = sum(p.nbytes for p in model.parameters())
    trained = sum(p.nbytes for p in model.parameters() if p.requires_grad)
    return weights + STATES * trained + sum(kept.values())
