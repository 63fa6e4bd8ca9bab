"""The head of edge convolutions, and the stage that joins pieces: what they read and how large they are."""

from typing import Literal

from pydantic import Field

from tpcfm.config.base import Block, Share


class Join(Block):
    """Second stage of a finder: pieces that the first leaves are joined by boosted trees on the geometry of two pieces."""

    pieces: list[Share] = Field(
        default=[0.9, 0.7],
        min_length=1,
        description="thresholds of the first stage under which pieces are made: all to learn from, one chosen on validation events",
    )
    thresholds: list[Share] = Field(
        default=[0.5, 0.15, 0.3, 0.7],
        min_length=1,
        description="chance from which two pieces are made one; chosen on validation events, 0.05 at least",
    )
    events: int = Field(200, gt=0, description="labelled events to learn from at most")
    pairs: int = Field(40_000, gt=0, description="pairs of pieces of different objects to learn from at most")
    rounds: int = Field(100, gt=0, description="boosting rounds")
    learning_rate: float = Field(0.1, gt=0, le=1, description="shrinkage")
    leaves: int = Field(31, gt=1, description="leaves of a tree at most")
    l2: float = Field(1.0, ge=0, description="regularisation of the leaves")

    def seconds(self, labels: float, tuning: float, test: float, per_event: float) -> float:
        """Return the seconds of a core that it takes by estimate: points in pieces, and trees grown.

        Args:
            labels, tuning, test: numbers of events.
            per_event: points of one.
        """
        passed = len(self.pieces) * (min(labels, self.events) + tuning) + test
        return 1e-4 * passed * per_event + 2.5e-6 * self.pairs * self.rounds


class EdgeHead(Block):
    """Edge convolutions over [frozen features + local geometry] of near points, then classes, or pairs joined into objects.

    A recipe of our own beside the published heads: it is given the local geometry that boosted trees are given
    (`tpcfm.prepare.geometry.local_geometry`).
    """

    width: int = Field(96, gt=0)
    layers: int = Field(4, gt=0)
    neighbours: int = Field(16, gt=0, le=32, description="near points that each point hears")
    pairs: int = Field(12, gt=0, le=32, description="instances: neighbours of each point whose pairs are classified")
    weight_power: float = Field(
        0.5, ge=0, description="classes: loss weights are (points / points of the class) to this power"
    )
    joining: Literal["partition", "components"] = Field(
        "partition",
        description="instances: how pairs become objects: greedy contraction of votes, or all pairs above the threshold",
    )
    thresholds: list[Share] = Field(
        default=[0.5, 0.3, 0.7, 0.85, 0.95],
        min_length=1,
        description="instances: score of a pair that speaks neither for nor against one object; chosen on validation events",
    )
    join: Join | None = Field(None, description="instances: second stage; takes the place of `thresholds`")
    tuning_events: int = Field(100, gt=0, description="instances: validation events for that choice")

    def flops(self, instances: bool) -> float:
        """Return the operations per point of a forward pass, a multiplication and an addition counted as two."""
        messages = self.layers * (6.0 * self.width**2 + 12.0 * self.neighbours * self.width)
        return messages + (4.0 * self.pairs * self.width**2 if instances else 2.0 * self.width**2)

    @property
    def moved(self) -> float:
        """Bytes per point that a training step moves: the messages of every layer, there and back."""
        return 24.0 * self.layers * self.neighbours * self.width
