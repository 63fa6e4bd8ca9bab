"""What the adapter recipes share: labelled events, inputs from a frozen backbone or raw points, training, outputs."""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import nn

from tpcfm.config.fm4npp import AdapterConfig, TargetConfig
from tpcfm.config.run import Run
from tpcfm.errors import ConfigError, DataError
from tpcfm.evaluate.table import write_metrics
from tpcfm.files import atomic
from tpcfm.ingest.splits import label_order
from tpcfm.models.adapters import make_adapter
from tpcfm.prepare.batches import Batch, collate_sequences
from tpcfm.prepare.store import PreparedStore
from tpcfm.recipes.feature_cache import FeatureCache
from tpcfm.recipes.groups_support import choose_device, evaluation_batches, events_of, identity, spread
from tpcfm.recipes.sequences_support import load_backbone, model_card, new_backbone, run_record
from tpcfm.train import FitResult, Objective, PackedSource, StepInfo, evaluate_objective, fit, save_model, to_device
from tpcfm.workspace import Workspace

Rows = npt.NDArray[np.int64]
SHOWN_EVENTS = 8
LABELS = {"tracks": "track", "pid": "pid", "noise": "noise"}


class AdapterTask:
    """One downstream run: data, head and backbone, ready to train.

    Raises:
        DataError: too few labelled events, or none in validation or test.
        ConfigError: ``start: pretrained`` without a pretrained run.
        CheckpointError: the backbone does not fit the sequences.
    """

    def __init__(self, run: Run, workspace: Workspace, device: str | None) -> None:
        self.run, self.workspace = run, workspace
        self.block = AdapterConfig.model_validate(run.config)
        self.device = choose_device(device)
        self.store = PreparedStore(workspace.cache(run.cache))
        self.training = labelled_events(self.store, self.block.tasks, self.block.n_labels, self.block.seed)
        self.validation = spread(events_of(self.store, "validation"), self.block.validation_events)
        self.test = events_of(self.store, "test")
        self.features = self._features()
        self.inputs = "features" if self.features is None else "branches"
        torch.manual_seed(self.block.seed)
        self.model = make_adapter(self.block)
        self.inference_seconds = 0.0

    def _features(self) -> FeatureCache | None:
        """Return the frozen backbone's features of the training and validation events; None for raw points."""
        block = self.block
        if block.start == "none":
            return None
        if block.start == "random":
            backbone = new_backbone(block.model, TargetConfig(), block.seed)
        elif self.run.pretrained is None:
            raise ConfigError("start: pretrained needs the id of a pretraining run (`pretrained`), found none")
        else:
            folder = self.workspace.run(self.run.pretrained)
            backbone = load_backbone(folder, self.store)
            if backbone.config.width != block.model.width or backbone.config.depth != block.model.depth:
                raise ConfigError(
                    f"model: width {block.model.width}, depth {block.model.depth}, but the pretrained {folder} has "
                    f"width {backbone.config.width}, depth {backbone.config.depth}"
                )
        state = self.workspace.state(self.run.id)
        cache = FeatureCache(backbone, self.store, state, block.train.max_points, self.device, block.mix_embedding)
        cache.fill(np.concatenate([self.training, self.validation]))
        return cache

    def collate(self, store: PreparedStore, rows: Rows, info: StepInfo) -> Batch:
        """Join events into a batch with backbone features or raw points."""
        batch = collate_sequences(store, rows, 0)
        if self.features is not None:
            batch["branches"] = self.features(rows)
        return batch

    def batches(self, rows: Rows) -> Iterator[tuple[StepInfo, Batch]]:
        """Yield evaluation batches of some events in order."""
        return evaluation_batches(self.store, rows, self.collate, self.block.train.max_points, self.block.seed)

    def train(self, objective: Objective, max_seconds: float | None) -> Any:
        """Train the head, selecting the best weights on the validation loss; returns the ``FitResult``."""
        train = self.block.train

        def validate(network: nn.Module, step: int) -> dict[str, float]:
            return evaluate_objective(
                network, objective, self.batches(self.validation), self.device, precision=train.precision
            )

        source = PackedSource(
            self.store,
            self.training,
            self.collate,
            batch_size=train.batch_size,
            max_points=train.max_points,
            seed=self.block.seed,
            workers=train.workers,
        )
        return fit(
            self.model,
            objective,
            source,
            train,
            state=self.workspace.state(self.run.id),
            identity=identity(self.run, self.store, self.workspace),
            seed=self.block.seed,
            validate=validate,
            keep="best",
            max_seconds=max_seconds,
            device=self.device,
        )

    @torch.no_grad()
    def predict(
        self, answer: Callable[[Any], dict[str, torch.Tensor]], events: Rows | None = None
    ) -> Iterator[tuple[Rows, Batch, dict[str, Any]]]:
        """Yield (rows, batch, predictions) over some events; ``answer`` turns the model's output into what is wanted per task.

        Without ``events`` these are the test split, and the time this takes, backbone included, is counted.
        """
        self.model.to(self.device).eval()
        chosen = self.test if events is None else events
        batches, at = self.batches(chosen), 0
        while True:
            started = time.perf_counter()
            item = next(batches, None)
            if item is None:
                return
            batch = item[1]
            rows = chosen[at : at + len(batch["offsets"]) - 1]
            at += len(rows)
            tensors = to_device({name: batch[name] for name in (self.inputs, "offsets")}, self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.block.train.precision == "bfloat16"):
                found = answer(self.model(tensors[self.inputs], tensors["offsets"]))
            answers = {name: labels.cpu().numpy() for name, labels in found.items()}
            if events is None:
                self.inference_seconds += time.perf_counter() - started
            yield rows, batch, answers

    def metric_rows(
        self, task: str, values: Mapping[str, float], intervals: Mapping[str, tuple[float, float]]
    ) -> list[dict[str, Any]]:
        """Return rows of the metrics table for one task on the test split."""
        common = {
            "run": self.run.id,
            "family": self.run.family,
            "task": task,
            "split": "test",
            "n_labels": self.block.n_labels,
            "seed": self.block.seed,
        }
        rows = []
        for name, value in values.items():
            low, high = intervals.get(name, (float("nan"), float("nan")))
            rows.append({**common, "metric": name, "value": value, "low": low, "high": high})
        return rows

    def finish(self, result: Any, title: str, rows: list[dict[str, Any]], shown: list[dict[str, Any]]) -> None:
        """Write the model directory, metrics and predictions; give back the space of the features."""
        folder = self.workspace.run(self.run.id)
        extra = [("validation_loss", "validation", result.best_value)]
        extra += [("parameters", "", float(sum(p.numel() for p in self.model.parameters() if p.requires_grad)))]
        extra += [("training_seconds", "", result.seconds), ("training_steps", "", float(result.steps))]
        extra += [("stopped_early", "", float(result.steps < self.block.train.steps))]
        if self.inference_seconds:
            extra += [("events_per_second", "", len(self.test) / self.inference_seconds)]
        base = {k: v for k, v in rows[0].items() if k not in ("metric", "value", "low", "high", "class")}
        rows = rows + [{**base, "split": s, "metric": m, "value": v} for m, s, v in extra if v is not None]
        rows += [
            {**base, "task": name, "split": "validation", "metric": "cross_entropy", "value": value}
            for name, value in task_losses(result, self.block.tasks).items()
        ]
        values = {f"{r['task']} {r['metric']}": r["value"] for r in rows if not r.get("class")}
        source = {
            "pretrained": f"Frozen backbone: run `{self.run.pretrained}`.",
            "random": "Frozen backbone with random weights (control).",
            "none": "No backbone: the head reads raw points (control).",
        }[self.block.start]
        save_model(
            folder,
            self.model,
            config={
                "architecture": f"fm4npp_{self.block.task}",
                "adapter": self.block.model_dump(mode="json"),
                "pretrained": self.run.pretrained,
                "serialization": self.store.settings["serialization"],
                "edges": self.store.manifest.get("edges"),
                "detector": "sphenix",
            },
            card=model_card(title, self.run, self.store, self.model, values, source),
            run=run_record(self.run, self.store, result.seconds)
            | ({"features": self.features.record()} if self.features else {}),
            history=result.history,
        )
        write_predictions(folder / "predictions.parquet", shown)
        write_metrics(folder / "metrics.parquet", rows)
        if self.features is not None:
            self.features.close()


