"""The strict base of every configuration block."""

from pydantic import BaseModel, ConfigDict


class Block(BaseModel):
    """A configuration block: unknown keys are errors, values are checked, instances are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, protected_namespaces=())
