"""What the comparison systems on collider events share: training in one or several stages, and the outputs of a run."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from tpcfm.evaluate.table import write_metrics
from tpcfm.plan.run import Run
from tpcfm.prepare.groups.batches import Batch
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.baselines.settings import PointBaselineConfig
from tpcfm.systems.baselines.track_settings import TrackBaselineConfig
from tpcfm.systems.fm4npp.support import card_values, model_card, run_record
from tpcfm.tasks.labelled import LABELS, ColliderTask, Rows
from tpcfm.tasks.predictions import write_predictions
from tpcfm.tasks.support import Collate
from tpcfm.train import FitResult, Objective, StepInfo, save_model, to_device
from tpcfm.workspace import Workspace


class BaselineTask(ColliderTask):
    """One comparison run on a sequences cache: the events, training and test pass that the adapters have.

    Args:
        run, workspace, device: as the recipe got them.
        block: settings of the run.
        task: ``tracks``, ``pid`` or ``noise``.
        collate: makes a batch of some events.

    Raises:
        DataError: too few labelled events, or none in validation or test.
    """

    def __init__(
        self,
        run: Run,
        workspace: Workspace,
        device: str | None,
        block: PointBaselineConfig | TrackBaselineConfig,
        *,
        task: str,
        collate: Collate,
    ) -> None:
        super().__init__(run, workspace, device, block, [task])
        self.task, self.collate = task, collate
        self.plateaus: list[bool] = []  # of each stage: did it end before its budget

    def make_batch(self, store: PreparedStore, rows: Rows, info: StepInfo) -> Batch:
        """Join events into a batch of graphs, voxels or inputs of a track finder."""
        return self.collate(store, rows, info)

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
        # Compiled kernels are made (or found) before the clock of the training starts.
        self.collate(self.store, self.training[:1], StepInfo(0, 0, self.seed, training=False))
        result = self.fit(model, objective, settings, max_seconds, stage)
        self.plateaus.append(result.steps < settings.steps)
        return result

    def predict(self, model: nn.Module, events: Rows | None = None) -> Iterator[tuple[Rows, Batch, Any]]:
        """Yield (rows, batch, answer of the model) as `answers` does."""
        return self.answers(model, lambda batch: model(to_device(batch, self.device)), events)

    def metric_rows(
        self,
        values: Mapping[str, float],
        intervals: Mapping[str, tuple[float, float]] | None = None,
        *,
        split: str = "test",
        name: str = "",
    ) -> list[dict[str, Any]]:
        """Return rows of the metrics table; ``name`` is the class, if they belong to one."""
        return self.task_rows(self.task, values, intervals, split=split, name=name)

    def cost_rows(self, model: nn.Module, result: FitResult) -> list[dict[str, Any]]:
        """Return size, training time, speed and how it ended (``stopped_early``: 0 if the budget ended it, or one stage)."""
        best = {} if result.best_value is None else {"validation_loss": result.best_value}
        values = self.costs(model, result, stopped_early=all(self.plateaus))
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
        save_model(
            folder,
            model,
            config={**config, "detector": "sphenix"},
            card=model_card(title, self.run, self.store, model, card_values(rows), what),
            run=run_record(self.run, self.store, result.seconds),
            history=result.history,
        )
        write_predictions(folder / "predictions.parquet", shown, self.store.detector, LABELS[self.task])
        write_metrics(folder / "metrics.parquet", rows)
