"""Regress the coordinates of the next neighbours (arXiv 2508.14087, Sec. 4.1, App. B.7), or of the next point of the sequence."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tpcfm.prepare.sequences.settings import TargetConfig

if TYPE_CHECKING:
    from tpcfm.losses.objective import StepInfo

Batch = Mapping[str, npt.NDArray[Any]]
Array = npt.NDArray[np.float64]


def target_rows(batch: Batch, targets: TargetConfig) -> npt.NDArray[np.int64]:
    """Return (N, slots) rows of the points to predict, -1 where there is none."""
    if targets.objective == "next_neighbours":
        return batch["neighbour"][:, : targets.k]
    rows = np.arange(1, int(batch["offsets"][-1]) + 1)
    rows[batch["offsets"][1:] - 1] = -1  # the last point of an event has no next one
    return rows[:, None]


def target_positions(features: Tensor, rows: Tensor, wrap: bool) -> Tensor:
    """Gather the normalised (eta, phi, r) of the points to predict.

    Args:
        features: (N, 4) normalised (E, eta, phi, r).
        rows: (N, slots) rows; what stands for a missing one (-1) is row 0, to be masked.
        wrap: move phi by a whole turn where that brings it nearer to the point that predicts.

    Returns:
        (N, slots, 3).
    """
    position = features[:, 1:4]
    found = position.index_select(0, rows.clamp(min=0).flatten()).unflatten(0, tuple(rows.shape))
    if wrap:
        turn = (found[..., 1] - position[:, None, 1]).round()
        found = torch.stack([found[..., 0], found[..., 1] - turn, found[..., 2]], dim=-1)
    return found


def event_targets(batch: Batch, targets: TargetConfig) -> npt.NDArray[np.float64]:
    """Return (B,) number of targets of each event."""
    return event_sums(batch, (target_rows(batch, targets) >= 0).sum(1, dtype=np.float64))


def event_difficulty(batch: Batch, targets: TargetConfig) -> npt.NDArray[np.float64]:
    """Return (B,) mean squared distance between points and their targets, NaN for an event without targets."""
    squared, counts = event_sums(batch, _own_position(batch, targets)), event_targets(batch, targets)
    return np.divide(squared, counts, out=np.full(len(counts), np.nan), where=counts > 0)


def target_weights(counts: Array, targets: TargetConfig) -> Array:
    """Return (B,) what one target of each event weighs in a mean: 1, or 1 / number of its targets where events weigh alike.

    Args:
        counts: (B,) number of targets of each event.
        targets: says in ``average`` which of the two.
    """
    return np.ones_like(counts) if targets.average == "points" else 1 / np.maximum(counts, 1)


def _own_position(batch: Batch, targets: TargetConfig) -> Array:
    """Return (N,) the squared distances between a point and its targets, summed."""
    found, valid = _host_targets(batch, targets)
    return (((found - batch["features"][:, None, 1:4]) ** 2).sum(-1) * valid).sum(1, dtype=np.float64)


def event_sums(batch: Batch, values: Array) -> Array:
    """Return (B, ...) sums of (N, ...) values over the points of each event."""
    ends = np.concatenate([np.zeros_like(values[:1]), values.cumsum(0)])[batch["offsets"]]
    return np.diff(ends, axis=0)


def _host_targets(batch: Batch, targets: TargetConfig) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Return the target positions (N, slots, 3) and which of them there are (N, slots)."""
    rows = target_rows(batch, targets)
    features = torch.from_numpy(np.array(batch["features"]))
    return target_positions(features, torch.from_numpy(np.array(rows)), targets.wrap).numpy(), rows >= 0


