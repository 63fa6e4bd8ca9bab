"""Low-rank adaptation of linear maps: a trained product of two narrow matrices beside a frozen weight (LoRA, arXiv 2106.09685)."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

MAPS = frozenset({"qkv", "proj", "in_proj", "out_proj", "lin_B", "lin_C", "B_proj", "C_proj", "x_proj"})
"""Names of the maps that get one: into and out of attention (`PackedAttention`) and of the Mamba mixers, B and C among them."""


class LowRank(nn.Module):
    """The change of one weight (O, I): ``alpha / rank`` times ``up`` (O, R) times ``down`` (R, I).

    ``up`` starts at zero, so nothing is changed at first (Sec. 4.1). A parametrization: whoever reads the weight, a compiled kernel too, reads
    the changed one.

    Args:
        weight: the frozen weight.
        rank: R; a map with fewer rows or columns takes these, since more cannot help.
        alpha: size of the change; the learning rate then need not follow the rank.
    """

    def __init__(self, weight: Tensor, rank: int, alpha: float) -> None:
        super().__init__()
        rows, columns = weight.shape
        rank = min(rank, rows, columns)
        self.scale = alpha / rank
        self.down = nn.Parameter(nn.init.kaiming_uniform_(weight.new_empty(rank, columns), a=math.sqrt(5)))
        self.up = nn.Parameter(weight.new_zeros(rows, rank))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the changed weight, in float32 under autocast too: small changes would be lost in the rounding of large weights."""
        with torch.autocast(weight.device.type, enabled=False):
            return torch.addmm(weight, self.up, self.down, alpha=self.scale)


def add_low_rank(module: nn.Module, rank: int, alpha: float) -> None:
    """Give every map of a module that is named in `MAPS` a change of low rank, in place; its own weight is frozen.

    Raises:
        ValueError: there is no such map.
    """
    found = [m for name, m in module.named_modules() if name.rpartition(".")[2] in MAPS and isinstance(m, nn.Linear)]
    if not found:
        raise ValueError(f"{type(module).__name__} has no linear map named {', '.join(sorted(MAPS))}")
    for linear in found:
        linear.weight.requires_grad_(False)
        parametrize.register_parametrization(linear, "weight", LowRank(linear.weight, rank, alpha))


def merge_low_rank(module: nn.Module) -> None:
    """Add all changes of low rank to their weights, in place: the same network without them, with the names that it had before."""
    for linear in list(_changed(module)):
        parametrize.remove_parametrizations(linear, "weight", leave_parametrized=True)


def _changed(module: nn.Module) -> Iterator[nn.Module]:
    for part in module.modules():
        if parametrize.is_parametrized(part, "weight"):
            yield part
