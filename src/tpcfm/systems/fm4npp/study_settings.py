"""FM4NPP studies beside scaling: transfer of the learning rate over widths, depth of the adapters, a joint adapter (arXiv 2508.14087)."""

from typing import Annotated

from pydantic import Field

from tpcfm.config.base import Block, Count, LabelCount, Positive, Seed
from tpcfm.models.fm4npp.settings import Fm4nppModel, Parameterization, Size
from tpcfm.prepare.sequences.settings import TargetConfig


class CoordinateCheck(Block):
    """One coordinate check: the same few steps on the same events at every width."""

    model: Fm4nppModel = Field(Fm4nppModel(), description="width and dropout are set by the check")
    targets: TargetConfig = TargetConfig()
    widths: list[Count] = Field(default=[64, 128, 256, 512, 1024], min_length=2)
    steps: int = Field(3, gt=0, description="optimiser steps")
    events: int = Field(2, gt=0, description="training events of the one batch")
    learning_rate: float = Field(1e-3, gt=0, description="base rate, constant")
    seeds: list[Seed] = Field(
        default=[0], min_length=1, description="of the initial weights; sizes are means over them"
    )


class CoordinateStudy(Block):
    """Sizes of activations and their updates over the width, one check per parameterization."""

    widths: list[Count] = Field(default=[64, 128, 256, 512, 1024], min_length=2)
    depth: int | None = Field(None, gt=0, description="blocks; null takes those of the model")
    steps: int = Field(3, gt=0)
    events: int = Field(2, gt=0)
    learning_rate: float = Field(1e-3, gt=0)
    seeds: list[Seed] = Field(default=[0], min_length=1)


class TransferStudy(Block):
    """Pretraining over a grid of learning rates: does the best one stay where it is as the width grows?"""

    sizes: list[Size] = Field(default=["m1", "m2", "m3"], min_length=1)
    learning_rates: list[Positive] = Field(min_length=2)
    steps: int | None = Field(None, gt=0, description="steps of every run of the grid; null takes those of the size")
    seeds: list[Seed] = Field(default=[0], min_length=1)


class MupStudy(Block):
    """The two tests of the parameterization, each beside the standard one."""

    parameterizations: list[Parameterization] = Field(default=["mup", "standard"], min_length=1)
    coordinates: CoordinateStudy | None = None
    transfer: TransferStudy | None = None


class DepthStudy(Block):
    """Depth of an adapter, on the frozen backbone and on a linear layer in its place (Fig. 13)."""

    task: str = Field("pid", description="label column with classes, whose budget and settings these are")
    size: Size = "m1"
    depths: list[Annotated[int, Field(ge=0)]] = Field(
        default=[0, 1, 2, 4], min_length=1, description="self-attention and feed-forward blocks"
    )
    n_labels: LabelCount = Field(description="labelled events")
    seeds: list[Seed] = Field(default=[0], min_length=1)


class JointStudy(Block):
    """Several class labels through one trunk, against a trunk each (Table 7: identification and noise)."""

    size: Size = "m1"
    layers: int = Field(2, gt=0, description="self-attention and feed-forward blocks of the trunk")
    weights: dict[str, Positive] = Field(
        default_factory=lambda: {"pid": 0.5, "noise": 2.5},
        min_length=2,
        description="label columns with classes and the weights of their losses; budget and settings are those of the first",
    )
    n_labels: LabelCount = Field(description="labelled events")
    seeds: list[Seed] = Field(default=[0], min_length=1)
