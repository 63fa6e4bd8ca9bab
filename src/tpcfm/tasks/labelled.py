"""What every training on labels shares: labelled events, training of a head, timed answers, shown events, what a run leaves.

One path for all, so that events, label subsets, choice of weights and clocks are the same for every system of a seed.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from tpcfm.config.base import LabelCount
from tpcfm.config.training import TrainConfig
from tpcfm.errors import DataError
from tpcfm.evaluate.table import write_metrics
from tpcfm.events.splits import label_order
from tpcfm.plan.run import Run
from tpcfm.prepare.packing import Batch
from tpcfm.prepare.store import PreparedStore
from tpcfm.tasks.predictions import point_columns, write_predictions
from tpcfm.tasks.support import (
    Rows,
    card_values,
    choose_device,
    evaluation_batches,
    events_of,
    identity,
    metric_rows,
    model_card,
    packed_source,
    run_record,
    spread,
)
from tpcfm.train import FitResult, Objective, StepInfo, evaluate_objective, fit, save_model
from tpcfm.train.memory import step_memory
from tpcfm.workspace import Workspace

SHOWN_EVENTS = 8
Validate = Callable[[nn.Module, int], dict[str, float]]


class LabelledBlock(Protocol):
    """Settings of a training on labels: label count and seed name the label subset."""

    @property
    def train(self) -> TrainConfig:
        """Settings of the training."""
        ...

    @property
    def n_labels(self) -> LabelCount | Literal[0]:
        """Labelled training events."""
        ...

    @property
    def seed(self) -> int:
        """Seed of the subset, the first weights and the batches."""
        ...


class LabelledTask:
    """One training on labelled events of a prepared cache.

    Args:
        run, workspace, device: as the recipe got them.
        block: settings of the run.
        labels: label columns that are predicted.
        validation_events: events of the fixed validation set, evenly spaced among the labelled ones of its split.

    Raises:
        DataError: too few labelled events, or none in validation or test.
    """

    def __init__(
        self,
        run: Run,
        workspace: Workspace,
        device: str | None,
        block: LabelledBlock,
        labels: Sequence[str],
        validation_events: int,
    ) -> None:
        self.run, self.workspace, self.device = run, workspace, choose_device(device)
        self.seed = block.seed
        self.labels = list(labels)
        self.store = PreparedStore(workspace.cache(run.cache))
        self.training = labelled_events(self.store, self.labels, block.n_labels, self.seed)
        self.n_labels = len(self.training)
        batch = min(block.train.batch_size, max(1, self.n_labels))
        self.settings = block.train.model_copy(update={"batch_size": batch})
        self.validation = spread(with_labels(self.store, "validation", self.labels), validation_events)
        self.test = with_labels(self.store, "test", self.labels)
        self.folder = workspace.run(run.id)
        self.inference_seconds = 0.0
        self.megabytes = 0.0  # of a training step

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
        *,
        validate: Validate | None = None,
        monitor: str = "loss",
    ) -> FitResult:
        """Train, keeping the best weights of the validation events.

        Args:
            model, objective, settings, max_seconds: as in `tpcfm.train.fit`.
            stage: has a state folder of its own.
            validate: values of the validation events; the loss if not given.
            monitor: which of them is to be small; with a minus in front, large.
        """

        def loss(network: nn.Module, step: int) -> dict[str, float]:
            batches = self.batches(self.validation)
            return evaluate_objective(network, objective, batches, self.device, precision=settings.precision)

        groups = getattr(model, "parameter_groups", None)
        state = self.workspace.state(self.run.id)
        named = identity(self.run, self.store, self.workspace)
        result = fit(
            model,
            objective,
            packed_source(self.store, self.training, self.make_batch, settings, self.seed),
            settings,
            state=state / stage if stage else state,
            identity={**named, "stage": stage} if stage else named,
            seed=self.seed,
            validate=validate or loss,
            monitor=monitor,
            keep="best",
            parameter_groups=groups(settings.weight_decay) if callable(groups) else None,
            max_seconds=max_seconds,
            device=self.device,
        )
        self.megabytes = max(self.megabytes, self._megabytes(model, objective, settings))
        return result

    def _megabytes(self, model: nn.Module, objective: Objective, settings: TrainConfig) -> float:
        """Return the megabytes that a training step holds, by count, for the first batch (no more points than a micro-batch may have)."""
        rows = self.training[: settings.batch_size]
        rows = rows[: max(1, int((np.cumsum(self.store.lengths[rows]) <= settings.max_points).sum()))]
        info = StepInfo(step=0, epoch=0, seed=self.seed, training=True)
        batch = self.make_batch(self.store, rows, info)
        return step_memory(model, objective, batch, info, self.device, settings.precision) / 1e6

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
        """Return size, training time and memory, how the training ended (0: its budget), and speed once the test split was seen."""
        values = {
            "parameters": float(sum(p.numel() for p in model.parameters() if p.requires_grad)),
            "training_seconds": result.seconds,
            "training_steps": float(result.steps),
            "stopped_early": float(stopped_early),
        }
        if self.megabytes:
            values["training_megabytes"] = self.megabytes
        if self.inference_seconds:
            values["events_per_second"] = len(self.test) / self.inference_seconds
        return values

    def cost_rows(self, model: nn.Module, result: FitResult) -> list[dict[str, Any]]:
        """Return `costs` as rows of the metrics table."""
        values = self.costs(model, result, stopped_early=result.steps < self.settings.steps)
        return self.metric_rows(self.labels[0], values, split="")

    def metric_rows(
        self,
        label: str,
        values: Mapping[str, float],
        intervals: Mapping[str, tuple[float, float]] | None = None,
        *,
        split: str = "test",
        name: str = "",
    ) -> list[dict[str, Any]]:
        """Return rows of the metrics table for one label; ``name`` is the class, if they belong to one."""
        return metric_rows(self.run, values, intervals, task=label, split=split, name=name, n_labels=self.n_labels)

    def finish(
        self,
        model: nn.Module,
        result: FitResult,
        rows: list[dict[str, Any]],
        shown: list[dict[str, Any]],
        *,
        title: str,
        what: str,
        config: Mapping[str, Any],
        record: Mapping[str, Any] | None = None,
    ) -> None:
        """Write model directory, metrics and predictions.

        Args:
            model: trained.
            result: of the training.
            rows: of the metrics table.
            shown: rows of the predictions table (`shown_events`), of the first label.
            title, what: of the model card.
            config: what it takes to build the model again; the detector is added.
            record: more for ``run.json``.
        """
        save_model(
            self.folder,
            model,
            config={**config, "detector": self.store.detector.model_dump(mode="json", exclude_defaults=True)},
            card=model_card(title, self.run, self.store, model, card_values(rows), what),
            run={**run_record(self.run, self.store, result.seconds), **(record or {})},
            history=result.history,
        )
        write_predictions(self.folder / "predictions.parquet", shown, self.store.detector, self.labels[0])
        write_metrics(self.folder / "metrics.parquet", rows)


def with_labels(store: PreparedStore, split: str, labels: Sequence[str]) -> Rows:
    """Return the events of a split that carry some labels.

    Raises:
        DataError: the detector has no such label, or no event of the split carries them all.
    """
    rows = events_of(store, split)
    for label in labels:
        if label not in store.detector.labels:
            known = ", ".join(store.detector.labels) or "none"
            raise DataError(f"{store.folder}: {store.detector.name} has no label {label!r}; it has: {known}")
    parts = store.record_batches(labels)
    carried = [~np.any([column.is_null() for column in part.values()], axis=0) for part in parts]
    found = rows[np.concatenate(carried)[rows]]
    if not len(found):
        raise DataError(f"{store.folder}: no event of the split {split!r} carries labels {', '.join(labels)}")
    return found


def labelled_events(store: PreparedStore, labels: Sequence[str], n_labels: LabelCount | Literal[0], seed: int) -> Rows:
    """Return ``n_labels`` training events (``all``: every one) in the order of their nested subsets: the same for every system of a seed.

    Raises:
        DataError: too few training events with these labels.
    """
    rows = with_labels(store, "train", labels)
    if n_labels == "all":
        n_labels = len(rows)
    if n_labels > len(rows):
        raise DataError(
            f"{store.folder}: {n_labels} labelled events asked for, the training split holds {len(rows)}; "
            "lower `labels` of the task, or bring more events"
        )
    return rows[label_order(store.event_ids(rows), seed)[:n_labels]]


def check_outputs(store: PreparedStore, outputs: dict[str, int]) -> None:
    """Make sure that a head has as many outputs as its labels have classes.

    Raises:
        DataError: it was planned for another version of the detector.
    """
    classes = store.detector.classes()
    for label, count in outputs.items():
        found = len(classes[label].values) if label in classes else 0
        if found != count:
            raise DataError(
                f"{store.folder}: the label {label!r} has {found} classes (0: instances), the run was planned for {count}; "
                "prepare the cache again, or plan again"
            )


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
