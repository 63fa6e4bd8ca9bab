"""Which weights of a backbone are trained with a head: none, those of the last blocks, low-rank changes, or all."""

from collections.abc import Sequence

from torch import nn

from tpcfm.models.tuning.settings import Tuning, Way
from tpcfm.nn.low_rank import add_low_rank


def choose_trained(backbone: nn.Module, blocks: nn.ModuleList, way: Way, tuning: Tuning) -> None:
    """Leave gradients to the weights that are trained, in place.

    Args:
        backbone: with its pretrained weights; what is frozen in it already stays so.
        blocks: its blocks, in order.
        way: see `tpcfm.models.tuning.settings.WAYS`; ``last`` of more blocks than there are takes all blocks.
        tuning: sizes.
    """
    if way == "full":
        return
    wanted = [p for block in list(blocks)[-tuning.blocks :] for p in block.parameters() if p.requires_grad]
    backbone.requires_grad_(False)
    if way == "last":
        for parameter in wanted:
            parameter.requires_grad_(True)
    elif way == "lora":
        for block in blocks:
            add_low_rank(block, tuning.rank, tuning.alpha)


def still_blocks(blocks: Sequence[nn.Module] | nn.ModuleList) -> None:
    """Keep blocks without trained weights in evaluation mode: no dropout, no stochastic depth in what does not learn."""
    for block in blocks:
        if not any(p.requires_grad for p in block.parameters()):
            block.eval()
