"""What every system of the configuration has, whatever its family."""

from typing import Annotated

from pydantic import Field

from tpcfm.config.base import Block

Key = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
ImportedName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
"""Name of a model directory in the folder of the runs."""


class SystemBlock(Block):
    """A model family on a dataset."""

    family: str
    dataset: Key = Field(description="key of `data`: the events with the labels of the tasks")
    pretrain_dataset: Key | None = Field(
        None, description="key of `data`: the events to pretrain on, labelled or not; default: `dataset`"
    )
    start: Key | None = Field(
        None, description="system whose pretrained weights the pretraining starts from, also of another detector"
    )
    imported: list[ImportedName] = Field(
        default_factory=list,
        description="model directories <results>/runs/<name> of published weights, as further starts",
    )
