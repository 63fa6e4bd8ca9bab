"""Watching for values that are not finite: training stops at once, and the events of the step are on record."""

from pathlib import Path

import torch
from torch import Tensor

from tpcfm.errors import DivergenceError
from tpcfm.files import write_json
from tpcfm.losses.objective import Batch, StepInfo, finite_or_none
from tpcfm.train.distributed import Ranks


class FiniteWatch:
    """Remembers the last steps' losses and gradient norms on the device; reading them is left to ``check``.

    On CUDA reading a value stalls the device, so the loop checks when it logs and before every save: a checkpoint never
    holds weights that have seen a bad step.
    """

    def __init__(self, state: Path, ranks: Ranks) -> None:
        self.path = state / "not_finite.json"
        self.ranks = ranks
        self._steps: list[tuple[int, int, list[int]]] = []
        self._values: list[Tensor] = []

    def add(self, step: int, micro: list[tuple[StepInfo, Batch]], loss: Tensor, norm: Tensor) -> None:
        """Note a step: this rank's part of the loss and the norm of the summed gradient."""
        keys = [int(k) for _, batch in micro for k in batch.get("event_key", ())]
        epoch = micro[0][0].epoch if micro else -1
        self._steps.append((step, epoch, keys))
        self._values.append(torch.stack([loss.detach().float(), norm.detach().float().to(loss.device)]))

    def check(self) -> None:
        """Read the noted values (a collective call).

        Raises:
            DivergenceError: a value was not finite; names step, values and the file with the event keys.
        """
        if not self._values:
            return
        values = torch.stack(self._values)
        good = self.ranks.sum(torch.isfinite(values).all(dim=1).double().tolist())
        first = next((i for i, n in enumerate(good) if n < self.ranks.world), None)
        steps, self._steps, self._values = self._steps, [], []
        if first is None:
            return
        step, epoch, keys = steps[first]
        loss, norm = values[first].tolist()
        parts = self.ranks.gather({"loss": finite_or_none(loss), "event_key": keys})
        if self.ranks.is_main:
            record = {"step": step, "epoch": epoch, "gradient_norm": finite_or_none(norm)}
            write_json(self.path, {**record, "ranks": parts})
        raise DivergenceError(
            f"step {step}: loss {loss}, gradient norm {norm}: not finite, so training stops before saving; the events "
            f"of the step are in {self.path}; lower learning_rate, clip harder, or look at those events"
        )
