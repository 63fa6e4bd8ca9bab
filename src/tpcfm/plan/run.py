"""One entry of the run table: everything a training job needs to know, resolved."""

import math
from typing import Any, Literal, TypeVar

from pydantic import Field

from tpcfm.config.base import Block, LabelCount
from tpcfm.config.training import TrainConfig
from tpcfm.files import short_hash

Stage = Literal["pretrain", "probe", "finetune", "baseline"]
B = TypeVar("B", bound=Block)


def changed(block: Block) -> dict[str, Any]:
    """Return the values of a block that differ from their defaults."""
    return block.model_dump(mode="json", exclude_defaults=True)


class Run(Block):
    """A training or evaluation job.

    ``config`` is the resolved block of the job (for example ``MaskedPretraining``) as plain values. The id is a readable slug
    plus eight hex digits over recipe, inputs and ``science``, the hash of those values that differ from their defaults: equal
    work has one id and is done once, a new field with a default renames nothing, and how a job runs (``execution``) does not count.
    """

    slug: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")
    stage: Stage
    system: str = Field("", description="key of the system; equal work of two systems is one run")
    family: str
    recipe: str = Field(description="module below `tpcfm.systems` whose function `run` does the job")
    task: str = Field(description="label column, several joined by +, or pretrain, probe, coordinates")
    config: dict[str, Any]
    science: str = Field(
        "", description="hash of the values of `config` that are not the defaults; without it, all count"
    )
    version: int = Field(1, ge=1, description="raised where the same settings come to give another result")
    dataset: str
    cache: str
    pretrained: str | None = None
    n_labels: LabelCount | Literal[0] | None = None
    seed: int = 0
    execution: dict[str, Any] = Field(
        default_factory=dict, description="how the job is to run (`tpcfm.config.execution`)"
    )

    @property
    def hash(self) -> str:
        """Eight hex digits over what determines the result."""
        left_out = {"slug", "system", "execution"} | ({"config"} if self.science else set())
        return short_hash(self.model_dump(exclude=left_out, exclude_defaults=True))

    @property
    def id(self) -> str:
        """Readable and unique name of the run."""
        return f"{self.slug}-{self.hash}"

    @property
    def labels(self) -> float:
        """Labelled events as a number to sort by: infinity for all, 0 for none."""
        return math.inf if self.n_labels == "all" else self.n_labels or 0

    @staticmethod
    def resolved(block: Block) -> dict[str, Any]:
        """Return the fields ``config`` and ``science`` of a job with these settings."""
        return {"config": block.model_dump(mode="json"), "science": short_hash(changed(block), 16)}

    def block(self, kind: type[B]) -> B:
        """Return the settings of the job as a block, with how the job is to run in its ``train``, if it has one."""
        config = self.config
        if self.execution and "train" in config:
            config = {**config, "train": {**config["train"], **self.execution}}
        return kind.model_validate(config)

    @property
    def train(self) -> TrainConfig:
        """Settings of the training, with how it is to run."""
        return TrainConfig.model_validate({**self.config["train"], **self.execution})
