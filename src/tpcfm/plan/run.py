"""One entry of the run table: everything a training job needs to know, resolved."""

from typing import Any, Literal

from pydantic import Field

from tpcfm.config.base import Block
from tpcfm.files import short_hash

Stage = Literal["pretrain", "probe", "finetune", "baseline"]


class Run(Block):
    """A training or evaluation job.

    ``config`` is the resolved block of the recipe (for example ``MaskedPretraining`` dumped to plain values); the id is a
    readable slug plus eight hex digits over recipe, config and inputs, so equal work has one id and is done once.
    """

    slug: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")
    stage: Stage
    family: Literal["polar_mae", "fm4npp"]
    recipe: str
    task: str
    config: dict[str, Any]
    dataset: str
    cache: str
    pretrained: str | None = None
    n_labels: int | None = None
    seed: int = 0

    @property
    def hash(self) -> str:
        """Eight hex digits over what determines the result."""
        return short_hash(self.model_dump(exclude={"slug"}))

    @property
    def id(self) -> str:
        """Readable and unique name of the run."""
        return f"{self.slug}-{self.hash}"
