"""The strict base of every configuration block, and types that several share."""

import os
import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)


class Block(BaseModel):
    """A configuration block: unknown keys are errors, values are checked (no number is infinite), instances are immutable."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, protected_namespaces=(), allow_inf_nan=False
    )


Count = Annotated[int, Field(gt=0)]
Seed = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]
"""Inside, neither 0 nor 1."""


def _without_nulls(value: Any) -> Any:
    return {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value


NullTakesOut = BeforeValidator(_without_nulls)
"""Of a mapping of named things: an overlay takes one out by giving it null."""


def expanded(value: str) -> str:
    """Return a path with ``~`` and ``$VARIABLE`` replaced as a shell does.

    Raises:
        ValueError: a variable that is not set, a user that does not exist.
    """
    found = os.path.expandvars(os.path.expanduser(value))
    if left := re.search(r"\$([A-Za-z_]\w*|\{\w+\})", found):
        raise ValueError(f"the variable {left[0]} is not set")
    if found.startswith("~"):
        raise ValueError(f"there is no user {found.split('/')[0][1:]!r}")
    return found


def _expandable(value: str) -> str:
    expanded(value)
    return value


Place = Annotated[str, AfterValidator(expanded)]
"""A path (or the address of an image), with ``~`` and variables replaced."""
Pattern = Annotated[str, AfterValidator(_expandable)]
"""A path or glob that is replaced where it is looked up: ids hold it as it was given."""


def _count(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    try:
        return check(value)
    except ValidationError:
        raise ValueError("allowed are whole numbers above 0, and all") from None


LabelCount = Annotated[Annotated[int, Field(gt=0)] | Literal["all"], WrapValidator(_count)]
"""A number of labelled events; ``all`` is every one that the training split holds, whatever was rejected."""
