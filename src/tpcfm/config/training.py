"""Settings that every training job shares."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tpcfm.config.base import Block, Count, LabelCount, NullTakesOut, Seed
from tpcfm.config.execution import Knobs

Decay = Annotated[float, Field(ge=0, lt=1)]


class Training(Block):
    """One training as the configuration gives it: optimiser, schedule, budget. What only changes how a job runs stands in ``execution``."""

    steps: int = Field(gt=0, description="optimiser steps of the whole schedule")
    batch_size: int = Field(gt=0, description="events per optimiser step over all ranks (the global batch)")
    learning_rate: float = Field(1e-4, gt=0, description="peak learning rate")
    initial_fraction: float = Field(0.086, ge=0, le=1, description="first learning rate / peak")
    final_fraction: float = Field(0.086, ge=0, le=1, description="last learning rate / peak")
    warmup_steps: int = Field(0, ge=0, description="steps of linear warm-up")
    betas: tuple[Decay, Decay] = (0.9, 0.99)
    weight_decay: float = Field(0.05, ge=0)
    clip: float = Field(3.0, ge=0, description="gradient clipping threshold; 0 switches it off")
    clip_mode: Literal["norm", "value"] = "norm"
    precision: Literal["float32", "bfloat16"] = "float32"
    evaluate_every: int = Field(0, ge=0, description="steps between validations; 0 means ten times per run")
    patience: int = Field(0, ge=0, description="validations without improvement before stopping; 0 never stops early")

    @model_validator(mode="after")
    def _warmup_fits(self) -> "Training":
        if self.warmup_steps >= self.steps:
            raise ValueError(f"warmup_steps ({self.warmup_steps}) must be smaller than steps ({self.steps})")
        return self


class TrainConfig(Training, Knobs):
    """What the trainer gets: the settings of the configuration and how the job is to run."""


class LabelledTraining(Block):
    """Training settings of a labelled task, with overrides per label count."""

    train: Training
    steps_by_labels: dict[LabelCount, Count] = Field(
        default_factory=dict, description="optimiser steps for a label count"
    )
    labels: list[LabelCount] = Field(
        min_length=1, description="labelled events, each subset inside the next; all: what the training split holds"
    )
    seeds: list[Seed] = Field(default=[0], min_length=1)

    def budget(self, n_labels: LabelCount) -> Training:
        """Return the training settings for one label count.

        A count with its own number of steps is validated at least forty times, so that the best weights can be found
        and a plateau be seen. A batch holds no more events than have labels; of ``all`` the job sees to it.
        """
        steps = self.steps_by_labels.get(n_labels, self.train.steps)
        warmup = min(self.train.warmup_steps, max(steps // 5, 0))
        batch = self.train.batch_size if n_labels == "all" else min(self.train.batch_size, n_labels)
        changed = {"steps": steps, "warmup_steps": warmup, "batch_size": batch}
        if n_labels in self.steps_by_labels and self.train.evaluate_every:
            changed["evaluate_every"] = max(1, min(self.train.evaluate_every, steps // 40))
        return self.train.model_copy(update=changed)


Tasks = Annotated[dict[str, LabelledTraining], NullTakesOut]
"""By label column."""
