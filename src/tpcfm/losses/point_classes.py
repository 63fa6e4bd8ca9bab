"""Cross-entropy of point classes, one term per label (arXiv 2508.14087, App. C.3)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from tpcfm.losses.objective import StepInfo


class PointClasses:
    """Objective: mean cross-entropy over labelled points, summed over labels with weights; negative labels are left out.

    Args:
        inputs: key of the batch that the model reads ("branches" or "features") beside ``offsets``; None: the whole batch.
        weights: weight per label.
        class_weights: weight of every class of a label, where classes do not count alike.

    A model may answer (N, C) logits per label, or (L, N, C): several answers, whose mean loss is taken.
    """

    weights: Mapping[str, float]

    def __init__(
        self, inputs: str | None, weights: Mapping[str, float], class_weights: Mapping[str, list[float]] | None = None
    ) -> None:
        self.inputs, self.weights = inputs, dict(weights)
        self.class_weights = {name: torch.tensor(found) for name, found in (class_weights or {}).items()}

    def counts(self, batch: Mapping[str, npt.NDArray[Any]], info: "StepInfo") -> dict[str, float]:
        """Return the number of labelled points per label."""
        return {name: float((batch[name] >= 0).sum()) for name in self.weights}

    def sums(self, model: nn.Module, batch: Mapping[str, Tensor], info: "StepInfo") -> dict[str, Tensor]:
        """Return the summed cross-entropy per label."""
        logits = model(batch) if self.inputs is None else model(batch[self.inputs], batch["offsets"])
        return {name: _cross_entropy(logits[name], batch[name], self.class_weights.get(name)) for name in self.weights}


def _cross_entropy(logits: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
    answers = logits if logits.dim() == 3 else logits[None]
    labels = labels.clamp(min=-1).expand(len(answers), -1)
    weight = None if weight is None else weight.to(logits.device)
    total = F.cross_entropy(answers.flatten(0, 1), labels.flatten(), weight, reduction="sum", ignore_index=-1)
    return total / len(answers)
