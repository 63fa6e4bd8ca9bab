"""Objectives of the baselines of track finding: EggNet, the three stages of Exa.TrkX, HEPT."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tpcfm.losses.metric_learning import contrastive, hinge_embedding


class EmbeddingLoss:
    """Objective of the first stage of Exa.TrkX: hinge loss of the embedding, averaged over points.

    Args:
        margin: of the hinge.
        hard_negatives: nearest points of other tracks that count extra.
        label: key of the batch with the track of each point.
    """

    def __init__(self, margin: float, hard_negatives: int, label: str) -> None:
        self.margin, self.hard, self.label = margin, hard_negatives, label
        self.weights: Mapping[str, float] = {"pull": 1.0, "push": 1.0}

    def counts(self, batch: Any, info: Any) -> dict[str, float]:
        """Return the numbers of points."""
        points = float(batch["offsets"][-1])
        return {"pull": points, "push": points}

    def embeddings(self, model: Any, batch: dict[str, Tensor]) -> list[Tensor]:
        """Return the embeddings to pull together and to push apart."""
        return [model(batch["track_inputs"])]

    def sums(self, model: Any, batch: dict[str, Tensor], info: Any) -> dict[str, Tensor]:
        """Return the sums over points, the mean over the embeddings."""
        found = self.embeddings(model, batch)
        pairs = [
            hinge_embedding(e, batch[self.label], batch["offsets"], margin=self.margin, hard=self.hard) for e in found
        ]
        return {
            "pull": torch.stack([pull for pull, _ in pairs]).mean(),
            "push": torch.stack([push for _, push in pairs]).mean(),
        }


class EggNetLoss(EmbeddingLoss):
    """Objective of EggNet: the same of the embeddings of all iterations."""

    def embeddings(self, model: Any, batch: dict[str, Tensor]) -> list[Tensor]:
        """Return the embedding of every iteration."""
        found: list[Tensor] = model.embeddings(batch["track_inputs"], batch["offsets"])
        return found


class EdgeLoss:
    """Objective of its second and third stage: cross-entropy of edges, balanced between true and false ones.

    Mean over the true and mean over the false edges of an event, then over events.
    Which edges there are depends on the stages before, which stand still; so the number of events is the denominator.
    """

    def __init__(self, system: Any, stage: str, label: str) -> None:
        self.system, self.stage, self.label = system, stage, label
        self.weights: Mapping[str, float] = {"edges": 1.0}

    def counts(self, batch: Any, info: Any) -> dict[str, float]:
        """Return the number of events."""
        return {"edges": float(len(batch["offsets"]) - 1)}

    def sums(self, model: Any, batch: dict[str, Tensor], info: Any) -> dict[str, Tensor]:
        """Return the sum over events. ``model`` is the network of the stage, a part of the system."""
        track, offsets = batch[self.label], batch["offsets"]
        with torch.no_grad():
            edges = self.system.near_pairs(batch) if self.stage == "filter" else self.system.graph(batch)
        if self.stage == "filter":
            if info is not None and info.training:
                edges = self._part(edges, len(track), info.epoch)
            logits = self.system.filter_logits(batch, edges)
        else:
            logits = model(batch["track_inputs"], edges)
        same = (track[edges[0]] == track[edges[1]]) & (track[edges[0]] >= 0)
        loss = F.binary_cross_entropy_with_logits(logits.float(), same.float(), reduction="none")
        event = torch.searchsorted(offsets, edges[0], right=True) - 1
        # Few false edges are left where the stages before do well, and one is enough to join two tracks.
        kind = 2 * event + same
        sizes = torch.bincount(kind, minlength=2 * (len(offsets) - 1))
        return {"edges": 0.5 * (loss / sizes[kind]).sum()}

    def _part(self, edges: Tensor, points: int, epoch: int) -> Tensor:
        """Return every n-th edge, beginning elsewhere in each epoch, so that about ``filter_edges`` are left per point."""
        wanted = self.system.config.filter_edges * points
        stride = -(-edges.shape[1] // wanted) if wanted else 1
        return edges[:, epoch % stride :: stride].contiguous()


class HeptLoss:
    """HEPT: contrastive loss, averaged over points."""

    def __init__(self, negatives: int, temperature: float, sigma: float, label: str) -> None:
        self.negatives, self.temperature, self.sigma, self.label = negatives, temperature, sigma, label
        self.weights: Mapping[str, float] = {"contrastive": 1.0}

    def counts(self, batch: Any, info: Any) -> dict[str, float]:
        """Return the number of points."""
        return {"contrastive": float(batch["offsets"][-1])}

    def sums(self, model: Any, batch: dict[str, Tensor], info: Any) -> dict[str, Tensor]:
        """Return the sum over points."""
        loss = contrastive(
            model(batch), batch[self.label], batch["offsets"],
            negatives=self.negatives, temperature=self.temperature, sigma=self.sigma,
        )  # fmt: skip
        return {"contrastive": loss}
