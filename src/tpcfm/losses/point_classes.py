"""Cross-entropy of point classes, one term per task (arXiv 2508.14087, App. C.3)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from tpcfm.train.objective import StepInfo


class PointClasses:
    """Objective: mean cross-entropy over labelled points, summed over tasks with weights; negative labels are left out.

    Args:
        inputs: key of the batch that the model reads ("branches" or "features").
        weights: weight per task.
    """

    weights: Mapping[str, float]

    def __init__(self, inputs: str, weights: Mapping[str, float]) -> None:
        self.inputs, self.weights = inputs, dict(weights)

    def counts(self, batch: Mapping[str, npt.NDArray[Any]], info: "StepInfo") -> dict[str, float]:
        """Return the number of labelled points per task."""
        return {name: float((batch[name] >= 0).sum()) for name in self.weights}

    def sums(self, model: nn.Module, batch: Mapping[str, Tensor], info: "StepInfo") -> dict[str, Tensor]:
        """Return the summed cross-entropy per task."""
        logits = model(batch[self.inputs], batch["offsets"])
        return {
            name: F.cross_entropy(logits[name], batch[name].clamp(min=-1), reduction="sum", ignore_index=-1)
            for name in self.weights
        }