@dataclass(frozen=True)
class DifficultyWeights:
    """Loss weight of an event by the bin of its difficulty (arXiv 2508.14087, App. B.7).

    The paper lets the weight "correspond" to the bin's mean difficulty, which admits two readings: in proportion to it,
    or to its inverse, which evens out the loss of sparse and dense events.

    Attributes:
        edges: inner box edges, ascending.
        weights: one more than edges; mean 1 over the events they were fitted on.
    """

    edges: tuple[float, ...]
    weights: tuple[float, ...]

    @classmethod
    def fit(cls, difficulty: npt.ArrayLike, inverse: bool, bins: int = 10) -> "DifficultyWeights":
        """Divide events into equally populated bins of difficulty and weigh each bin.

        Args:
            difficulty: (events,) of :func:`event_difficulty`; NaN is left out.
            inverse: weight by the inverse of the bin's mean difficulty.
            bins: number of bins.
        """
        values = np.asarray(difficulty, np.float64)
        values = values[np.isfinite(values)]
        edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1]))
        number = np.searchsorted(edges, values, side="left")
        counts = np.bincount(number, minlength=len(edges) + 1)
        means = np.bincount(number, weights=values, minlength=len(edges) + 1) / np.maximum(counts, 1)
        overall = float(values.mean())
        raw = np.where(counts > 0, overall / np.maximum(means, 1e-12) if inverse else means / overall, 1.0)
        raw *= counts.sum() / (raw * counts).sum()
        return cls(tuple(edges.tolist()), tuple(raw.tolist()))

    def of(self, difficulty: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """Return the weights of some events; 1 where the difficulty is NaN."""
        number = np.searchsorted(np.asarray(self.edges), difficulty, side="left")
        weights = np.asarray(self.weights)[np.minimum(number, len(self.edges))]
        return np.where(np.isfinite(difficulty), weights, 1.0).astype(np.float32)


class NextNeighbours:
    """Objective: squared distance between prediction and target, averaged over the targets of each event, then over events (App. B.7).

    The unit is the squared normalised coordinate, summed over eta, phi and r (a mean over the three would be a third). With
    ``targets.average: points`` all targets of a batch weigh the same, so that long events weigh more.

    Args:
        targets: what is predicted.
        rescale: event weights; None weighs all events alike (always so in validation).
    """

    weights: Mapping[str, float] = {"squared_distance": 1.0}

    def __init__(self, targets: TargetConfig, rescale: DifficultyWeights | None = None) -> None:
        self.targets, self.rescale = targets, rescale

    def counts(self, batch: Batch, info: "StepInfo") -> dict[str, float]:
        """Return the number of events with targets, or of targets."""
        counts = event_targets(batch, self.targets)
        return {"squared_distance": float(counts.sum() if self.targets.average == "points" else (counts > 0).sum())}

    def sums(self, model: nn.Module, batch: Mapping[str, Tensor], info: "StepInfo") -> dict[str, Tensor]:
        """Return the sum over events of their mean (or summed) squared distance, weighted in training if there are weights."""
        weights = self._event_weights(batch, rescaled=info.training)  # first: it waits for the device
        squared = self.per_point(model, batch)
        of_points = weights.repeat_interleave(batch["offsets"].diff(), output_size=len(squared))
        return {"squared_distance": (squared * of_points).sum()}

    def per_point(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Return (N,) the squared distance summed over the targets of each point."""
        target, valid = self._targets(batch)
        predicted = model(batch["features"], batch["offsets"])
        return ((predicted - target).square().sum(-1) * valid).sum(-1)

    @torch.no_grad()
    def _targets(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return (N, slots, 3) positions to predict, and (N, slots) whether there is one."""
        if self.targets.objective == "next_neighbours":
            rows = batch["neighbour"][:, : self.targets.k]
        else:
            rows = torch.arange(1, len(batch["features"]) + 1, device=batch["features"].device)
            rows = rows.index_fill(0, batch["offsets"][1:] - 1, -1)[:, None]
        return target_positions(batch["features"], rows, self.targets.wrap), rows >= 0

    @torch.no_grad()
    def _event_weights(self, batch: Mapping[str, Tensor], rescaled: bool) -> Tensor:
        """Return (B,) what a squared distance of each event weighs in the sum."""
        (target, valid), events = self._targets(batch), batch["offsets"]
        counts = torch.segment_reduce(valid.sum(1).double(), "sum", offsets=events)
        weights = counts.new_ones(len(counts))
        if self.rescale is not None and rescaled:
            squared = ((target - batch["features"][:, None, 1:4]).square().sum(-1) * valid).sum(1, dtype=torch.float64)
            difficulty = torch.segment_reduce(squared, "sum", offsets=events) / counts  # NaN without targets
            weights = torch.from_numpy(self.rescale.of(difficulty.cpu().numpy())).to(counts)
        return (weights / counts.clamp(min=1) if self.targets.average == "events" else weights).float()


def targets_in_view(batches: Iterable[Batch], targets: TargetConfig, causal: bool) -> float:
    """Return the share of targets that are input to the prediction: points before it, or all if the model is not causal.

    What is in view can be looked up; losses of models that see different shares answer different questions.
    """
    seen = count = 0
    for batch in batches:
        rows = target_rows(batch, targets)
        valid = rows >= 0
        count += int(valid.sum())
        seen += int((valid & (rows < np.arange(len(rows))[:, None])).sum()) if causal else int(valid.sum())
    return seen / count if count else float("nan")


def naive_floors(batches: Iterable[Batch], targets: TargetConfig) -> dict[str, float]:
    """Return the loss of two predictions that need no model, on the same targets and in the same unit.

    ``floor_own_position`` predicts the point's own position for every slot, ``floor_mean`` the mean target of the set.
    """
    own, square, count, total = 0.0, 0.0, 0.0, np.zeros(3)
    for batch in batches:
        found, valid = _host_targets(batch, targets)
        counts, values = event_targets(batch, targets), found.astype(np.float64) * valid[..., None]
        weights = target_weights(counts, targets)
        own += float(weights @ event_sums(batch, _own_position(batch, targets)))
        square += float(weights @ event_sums(batch, (values**2).sum((1, 2))))
        total += weights @ event_sums(batch, values.sum(1))
        count += float(weights @ counts)
    if not count:
        return {"floor_own_position": float("nan"), "floor_mean": float("nan")}
    return {
        "floor_own_position": own / count,
        "floor_mean": float(square / count - ((total / count) ** 2).sum()),
    }
