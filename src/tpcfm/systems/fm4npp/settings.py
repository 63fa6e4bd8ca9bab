"""FM4NPP: serialization, backbone, pretraining, adapters (arXiv 2508.14087)."""

from pydantic import Field

from tpcfm.config.base import Block, Seed
from tpcfm.config.training import TrainConfig
from tpcfm.models.fm4npp.settings import Fm4nppModel
from tpcfm.prepare.sequences.settings import TargetConfig


class NeighbourPretraining(Block):
    """One next-neighbour pretraining run."""

    model: Fm4nppModel = Fm4nppModel()
    targets: TargetConfig = TargetConfig()
    train: TrainConfig
    data_fraction: float = Field(1.0, gt=0, le=1, description="share of the training events used (nested subsets)")
    validation_events: int = Field(
        1000, gt=0, description="events of the fixed validation set, evenly spaced in its split"
    )
    seed: Seed = 0
