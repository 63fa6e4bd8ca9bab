"""Cross-entropy of pairs of points: do they belong to one object?"""

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from tpcfm.losses.objective import Batch, StepInfo


class SameObject:
    """Mean over the pairs of a batch of the binary cross-entropy; points of no object (-1) belong to nobody.

    The model returns pairs (2, E) and logits (E,); the pairs are the ``edges`` of the batch.

    Args:
        label: key of the batch with the objects.
    """

    def __init__(self, label: str) -> None:
        self.weights: Mapping[str, float] = {"edges": 1.0}
        self.label = label

    def counts(self, batch: Batch, info: StepInfo) -> dict[str, float]:
        """Return the number of pairs."""
        return {"edges": float(batch["edges"].shape[1])}

    def sums(self, model: nn.Module, batch: dict[str, Tensor], info: StepInfo) -> dict[str, Tensor]:
        """Return the summed loss."""
        edges, logits = model(batch)
        owner = batch[self.label]
        same = (owner[edges[0]] == owner[edges[1]]) & (owner[edges[0]] >= 0)
        return {"edges": F.binary_cross_entropy_with_logits(logits.float(), same.float(), reduction="sum")}
