"""Means of the training values since the last log row, summed on the device."""

import resource
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from tpcfm.train.distributed import Ranks
from tpcfm.train.source import MicroBatches


class Window:
    """Sums over the steps since the last row; part of a checkpoint, so that a resumed run logs the same rows."""

    def __init__(self, terms: list[str], content: Mapping[str, float]) -> None:
        """``content``: what ``content()`` of an earlier window returned, empty for a fresh one."""
        self.terms = terms
        self._sums: dict[str, float | Tensor] = dict(content)
        self._begun = time.monotonic()
        self._here = 0.0

    def add(self, means: Mapping[str, Tensor], loss: Tensor, norm: Tensor, micro: MicroBatches) -> None:
        """Add a step: this rank's parts of the terms and of the loss, the gradient norm, and its events."""
        events = float(sum(len(batch["offsets"]) - 1 for _, batch in micro if "offsets" in batch))
        points = float(sum(int(batch["offsets"][-1]) for _, batch in micro if "offsets" in batch))
        self._here += 1
        values = {
            "steps": 1.0,
            "events": events,
            "points": points,
            "loss": loss.detach(),
            "gradient_norm": norm.detach(),
        }
        for term, mean in means.items():
            values[f"sum {term}"] = mean.detach()
            values[f"steps {term}"] = 1.0
        for key, value in values.items():
            before: Any = self._sums.get(key, 0.0)
            self._sums[key] = before + (value.double() if isinstance(value, Tensor) else value)

    def content(self) -> dict[str, float]:
        """Return the sums as plain numbers."""
        return {name: float(value) for name, value in self._sums.items()}

    @staticmethod
    def share(contents: list[dict[str, float]], rank: int, same_world: bool) -> dict[str, float]:
        """Return a rank's window out of a checkpoint; with another number of ranks the first gets the sums of all."""
        if same_world:
            return contents[rank]
        first = dict(contents[0])
        for other in contents[1:]:
            for name, value in other.items():
                if name in ("events", "points", "loss") or name.startswith("sum "):
                    first[name] = first.get(name, 0.0) + value
        shared = {"steps", "gradient_norm"}
        return first if rank == 0 else {k: v for k, v in first.items() if k in shared or k.startswith("steps ")}

    def close(self, ranks: Ranks) -> dict[str, float]:
        """Return the means over the window and all ranks, with speed and memory, and start a new one."""
        own = self.content()
        seconds = max(time.monotonic() - self._begun, 1e-9)
        summed = ["loss", "events", "points", *(f"sum {name}" for name in self.terms)]
        total = dict(zip(summed, ranks.sum([own.get(name, 0.0) for name in summed])))
        steps = own["steps"]
        row = {"loss": total["loss"] / steps}
        row |= {n: total[f"sum {n}"] / own[f"steps {n}"] for n in self.terms if own.get(f"steps {n}")}
        share = self._here / steps  # of the window, what was computed by this attempt
        row |= {
            "gradient_norm": own["gradient_norm"] / steps,
            "events_per_s": total["events"] * share / seconds,
            "points_per_s": total["points"] * share / seconds,
            "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
        if ranks.device.type == "cuda":
            row["gpu_memory_mib"] = torch.cuda.max_memory_allocated(ranks.device) / 2**20
            with suppress(ImportError, RuntimeError):  # of this rank's own device; needs NVIDIA's management library
                row["gpu_percent"] = float(torch.cuda.utilization(ranks.device))
        self._sums, self._begun, self._here = {}, time.monotonic(), 0.0
        return row
