"""The form of published numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Scores = Mapping[str, Mapping[str, float]]
"""By metric and class; class "" is the score over all classes."""


@dataclass(frozen=True)
class Numbers:
    """What is published for a study.

    Attributes:
        source: paper and table.
        data: events that the numbers belong to.
        rows: as the section of the study needs them; empty where nothing is published.
    """

    source: str = ""
    data: str = ""
    rows: Mapping[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """Published scores of one label column.

    Attributes:
        source: paper and tables, with the events.
        labels: numbers of labelled events in the paper.
        rows: by network.
        beside: which of these rows stands beside one of ours of another name.
        majority: accuracy of always naming the most frequent class.
        marks: values at single label counts: metric, labelled events, network, score of some classes.
        clusterings: scores of a network under the clustering that the paper gives, by network and clustering.
        selected: efficiency for the tracks that experiments quote.
        gain: the main score over that of the head without a backbone.
        note: what a reader must know of the numbers.
    """

    source: str = ""
    labels: tuple[int, ...] = ()
    rows: Mapping[str, Scores] = field(default_factory=dict)
    beside: Mapping[str, str] = field(default_factory=dict)
    majority: float | None = None
    marks: tuple[tuple[str, int, str, Mapping[str, float]], ...] = ()
    clusterings: Mapping[tuple[str, str], Mapping[str, float]] = field(default_factory=dict)
    selected: Mapping[str, float] = field(default_factory=dict)
    gain: Mapping[str, float] = field(default_factory=dict)
    note: str = ""

    def row(self, ours: str) -> Scores:
        """Return the published scores of the network that one of ours stands for; empty without any."""
        return self.rows.get(self.beside.get(ours, ours), {})

    def others(self, ours: list[str]) -> list[str]:
        """Return the published networks that none of ours stands for."""
        shown = {self.beside.get(name, name) for name in ours}
        return [name for name in self.rows if name not in shown]
