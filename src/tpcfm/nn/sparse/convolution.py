"""The layer of sparse convolution: plain torch, or ``spconv`` where it may be used."""

import torch
from torch import Tensor, nn

from tpcfm.nn.sparse.backend import sparse_backend, spconv_product
from tpcfm.nn.sparse.pairs import Pairs, gather_product


class SparseConv(nn.Module):
    """Convolution over pairs of voxels, without bias.

    Args:
        inputs, outputs: channels.
        offsets: kernel offsets: 27 for 3×3×3 (x slowest, z fastest, each from −1 to 1; an offset points from the output
            voxel to the input voxel), 8 for 2×2×2.
    """

    def __init__(self, inputs: int, outputs: int, offsets: int = 27) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(offsets, inputs, outputs))
        # Few of the offsets have a voxel in a track or shower; about four on average keeps the variance.
        nn.init.normal_(self.weight, std=(2 / (inputs * (4 if offsets == 27 else 1))) ** 0.5)

    def forward(self, x: Tensor, pairs: Pairs) -> Tensor:
        """Map features ``(V_in, inputs)`` to ``(V_out, outputs)``."""
        fused = sparse_backend(x.device.type) == "spconv" and x.dtype in (torch.float32, torch.float16)
        product = spconv_product if fused and len(pairs.source) else gather_product
        return product(x, self.weight, pairs.source, pairs.target, pairs.counts, pairs.outputs)
