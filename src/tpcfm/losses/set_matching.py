"""Loss of a set of predicted objects: one-to-one matching, then class, dice and focal terms (arXiv 2508.14087, App. C.2)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.nn import functional as F

from tpcfm.nn.queries import TRACK, TrackSet

if TYPE_CHECKING:
    from tpcfm.losses.objective import StepInfo

CLASS_COST, DICE_COST, FOCAL_COST = 0.5, 1.0, 30.0  # of the matching
MATCHED, UNMATCHED = 0.5, 0.1  # class loss of queries with and without an object
ALPHA, GAMMA = 0.25, 2.0
EPS = 1e-6


def instances(ids: Tensor) -> Tensor:
    """Return (M, n) float one-hot rows, one per distinct non-negative id of an event's (n,) points."""
    labels = torch.unique(ids[ids >= 0])
    return (labels[:, None] == ids[None]).float()


def focal_terms(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the focal loss of every entry if its target were 1, and if it were 0."""
    p = logits.sigmoid()
    hit = ALPHA * (1 - p) ** GAMMA * F.softplus(-logits)
    miss = (1 - ALPHA) * p**GAMMA * F.softplus(logits)
    return hit, miss


@torch.no_grad()
def matching(classes: Tensor, masks: Tensor, targets: Tensor) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the queries and the targets of the cheapest one-to-one assignment.

    Args:
        classes: (Q, 2) logits.
        masks: (Q, n) logits.
        targets: (M, n) one-hot. With more targets than queries, the worst are left out.
    """
    hit, miss = focal_terms(masks)
    focal = (hit @ targets.t() + miss @ (1 - targets).t()) / max(masks.shape[1], 1)
    cost = DICE_COST * dice_matrix(masks.sigmoid(), targets) + FOCAL_COST * focal
    cost = cost - CLASS_COST * classes.softmax(1)[:, TRACK, None]
    # Of values that are not finite any assignment will do: the loss is not finite either, and training says so.
    rows, columns = linear_sum_assignment(torch.nan_to_num(cost).cpu().double().numpy())
    return rows, columns


def dice_matrix(p: Tensor, targets: Tensor) -> Tensor:
    """Return (Q, M) dice losses of all pairs of soft masks and targets."""
    overlap = 2 * p @ targets.t()
    total = p.sum(1)[:, None] + targets.sum(1)[None]
    return 1 - (overlap + EPS) / (total + EPS)


def event_terms(classes: Tensor, masks: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """Return ``class``, ``dice`` and ``focal`` of one event and one set, summed over queries or matched pairs."""
    rows, columns = (torch.as_tensor(a, device=masks.device) for a in matching(classes, masks, targets))
    wanted = torch.zeros(len(classes), dtype=torch.int64, device=masks.device)
    wanted[rows] = TRACK
    weight = torch.full((len(classes),), UNMATCHED, device=masks.device)
    weight[rows] = MATCHED
    chosen, truth = masks[rows], targets[columns]
    p = chosen.sigmoid()
    dice = 1 - (2 * (p * truth).sum(1) + EPS) / (p.sum(1) + truth.sum(1) + EPS)
    hit, miss = focal_terms(chosen)
    focal = torch.where(truth > 0, hit, miss).sum() / max(masks.shape[1], 1)
    entropy = F.cross_entropy(classes, wanted, reduction="none")
    return {"class": (entropy * weight).sum(), "dice": dice.sum(), "focal": focal}


class SetMatching:
    """Objective of finding instances: terms summed over prediction sets, mean over events.

    Args:
        inputs: key of the batch that the model reads ("branches" or "features") beside ``offsets``; None: the whole batch.
        label: key of the batch with the ids of instances, negative for points of none.
    """

    weights: Mapping[str, float] = {"class": 1.0, "dice": 1.0, "focal": 30.0}

    def __init__(self, inputs: str | None, label: str) -> None:
        self.inputs, self.label = inputs, label

    def counts(self, batch: Mapping[str, npt.NDArray[Any]], info: "StepInfo") -> dict[str, float]:
        """Return the number of events."""
        return dict.fromkeys(self.weights, float(len(batch["offsets"]) - 1))

    def sums(self, model: nn.Module, batch: Mapping[str, Tensor], info: "StepInfo") -> dict[str, Tensor]:
        """Return the summed terms."""
        sets: list[TrackSet] = model(batch) if self.inputs is None else model(batch[self.inputs], batch["offsets"])
        ids_of = batch[self.label].split(batch["offsets"].diff().tolist())
        total: dict[str, Tensor] = {}
        for event, ids in enumerate(ids_of):
            targets = instances(ids)
            for found in sets:
                for name, value in event_terms(found.classes[event], found.masks[event], targets).items():
                    total[name] = total[name] + value if name in total else value
        return total
