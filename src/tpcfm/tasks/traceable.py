"""What can be exported of a trained model: its network from the tensors of a packed batch to a label and a score per point."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from tpcfm.detectors.model import ClassLabel, Detector
from tpcfm.nn.padded import Padded
from tpcfm.nn.queries import TRACK, TrackSet
from tpcfm.nn.set_decision import PUBLISHED, UNASSIGNED
from tpcfm.tasks.answers import Tensors

SLOTS = "slots"
"""Ending of an input that only has a shape, 0 to L - 1: L is the largest length by the offsets of the same beginning."""

GEOMETRY = {"geometry": ("points", ""), "near": ("points", ""), "place": ("points", "")}
"""What edge convolutions take of the local geometry of points."""
JOINING = "joining pairs of points to objects: union of sets on the host"


@dataclass(frozen=True)
class Traceable:
    """A network for export.

    Attributes:
        network: takes the inputs (`input_of`) in their order, returns the outputs in theirs; every event has at least one row.
        inputs: keys of the batch, or with the ending `SLOTS`, with the name of each axis ("" for one of fixed length).
        outputs: for each label ``<label>``, (N,) int64 as `tpcfm predict` writes it, and ``<label>_score``, (N,) float32.
    """

    network: nn.Module
    inputs: Mapping[str, tuple[str, ...]]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class NotTraceable:
    """Why a network cannot be exported: the operator that stops it."""

    operator: str


def input_of(name: str, tensors: Tensors) -> Tensor:
    """Return an input of a network for a batch."""
    if name.endswith(SLOTS):
        lengths = tensors[name.removesuffix(SLOTS) + "offsets"].diff()
        return torch.arange(int(lengths.max()), device=lengths.device)
    return tensors[name]


class Labelled(nn.Module):
    """A network whose logits become labels and scores inside the graph.

    Args:
        network: the trained modules, so that their weights belong to the graph.
        run: from the inputs by name to logits (N, C) per label, or a `TrackSet` of padded events and their `Padded`.
        inputs: names of the arguments, in order.
        detector: of the labels.
        labels: in the order of the outputs.
    """

    def __init__(
        self,
        network: nn.Module,
        run: Callable[[dict[str, Tensor]], Mapping[str, Tensor | tuple[TrackSet, Padded]]],
        inputs: Sequence[str],
        detector: Detector,
        labels: Sequence[str],
    ) -> None:
        super().__init__()
        self.network, self.run, self.inputs, self.labels = network, run, tuple(inputs), tuple(labels)
        for label in labels:
            if isinstance(kind := detector.labels[label], ClassLabel):
                values = torch.from_numpy(kind.decode(np.arange(len(kind.values))))
                self.register_buffer(f"values_{label}", values)

    def forward(self, *arguments: Tensor) -> tuple[Tensor, ...]:
        """Return a label (N,) int64 and a score (N,) float32 for each label."""
        found = self.run(dict(zip(self.inputs, arguments, strict=True)))
        answers: list[Tensor] = []
        for label in self.labels:
            answer = found[label]
            if isinstance(answer, Tensor):
                score, number = answer.float().softmax(1).max(1)
                answers += [getattr(self, f"values_{label}")[number], score]
            else:
                answers += _objects(*answer)
        return tuple(answers)


def labelled_outputs(labels: Sequence[str]) -> tuple[str, ...]:
    """Names of what `Labelled` returns."""
    return tuple(name for label in labels for name in (label, f"{label}_score"))


def _objects(found: TrackSet, where: Padded) -> tuple[Tensor, Tensor]:
    """Return what `tpcfm.tasks.answers.set_answer` does, of padded events."""
    assert isinstance(found.masks, Tensor)
    chance = found.classes.softmax(2)[..., TRACK]
    joint = found.masks.sigmoid() * chance[..., None]
    chosen = chance > PUBLISHED.threshold
    best = joint.masked_fill(~chosen[..., None], -1.0).argmax(1)
    taken = chosen.any(1)[:, None].expand_as(best)
    own = joint.gather(1, best[:, None])[:, 0]
    score = torch.where(taken, own, 1 - joint.amax(1))
    return where.join(torch.where(taken, best, UNASSIGNED)), where.join(score)
