"""One line of the fidelity table: what a paper says, what its released code does, what we do, and the setting that selects it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["same", "option", "silent", "differs"]
KINDS: dict[Kind, str] = {
    "same": "as the paper has it",
    "option": "paper and released code (or two places of the paper) differ; ours is chosen by the setting",
    "silent": "the paper does not say; ours is a choice",
    "differs": "we do otherwise, for the reason given",
}
FREE: Any = ...
"""Value of a setting that the scale `paper` may set as it likes, within what the line says."""


@dataclass(frozen=True)
class Item:
    """One item of a paper.

    Attributes:
        what: the item.
        where: section, table or figure of the paper; "" where it is nowhere in print.
        paper, released, ours: what the paper says, the released code does, we do; "" for nothing known.
        kind: how ours stands to the paper.
        settings: keys of a system of the family, joined by dots, ``*`` for any one part, each with its value at the scale
            `paper` (`FREE`: any). What that scale sets must stand here.
    """

    what: str
    where: str
    paper: str
    released: str
    ours: str
    kind: Kind
    settings: Mapping[str, Any] = field(default_factory=dict)