def task_losses(result: FitResult, tasks: list[str]) -> dict[str, float]:
    """Return the unweighted validation loss of each task at the step whose weights are kept; nothing where there is no such term.

    The monitored loss of a joint training is a weighted sum over its tasks, so it compares with no other run.
    """
    kept = [row for row in result.history if row["split"] == "validation" and row["step"] == result.best_step]
    return {name: float(kept[-1][name]) for name in tasks if kept and name in kept[-1]}


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
    for row, start, stop in zip(rows[:room], batch["offsets"][:-1], batch["offsets"][1:]):
        event = store[int(row)]
        points = {name: np.asarray(event[name]) for name in ("x", "y", "z", "energy")}
        labels = {"truth": truth[start:stop], "prediction": prediction[start:stop]}
        out.append({"event_id": event["event_id"], **points, **labels})
    return out


def write_predictions(path: Path, events: list[dict[str, Any]]) -> None:
    """Write per event ``event_id`` and lists ``x y z energy truth prediction`` (cm, ADC, labels)."""
    kinds = {
        **dict.fromkeys(("x", "y", "z", "energy"), pa.float32()),
        **dict.fromkeys(("truth", "prediction"), pa.int32()),
    }
    columns = {"event_id": pa.array([event["event_id"] for event in events], pa.string())}
    columns |= {name: pa.array([event[name] for event in events], pa.list_(kind)) for name, kind in kinds.items()}
    with atomic(path) as temporary:
        pq.write_table(pa.table(columns), temporary, compression="zstd")
