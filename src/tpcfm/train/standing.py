"""How far a training has come: what a checkpoint holds beside model, optimiser and generators, and what ``fit`` returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tpcfm.errors import ConfigError
from tpcfm.train.window import Window


@dataclass
class FitResult:
    """What came out of a training; the model itself holds the weights asked for with ``keep``."""

    steps: int
    """Optimiser steps done (fewer than planned after stopping early)."""
    best_step: int | None
    """Step of the best validation, None without validation."""
    best_value: float | None
    """Monitored value there."""
    seconds: float
    """Training time over all attempts."""
    history: list[dict[str, Any]]
    """Rows of the log: ``step`` (steps done), ``split`` (train, validation) and values."""


@dataclass
class Standing:
    """Plain values, saved and restored with every checkpoint."""

    step: int = 0
    """Steps done."""
    complete: bool = False
    """Nothing is left to do: all steps taken, or stopped early."""
    best_step: int | None = None
    best_value: float | None = None
    worse: int = 0
    """Validations since the best one."""
    seconds: float = 0.0
    """Training time of all attempts, as of the last save."""
    tracking: str | None = None
    """The tracking server's name of this run."""
    window: dict[str, float] = field(default_factory=dict)
    """Sums since the last log row."""

    @classmethod
    def restored(cls, content: Mapping[str, Any], rank: int, same_world: bool) -> "Standing":
        """Return what a checkpoint says, with this rank's share of the window."""
        plain = {name: content[name] for name in vars(cls()) if name != "window"}
        return cls(**plain, window=Window.share(content["window"], rank, same_world))

    def judge(self, values: Mapping[str, float], monitor: str, patience: int) -> bool:
        """Note a validation; return whether it is the best so far. Runs out of patience by setting ``complete``."""
        value = monitored(values, monitor)
        sign = -1 if monitor.startswith("-") else 1
        if self.best_value is None or sign * value < sign * self.best_value:
            self.best_step, self.best_value, self.worse = self.step, value, 0
            return True
        self.worse += 1
        self.complete = bool(patience) and self.worse >= patience
        return False


def monitored(values: Mapping[str, float], monitor: str) -> float:
    """Return the monitored value.

    Raises:
        ConfigError: it is not among the validated ones.
    """
    name = monitor.removeprefix("-")
    if name not in values:
        raise ConfigError(f"monitor: {name!r} is not among the validated values; allowed: {', '.join(sorted(values))}")
    return values[name]
