"""Several processes as one trainer: what torchrun says, and the few exchanges the loop needs."""

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

_log = logging.getLogger("tpcfm.train")
_TIMEOUT = timedelta(hours=2)
_BUCKET = 1 << 24


@dataclass(frozen=True)
class Ranks:
    """Place of this process among those that train one model."""

    rank: int
    world: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """True on the one process that writes files."""
        return self.rank == 0

    def sum(self, values: Iterable[float]) -> list[float]:
        """Return the sums over ranks, exact in double precision and equal on all ranks."""
        values = list(values)
        if self.world == 1:
            return values
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor)
        return tensor.tolist()

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add the gradients of all ranks, in place, in flat buckets; a missing gradient counts as zero."""
        if self.world == 1:
            return
        bucket: list[Tensor] = []
        size = 0
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            if bucket and (size + parameter.grad.numel() > _BUCKET or parameter.grad.dtype != bucket[0].dtype):
                _sum_flat(bucket)
                bucket, size = [], 0
            bucket.append(parameter.grad)
            size += parameter.grad.numel()
        if bucket:
            _sum_flat(bucket)

    def from_main(self, value: Any) -> Any:
        """Return the value of rank 0 on every rank."""
        if self.world == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0, device=self.device)
        return box[0]

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all ranks, in order, on every rank."""
        if self.world == 1:
            return [value]
        out: list[Any] = [None] * self.world
        dist.all_gather_object(out, value)
        return out

    def share_model(self, model: nn.Module) -> None:
        """Copy the parameters and buffers of rank 0 to every rank."""
        if self.world > 1:
            for tensor in model.state_dict().values():
                dist.broadcast(tensor.data, src=0)


def _sum_flat(tensors: list[Tensor]) -> None:
    flat = torch.cat([t.reshape(-1) for t in tensors])
    dist.all_reduce(flat)
    offset = 0
    for t in tensors:
        t.copy_(flat[offset : offset + t.numel()].view_as(t))
        offset += t.numel()


def launched() -> bool:
    """Return whether a launcher described a process group: it sets all of torchrun's variables.

    Single ones, left over from another job or shell, would train on the first rank only, or write no model; they are
    ignored with a warning.
    """
    group = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    given = [name for name in group if os.environ.get(name)]
    if given and len(given) < len(group) and {"RANK", "WORLD_SIZE", "LOCAL_RANK"} & set(given):
        for name in given:
            _log.warning("%s=%s without the other variables of torchrun is ignored", name, os.environ.pop(name))
    return len(given) == len(group)


def join(device: torch.device | str | None = None) -> Ranks:
    """Join the process group that torchrun (or a test) has described, or return the single process.

    NCCL on CUDA, gloo on CPU. Without a device: the CUDA device of the local rank if there is one, else the CPU.
    """
    group = launched()
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if device is None:
        device = torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")
    device = torch.device(device)
    if device.type == "cuda":
        if device.index is None:
            device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    if not dist.is_initialized() and group and int(os.environ["WORLD_SIZE"]) > 1:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_TIMEOUT)
    if dist.is_initialized():
        return Ranks(dist.get_rank(), dist.get_world_size(), device)
    return Ranks(0, 1, device)


def is_main() -> bool:
    """Return whether this process is the one that writes files (also without torchrun)."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank() == 0
    return not launched() or os.environ["RANK"] == "0"
