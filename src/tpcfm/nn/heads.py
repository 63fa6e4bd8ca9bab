"""Sizes of a Mamba mixer whose inner channels are divided into heads."""

from torch import nn


class HeadedMixer(nn.Module):
    """What the mixers with heads share: how wide they are inside, and into how many heads this is divided.

    Args:
        width: model width D.
        state: state size N.
        expand: inner width / width.
        head_size: channels per head P.

    Raises:
        ValueError: the inner width is no whole number of heads.
    """

    def __init__(self, width: int, state: int, expand: int, head_size: int) -> None:
        super().__init__()
        inner = expand * width
        if inner % head_size:
            raise ValueError(f"expand x width = {inner} is not a multiple of head_size = {head_size}")
        self.width, self.state, self.inner, self.head_size = width, state, inner, head_size
        self.heads = inner // head_size
