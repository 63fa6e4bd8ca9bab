"""What the comparison systems on collider events share: the adapters' events and selection, timing, outputs."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from tpcfm.config.run import Run
from tpcfm.config.training import TrainConfig
from tpcfm.evaluate.table import write_metrics
from tpcfm.prepare.batches import Batch
from tpcfm.prepare.store import PreparedStore
from tpcfm.recipes.adapter_task import Rows, labelled_events, write_predictions
from tpcfm.recipes.groups_support import Collate, choose_device, evaluation_batches, events_of, identity, spread
from tpcfm.recipes.sequences_support import model_card, run_record
from tpcfm.train import FitResult, Objective, PackedSource, StepInfo, evaluate_objective, fit, save_model, to_device
from tpcfm.workspace import Workspace


class BaselineTask:
    """One comparison run on a sequences cache: the events, training and test pass that the adapters have.

    Args:
        run, workspace, device: as the recipe got them.
        task: ``tracks``, ``pid`` or ``noise``.
        train: training settings.
        n_labels, seed: name the label subset.
        validation_events: size of the fixed validation set.
        collate: makes a batch of some events.

    Raises:
        DataError: too few labelled events, or none in validation or test.
    """

    def __init__(
        self,
        run: Run,
        workspace: Workspace,
        device: str | None,
        *,
        task: str,
        train: TrainConfig,
        n_labels: int,
        seed: int,
        validation_events: int,
        collate: Collate,
    ) -> None:
        self.run, self.workspace, self.device = run, workspace, choose_device(device)
        self.task, self.settings, self.n_labels, self.seed, self.collate = task, train, n_labels, seed, collate
        self.store = PreparedStore(workspace.cache(run.cache))
        self.training = labelled_events(self.store, [task], n_labels, seed)
        self.validation = spread(events_of(self.store, "validation"), validation_events)
        self.test = events_of(self.store, "test")
        self.inference_seconds = 0.0
        self.plateaus: list[bool] = []  # of each stage: did it end before its budget

    def batches(self, rows: Rows) -> Iterator[tuple[StepInfo, Batch]]:
        """Yield evaluation batches of some events in order."""
        return evaluation_batches(self.store, rows, self.collate, self.settings.max_points, self.seed)

    def train(
        self,
        model: nn.Module,
        objective: Objective,
        max_seconds: float | None,
        *,
        stage: str | None = None,
        steps: int | None = None,
    ) -> FitResult:
        """Train, selecting the best weights on the validation loss.

        Args:
            model: all of a system, or a part of it.
            objective: its loss.
            max_seconds: as the recipe got it.
            stage: name of a part, which is trained in a state folder of its own.
            steps: of a part; all of the budget if not given.
        """
        settings = self.settings
        if steps is not None:
            settings = settings.model_copy(
                update={"steps": steps, "warmup_steps": min(settings.warmup_steps, steps // 5)}
            )
        state = self.workspace.state(self.run.id)
        named = identity(self.run, self.store, self.workspace)

        def validate(network: nn.Module, step: int) -> dict[str, float]:
            batches = self.batches(self.validation)
            return evaluate_objective(network, objective, batches, self.device, precision=settings.precision)

        # Compiled kernels are made (or found) before the clock of the training starts.
        self.collate(self.store, self.training[:1], StepInfo(0, 0, self.seed, training=False))
        source = PackedSource(
            self.store,
            self.training,
            self.collate,
            batch_size=settings.batch_size,
            max_points=settings.max_points,
            seed=self.seed,
            workers=settings.workers,
        )
        result = fit(
            model,
            objective,
            source,
            settings,
            state=state / stage if stage else state,
            identity={**named, "stage": stage} if stage else named,
            seed=self.seed,
            validate=validate,
            keep="best",
            max_seconds=max_seconds,
            device=self.device,
        )
        self.plateaus.append(result.steps < settings.steps)
        return result

    @torch.no_grad()
    def predict(self, model: nn.Module, events: Rows | None = None) -> Iterator[tuple[Rows, Batch, Any]]:
        """Yield (rows, batch, answer of the model) over some events.

        Without ``events`` these are the test split, and the time of batches and model is counted.
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
                answer = model(to_device(batch, self.device))
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            if events is None:
                self.inference_seconds += time.perf_counter() - started
            rows = chosen[at : at + len(batch["offsets"]) - 1]
            at += len(rows)
            yield rows, batch, answer

    def metric_rows(
        self,
        values: Mapping[str, float],
        intervals: Mapping[str, tuple[float, float]] | None = None,
        *,
        split: str = "test",
        name: str = "",
    ) -> list[dict[str, Any]]:
        """Return rows of the metrics table; ``name`` is the class, if they belong to one."""
        common: dict[str, Any] = {
            "run": self.run.id,
            "family": self.run.family,
            "task": self.task,
            "split": split,
            "class": name,
        }
        common |= {"n_labels": self.n_labels, "seed": self.seed}
        nothing = (float("nan"), float("nan"))
        return [
            {**common, "metric": metric, "value": value, "low": low, "high": high}
            for metric, value in values.items()
            for low, high in [(intervals or {}).get(metric, nothing)]
        ]

    def cost_rows(self, model: nn.Module, result: FitResult) -> list[dict[str, Any]]:
        """Return size, training time, speed and how it ended (``stopped_early``: 0 if the budget ended it, or one stage)."""
        best = {} if result.best_value is None else {"validation_loss": result.best_value}
        values = {
            "parameters": float(sum(p.numel() for p in model.parameters() if p.requires_grad)),
            "training_seconds": result.seconds,
            "training_steps": float(result.steps),
            "stopped_early": float(all(self.plateaus)),
        }
        if self.inference_seconds:
            values["events_per_second"] = len(self.test) / self.inference_seconds
        return self.metric_rows(best, split="validation") + self.metric_rows(values, split="")

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
    ) -> None:
        """Write model directory, metrics and predictions.

        Args:
            model: trained.
            result: of the training.
            rows: metrics on the test split; costs are added here.
            shown: rows of the predictions table (``shown_events``).
            title, what: of the model card.
            config: what it takes to build the model again.
        """
        folder = self.workspace.run(self.run.id)
        rows = rows + self.cost_rows(model, result)
        values = {f"{r['task']} {r['metric']}": r["value"] for r in rows if not r["class"]}
        save_model(
            folder,
            model,
            config={**config, "detector": "sphenix"},
            card=model_card(title, self.run, self.store, model, values, what),
            run=run_record(self.run, self.store, result.seconds),
            history=result.history,
        )
        write_predictions(folder / "predictions.parquet", shown)
        write_metrics(folder / "metrics.parquet", rows)
