"""From NumPy batches to tensors."""

import numpy as np
import torch
from torch import Tensor

from tpcfm.losses.objective import Batch

HOST_KEYS = frozenset({"event_key"})
"""Stay on the host: they key random draws, and reading them back from a GPU would stall it."""


def to_device(batch: Batch, device: torch.device | str) -> dict[str, Tensor]:
    """Return a batch as tensors on a device; ``event_key`` (uint64) stays on the host.

    On the CPU the tensors share memory with writable arrays; read-only arrays (memory maps) are copied first.
    """
    device = torch.device(device)
    out = {}
    for key, array in batch.items():
        array = np.ascontiguousarray(array)
        tensor = torch.from_numpy(array if array.flags.writeable else array.copy())
        if device.type == "cuda" and key not in HOST_KEYS:
            tensor = tensor.pin_memory().to(device, non_blocking=True)
        elif key not in HOST_KEYS:
            tensor = tensor.to(device)
        out[key] = tensor
    return out
