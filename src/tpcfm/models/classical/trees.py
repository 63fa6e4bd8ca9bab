"""Gradient-boosted trees as arrays: what scikit-learn has grown, kept without pickle and evaluated by a compiled loop."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from tpcfm.kernels import njit
from tpcfm.nn.padded import exporting

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

NEVER = -30.0  # logit of a class that was not among the labelled points


class TreeEnsemble(nn.Module):
    """Sum of trees; a node sends a point to the left if its feature is at most the threshold.

    Args:
        nodes, trees: numbers, over all trees.
        scores: raw scores per point: one per class that was learned, or one for two.
        classes: of the label; the score of one that was not learned is `NEVER`.
    """

    learned: Tensor
    value: Tensor
    root: Tensor
    base: Tensor
    feature: Tensor
    left: Tensor
    right: Tensor
    threshold: Tensor

    def __init__(self, nodes: int, trees: int, scores: int, classes: int) -> None:
        super().__init__()
        self.classes, self.levels = classes, 0
        self.register_buffer("learned", torch.zeros(max(scores, 2), dtype=torch.int64))
        for name, kind in (("feature", torch.int32), ("left", torch.int32), ("right", torch.int32)):
            self.register_buffer(name, torch.full((nodes,), -1, dtype=kind))
        for name in ("threshold", "value"):
            self.register_buffer(name, torch.zeros(nodes, dtype=torch.float64))
        self.register_buffer("root", torch.zeros(trees, dtype=torch.int32))
        self.register_buffer("base", torch.zeros(scores, dtype=torch.float64))

    @classmethod
    def of(cls, grown: "HistGradientBoostingClassifier", rounds: int, classes: int) -> "TreeEnsemble":
        """Return the first rounds of a fitted classifier of numbered classes, without categorical features or missing values."""
        predictors: Any = grown._predictors[:rounds]
        parts = [tree.nodes for step in predictors for tree in step]
        sizes = np.array([len(part) for part in parts])
        start = np.cumsum(sizes) - sizes
        nodes, shift = np.concatenate(parts), np.repeat(start, sizes)
        base = np.ravel(grown._baseline_prediction)
        found = cls(len(nodes), len(parts), len(base), classes)
        inner = nodes["is_leaf"] == 0
        columns = {
            "feature": np.where(inner, nodes["feature_idx"], -1),
            "left": np.where(inner, nodes["left"] + shift, -1),
            "right": np.where(inner, nodes["right"] + shift, -1),
            "threshold": np.where(inner, nodes["num_threshold"], 0.0),
            "value": np.where(inner, 0.0, nodes["value"]),
            "root": start,
            "base": base,
            "learned": grown.classes_,
        }
        for name, values in columns.items():
            getattr(found, name).copy_(torch.from_numpy(np.ascontiguousarray(values)))
        return found

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return logits (N, classes) of the points by their ``geometry`` (N, F)."""
        if exporting():
            return self._traced(batch["geometry"])
        points = np.ascontiguousarray(batch["geometry"].cpu().numpy(), np.float32)
        arrays = [
            getattr(self, n).cpu().numpy() for n in ("feature", "threshold", "left", "right", "value", "root", "base")
        ]
        scores = torch.from_numpy(_evaluate(points, *arrays)).to(batch["geometry"].device)
        if scores.shape[1] == 1:
            scores = torch.cat([torch.zeros_like(scores), scores], dim=1)
        return scores.new_full((len(scores), self.classes), NEVER).index_copy(1, self.learned, scores)

    def prepare_export(self) -> "TreeEnsemble":
        """Count the levels of the deepest tree, which a traced graph must know beforehand."""
        left, right = self.left.long(), self.right.long()
        held, self.levels = self.root.long(), 0
        while (held := held[left[held] >= 0]).numel():
            held, self.levels = torch.cat([left[held], right[held]]), self.levels + 1
        return self

    def _traced(self, points: Tensor) -> Tensor:
        """Do the same level by level, all trees side by side."""
        feature = self.feature.long()
        node = self.root.long().expand(points.shape[0], -1)
        for _ in range(self.levels):
            column = feature[node]
            below = points.gather(1, column.clamp(min=0)) <= self.threshold[node]
            child = torch.where(below, self.left.long()[node], self.right.long()[node])
            node = torch.where(column >= 0, child, node)
        number = torch.arange(self.root.shape[0], device=points.device) % self.base.shape[0]
        own = (number[:, None] == torch.arange(self.base.shape[0], device=points.device)).to(self.value.dtype)
        scores = (self.value[node] @ own + self.base).float()
        if self.base.shape[0] == 1:
            scores = torch.cat([torch.zeros_like(scores), scores], dim=1)
        return scores.new_full((scores.shape[0], self.classes), NEVER).index_copy(1, self.learned, scores)


@njit(cache=True, nogil=True)
def _evaluate(points, feature, threshold, left, right, value, root, base):  # type: ignore[no-untyped-def]
    """Return raw scores (N, S); tree ``t`` adds to the score ``t % S``."""
    found = np.empty((points.shape[0], base.size), np.float32)
    total = np.empty(base.size)
    for i in range(points.shape[0]):
        total[:] = base
        for t in range(root.size):
            node = root[t]
            while feature[node] >= 0:
                node = left[node] if points[i, feature[node]] <= threshold[node] else right[node]
            total[t % base.size] += value[node]
        for s in range(base.size):
            found[i, s] = total[s]
    return found
