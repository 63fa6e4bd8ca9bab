"""What adapters and comparison systems share: labelled collider events, training of a head, timed answers, shown events.

One path for all, so that events, label subsets, choice of weights and clocks are the same for every system of a seed.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from tpcfm.config.training import TrainConfig
from tpcfm.errors import DataError
from tpcfm.events.splits import label_order
from tpcfm.models.fm4npp.settings import AdapterConfig
from tpcfm.plan.run import Run
from tpcfm.prepare.groups.batches import Batch
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.baselines.settings import PointBaselineConfig
from tpcfm.systems.baselines.track_settings import TrackBaselineConfig
from tpcfm.tasks.predictions import point_columns
from tpcfm.tasks.support import choose_device, evaluation_batches, events_of, identity, packed_source, spread
from tpcfm.train import FitResult, Objective, StepInfo, evaluate_objective, fit
from tpcfm.workspace import Workspace

TaskConfig = AdapterConfig | PointBaselineConfig | TrackBaselineConfig
Rows = npt.NDArray[np.int64]
SHOWN_EVENTS = 8
LABELS = {"tracks": "track", "pid": "pid", "noise": "noise"}


class ColliderTask:
    """One training on labelled events of a sequences cache.

    Args:
        run, workspace, device: as the recipe got them.
        block: settings of the run; label count and seed name the label subset.
        tasks: of ``tracks``, ``pid`` and ``noise``.

    Raises:
        DataError: too few labelled events, or none in validation or test.
    """

    def __init__(self, run: Run, workspace: Workspace, device: str | None, block: TaskConfig, tasks: list[str]) -> None:
        self.run, self.workspace, self.device = run, workspace, choose_device(device)
        self.settings, self.n_labels, self.seed = block.train, block.n_labels, block.seed
        self.store = PreparedStore(workspace.cache(run.cache))
        self.training = labelled_events(self.store, tasks, self.n_labels, self.seed)
        self.validation = spread(events_of(self.store, "validation"), block.validation_events)
        self.test = events_of(self.store, "test")
        self.inference_seconds = 0.0

    def make_batch(self, store: PreparedStore, rows: Rows, info: StepInfo) -> Batch:
        """Join events into a batch that the model reads."""
        raise NotImplementedError

    def batches(self, rows: Rows) -> Iterator[tuple[StepInfo, Batch]]:
        """Yield evaluation batches of some events in order."""
        return evaluation_batches(self.store, rows, self.make_batch, self.settings.max_points, self.seed)

    def fit(
        self,
        model: nn.Module,
        objective: Objective,
        settings: TrainConfig,
        max_seconds: float | None,
        stage: str | None = None,
    ) -> FitResult:
        """Train, keeping the weights of the lowest validation loss; a ``stage`` has a state folder of its own."""

        def validate(network: nn.Module, step: int) -> dict[str, float]:
            batches = self.batches(self.validation)
            return evaluate_objective(network, objective, batches, self.device, precision=settings.precision)

        state = self.workspace.state(self.run.id)
        named = identity(self.run, self.store, self.workspace)
        return fit(
            model,
            objective,
            packed_source(self.store, self.training, self.make_batch, settings, self.seed),
            settings,
            state=state / stage if stage else state,
            identity={**named, "stage": stage} if stage else named,
            seed=self.seed,
            validate=validate,
            keep="best",
            max_seconds=max_seconds,
            device=self.device,
        )

    @torch.no_grad()
    def answers(
        self, model: nn.Module, answer: Callable[[Batch], Any], events: Rows | None = None
    ) -> Iterator[tuple[Rows, Batch, Any]]:
        """Yield (rows, batch, answer) over some events; without ``events`` over the test split, and the clock runs.

        The clock counts batches (backbone or graphs included) and the answer.
        """
        model.to(self.device).eval()
        chosen = self.test if events is None else events
        batches, at = self.batches(chosen), 0
        while True:
            started = time.perf_counter()
            item = next(batches, None)
            if item is None:
                return
            batch = item[1]
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bfloat16"):
                found = answer(batch)
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            if events is None:
                self.inference_seconds += time.perf_counter() - started
            rows = chosen[at : at + len(batch["offsets"]) - 1]
            at += len(rows)
            yield rows, batch, found

    def costs(self, model: nn.Module, result: FitResult, *, stopped_early: bool) -> dict[str, float]:
        """Return size, training time, how the training ended (0: its budget), and speed once the test split was seen."""
        values = {
            "parameters": float(sum(p.numel() for p in model.parameters() if p.requires_grad)),
            "training_seconds": result.seconds,
            "training_steps": float(result.steps),
            "stopped_early": float(stopped_early),
        }
        if self.inference_seconds:
            values["events_per_second"] = len(self.test) / self.inference_seconds
        return values

    def task_rows(
        self,
        task: str,
        values: Mapping[str, float],
        intervals: Mapping[str, tuple[float, float]] | None = None,
        *,
        split: str = "test",
        name: str = "",
    ) -> list[dict[str, Any]]:
        """Return rows of the metrics table for one task; ``name`` is the class, if they belong to one."""
        common: dict[str, Any] = {"run": self.run.id, "family": self.run.family, "task": task, "split": split}
        common |= {"class": name, "n_labels": self.n_labels, "seed": self.seed}
        nothing = (float("nan"), float("nan"))
        return [
            {**common, "metric": metric, "value": value, "low": low, "high": high}
            for metric, value in values.items()
            for low, high in [(intervals or {}).get(metric, nothing)]
        ]


def labelled_events(store: PreparedStore, tasks: list[str], n_labels: int, seed: int) -> Rows:
    """Return ``n_labels`` training events in the order of their nested subsets: the same for every system of a seed.

    Raises:
        DataError: too few training events, or without the labels of a task.
    """
    rows = events_of(store, "train")
    if n_labels > len(rows):
        raise DataError(
            f"{store.folder}: {n_labels} labelled events asked for, the training split holds {len(rows)}; "
            "lower n_labels or prepare more events"
        )
    for name in tasks:
        if store.value(int(rows[0]), LABELS[name]) is None:
            raise DataError(f"{store.folder}: events carry no {LABELS[name]!r} labels, the task {name!r} needs them")
    return rows[label_order(store.event_ids(rows), seed)[:n_labels]]


def shown_events(
    store: PreparedStore, rows: Rows, batch: Batch, truth: npt.NDArray[Any], prediction: npt.NDArray[Any], room: int
) -> list[dict[str, Any]]:
    """Return at most ``room`` events of a batch as rows of the predictions table."""
    out = []
    columns = point_columns(store.detector)
    for row, start, stop in zip(rows[:room], batch["offsets"][:-1], batch["offsets"][1:]):
        event = store[int(row)]
        points = {name: np.asarray(event[name]) for name in columns}
        labels = {"truth": truth[start:stop], "prediction": prediction[start:stop]}
        out.append({"event_id": event["event_id"], **points, **labels})
    return out
