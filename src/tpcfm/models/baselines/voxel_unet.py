"""Voxel U-Net with query decoder: stands for OneFormer3D among the baselines of arXiv 2508.14087.

Written from descriptions in papers alone (OneFormer3D: arXiv 2311.14405; its use here: arXiv 2508.14087, App. C), semantic part only: a
sparse U-Net over 64 x 64 x 48 voxels in the network coordinates (eta, phi, r in a cylinder), and one learned query per class that reads
the voxels of the event and the other queries; a voxel's logit is its product with the query. It is not that system: no superpoints, no
instance queries, cross-entropy in place of one binary cross-entropy per mask, no pretrained weights. The published count is 44.95M.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tpcfm.models.baselines.settings import VoxelUNetConfig
from tpcfm.models.baselines.sparse_unet import SparseUNet
from tpcfm.nn.set_attention import Head
from tpcfm.nn.set_decoder import SOFT_MASK_FLOOR, DecoderLayer

INPUTS = 5  # energy, eta, cos phi, sin phi, layer: means over the points of a voxel


class VoxelUNet(nn.Module):
    """Sparse U-Net and class queries; points take the logits of their voxel.

    Args:
        task: name of the labels.
        classes: number of classes, which is the number of queries.
        config: sizes.
    """

    def __init__(self, task: str, classes: int, config: VoxelUNetConfig) -> None:
        super().__init__()
        width = config.width
        self.task = task
        self.unet = SparseUNet(width, INPUTS, filters=config.filters, depth=config.depth)
        self.norm = nn.LayerNorm(width)
        self.content = nn.Parameter(torch.randn(classes, width) * 0.02)
        self.place = nn.Parameter(torch.randn(classes, width) * 0.02)
        self.layers = nn.ModuleList(DecoderLayer(width, config.heads, 0.0) for _ in range(config.decoder_layers))
        self.masks = Head(width, width, 0.0)
        self.bias = nn.Parameter(torch.zeros(classes))

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return logits under the name of the task: (N, classes), in training (layers + 1, N, classes), the answer last.

        Args:
            batch: ``voxel`` (V, 3) int64, distinct within an event, grouped by event; ``voxel_event`` (V,);
                ``voxel_features`` (V, 5); ``point_voxel`` (N,) row of the voxel of each point; ``offsets`` (B+1,).
        """
        voxels = self.norm(self.unet.voxels(batch))
        events = len(batch["offsets"]) - 1
        lengths = torch.bincount(batch["voxel_event"], minlength=events).tolist()
        queries = self.content.expand(events, -1, -1)
        sets = [self._logits(queries, voxels, lengths)]
        for layer in self.layers:
            # Attention looks where the last answer sees the class; this steers and is not trained through.
            chances = sets[-1].detach().softmax(1).split(lengths)
            bias = [torch.log(chance.t() + SOFT_MASK_FLOOR) for chance in chances]
            queries = layer(queries, self.place, voxels, lengths, bias)
            sets.append(self._logits(queries, voxels, lengths))
        rows = batch["point_voxel"]
        return {self.task: torch.stack(sets)[:, rows] if self.training else sets[-1][rows]}

    def _logits(self, queries: Tensor, voxels: Tensor, lengths: list[int]) -> Tensor:
        """Return (V, classes): product of voxels and the queries of their event."""
        embedded = self.masks(queries) / voxels.shape[1] ** 0.5
        parts = [v @ q.t() for v, q in zip(voxels.split(lengths), embedded.unbind(), strict=True)]
        return torch.cat(parts).float() + self.bias
