"""How jobs run: nothing here changes a result, so nothing here is part of an id, and a running job takes up a new value when it resumes."""

from fnmatch import fnmatch
from typing import Any, Literal

from pydantic import Field

from tpcfm.config.base import Block


class Knobs(Block):
    """Settings of a training job that leave its result alone (up to the order of sums, for micro-batches)."""

    max_points: int = Field(60_000, gt=0, description="points per micro-batch; a larger batch is accumulated")
    log_every: int = Field(10, gt=0, description="steps between logged values")
    checkpoint_every: int = Field(200, gt=0, description="steps between checkpoints")
    workers: int = Field(0, ge=0, description="loader threads preparing batches ahead")
    compile: bool = Field(False, description="torch.compile the model")
    activation_checkpointing: bool | Literal["auto"] = Field(
        "auto",
        description="less memory, about a third more time; auto: of micro-batches that would not fit the GPU by the estimate",
    )


class Some(Block):
    """Some of the settings, for some jobs."""

    max_points: int | None = Field(None, gt=0)
    log_every: int | None = Field(None, gt=0)
    checkpoint_every: int | None = Field(None, gt=0)
    workers: int | None = Field(None, ge=0)
    compile: bool | None = None
    activation_checkpointing: bool | Literal["auto"] | None = None


class Execution(Knobs):
    """The block ``execution``: for all jobs, changed per stage and then per run."""

    stages: dict[Literal["pretrain", "probe", "finetune", "baseline"], Some] = Field(default_factory=dict)
    runs: dict[str, Some] = Field(
        default_factory=dict, description="patterns of run ids such as `*-m6-*`; a later one that fits wins"
    )
    neighbours: Literal["stored", "loader", "auto"] = Field(
        "auto",
        description="neighbour targets kept in the cache, or found anew for every batch; auto keeps those of small caches (20 GB)",
    )
    device: str | None = Field(
        None, pattern=r"^(cpu|cuda(:\d+)?)$", description="of all jobs; null takes CUDA if there is one"
    )

    mirrors: dict[str, str] = Field(
        default_factory=dict, description="by public release: the address that `tpcfm fetch --base-url` takes"
    )

    def of(self, run: str, stage: str) -> dict[str, Any]:
        """Return the settings of one job that differ from the defaults."""
        found = {name: getattr(self, name) for name in Knobs.model_fields}
        changes = [self.stages.get(stage)] + [some for pattern, some in self.runs.items() if fnmatch(run, pattern)]  # type: ignore[call-overload]
        for some in changes:
            found |= some.model_dump(exclude_none=True) if some else {}
        return {name: value for name, value in found.items() if value != Knobs.model_fields[name].default}
