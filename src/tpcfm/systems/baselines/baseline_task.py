"""What the baselines on sequences share: training in one or several stages, and the outputs of a run."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from tpcfm.plan.run import Run
from tpcfm.prepare.packing import Batch
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.baselines.settings import PointBaselineConfig
from tpcfm.systems.baselines.track_settings import TrackBaselineConfig
from tpcfm.systems.fm4npp.support import METHOD, made_with
from tpcfm.tasks.labelled import LabelledTask
from tpcfm.tasks.support import Collate, Rows
from tpcfm.train import FitResult, Objective, StepInfo, to_device
from tpcfm.workspace import Workspace


class BaselineTask(LabelledTask):
    """One baseline on a sequences cache: the events, training and test pass that the adapters have.

    Args:
        run, workspace, device: as the recipe got them.
        block: settings of the run.
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
        collate: Collate,
    ) -> None:
        super().__init__(run, workspace, device, block, [block.label], block.validation_events)
        self.collate = collate
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

    def cost_rows(self, model: nn.Module, result: FitResult) -> list[dict[str, Any]]:
        """Return size, training time, speed and how it ended (``stopped_early``: 0 if the budget ended it, or one stage)."""
        best = {} if result.best_value is None else {"validation_loss": result.best_value}
        values = self.costs(model, result, stopped_early=all(self.plateaus))
        label = self.labels[0]
        return self.metric_rows(label, best, split="validation") + self.metric_rows(label, values, split="")

    def leave(
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
        """Write model directory, metrics (the costs are added) and predictions; arguments as in `finish`."""
        label = self.labels[0]
        classes = self.store.detector.classes()
        names = classes[label].names if label in classes else []
        rows = rows + self.cost_rows(model, result)
        config = {**config, "label": label, "classes": names, **made_with(self.store)}
        self.finish(model, result, rows, shown, title=title, what=f"{METHOD} {what}", config=config)
