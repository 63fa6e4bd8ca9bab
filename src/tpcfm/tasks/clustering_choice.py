"""Choosing the clustering of a track finder on validation events: a grid, and a search beyond its edges.

The choice with the largest adjusted Rand index wins, the earlier one in a tie. Where the best value of a parameter is the smallest or
largest that was tried, values beyond are tried, a few times at most; a choice that still lies at an edge is marked.
"""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

Choice = dict[str, float]
"""Parameters of a clustering."""
Kind = Literal["scale", "count", "score"]
ROUNDS = 6  # values tried beyond the grid, over all parameters


@dataclass(frozen=True)
class Chosen:
    """A clustering, the value it reached, and whether it lies at an edge of what was tried."""

    choice: Choice
    value: float
    at_edge: bool
    tried: int


def grid(values: dict[str, list[float]]) -> list[Choice]:
    """Return all combinations, the first values first."""
    return [dict(zip(values, combination, strict=True)) for combination in itertools.product(*values.values())]


def beyond(kind: Kind, edge: float, up: bool, least: float = 0.0) -> float | None:
    """Return the next value beyond an edge of a grid; None where there is none.

    A ``scale`` changes by a factor of 1.5, a ``count`` too, but by one at least and not below ``least``, a ``score`` halves its distance
    to 0 or 1.
    """
    if kind == "score":
        value = 1 - (1 - edge) / 2 if up else edge / 2
    elif kind == "scale":
        value = edge * 1.5 if up else edge / 1.5
    else:
        value = max(edge + 1, round(edge * 1.5)) if up else max(least, min(edge - 1, round(edge / 1.5)))
    return None if value == edge else float(value)


def choose(
    values: dict[str, list[float]],
    kinds: dict[str, tuple[Kind, float]],
    score: Callable[[Iterable[Choice]], list[float]],
    rounds: int = ROUNDS,
) -> Chosen:
    """Return the best choice of a grid or of its extension.

    Args:
        values: what to try of each parameter. One with a single value is given, not tuned.
        kinds: kind and natural lower limit of each parameter.
        score: what choices reach, larger is better.
        rounds: values beyond the grid to try at most.
    """
    choices = grid(values)
    reached = score(choices)
    best = max(range(len(choices)), key=lambda i: reached[i])
    choice, value = choices[best], reached[best]
    tried = {name: set(found) for name, found in values.items()}
    left, outside = rounds, _outside(choice, tried, kinds)
    while outside and left:
        name, further = outside[0]
        tried[name].add(further)
        candidate = {**choice, name: further}
        (found,) = score([candidate])
        if found > value:
            choice, value = candidate, found
        choices.append(candidate)
        left, outside = left - 1, _outside(choice, tried, kinds)
    return Chosen(choice, value, bool(outside), len(choices))


def _outside(
    choice: Choice, tried: dict[str, set[float]], kinds: dict[str, tuple[Kind, float]]
) -> list[tuple[str, float]]:
    """Return what to try next: (parameter, value) for every parameter that is at an edge of the values tried."""
    found = []
    for name, values in tried.items():
        kind, least = kinds[name]
        for up, edge in ((False, min(values)), (True, max(values))):
            further = beyond(kind, edge, up, least) if len(values) > 1 and choice[name] == edge else None
            if further is not None:
                found.append((name, further))
    return found
