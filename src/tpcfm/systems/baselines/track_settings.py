"""Baselines of track finding: EggNet, Exa.TrkX, HEPT, Kalman filter (arXiv 2508.14087, Sec. 5 and App. C)."""

from typing import Literal

from pydantic import Field, model_validator

from tpcfm.config.base import Block, LabelCount, Positive, Seed
from tpcfm.config.training import Tasks, TrainConfig
from tpcfm.models.baselines.track_settings import EggNetConfig, ExaTrkxConfig, HeptConfig, KalmanConfig

TrackModel = Literal["eggnet", "exatrkx", "hept", "kalman"]
_BLOCKS = ("eggnet", "exatrkx", "hept", "kalman")


class TrackBaselineConfig(Block):
    """One comparison run of track finding; only the block of its model is filled."""

    model: TrackModel
    label: str = Field("track", description="label column with instances")
    n_labels: LabelCount | Literal[0] = Field(
        description="labelled training events; 0 for the Kalman filter, which has no weights"
    )
    eggnet: EggNetConfig | None = None
    exatrkx: ExaTrkxConfig | None = None
    hept: HeptConfig | None = None
    kalman: KalmanConfig | None = None
    validation_events: int = Field(
        1000, gt=0, description="events of the fixed validation set, evenly spaced in its split"
    )
    tuning_events: int = Field(200, gt=0, description="validation events on which the clustering is chosen, by ARI")
    train: TrainConfig
    seed: Seed = 0

    @model_validator(mode="after")
    def _fits(self) -> "TrackBaselineConfig":
        filled = [name for name in _BLOCKS if getattr(self, name) is not None]
        if filled != [self.model]:
            raise ValueError(f"model {self.model} needs its own block and no other, found {filled or 'none'}")
        if (self.n_labels == 0) != (self.model == "kalman"):
            raise ValueError(f"n_labels ({self.n_labels}) must be 0 for kalman and above 0 for the networks")
        return self


class TrackBaselines(Block):
    """Which systems find tracks, at which label counts; data, subsets and selection are those of the adapters."""

    models: list[TrackModel] = Field(default=["eggnet", "exatrkx", "hept", "kalman"], min_length=1)
    eggnet: EggNetConfig = EggNetConfig()
    exatrkx: ExaTrkxConfig = ExaTrkxConfig()
    hept: HeptConfig = HeptConfig()
    kalman: KalmanConfig = KalmanConfig()
    tuning_events: int = Field(200, gt=0, description="validation events on which the clustering is chosen, by ARI")
    learning_rates: dict[TrackModel, Positive] = Field(
        default_factory=dict, description="peak learning rate of a model, in place of the one in `train`"
    )
    tasks: Tasks = Field(min_length=1, description="label columns with instances")
