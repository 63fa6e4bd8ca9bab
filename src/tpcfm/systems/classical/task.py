"""What the classical recipes share: events with local geometry from a cache of any kind, and the outputs of a run."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from tpcfm.plan.run import Run
from tpcfm.prepare.packing import Batch
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.classical.settings import FinderConfig, TreesConfig
from tpcfm.systems.fm4npp.support import made_with
from tpcfm.tasks.geometry import Geometry
from tpcfm.tasks.labelled import LabelledTask
from tpcfm.tasks.support import Rows
from tpcfm.train import FitResult, StepInfo
from tpcfm.workspace import Workspace


class ClassicalTask(LabelledTask):
    """One classical method on labelled events.

    Args:
        run, workspace, device: as the recipe got them.
        block: settings of the run.
        geometry: makes its batches.

    Raises:
        DataError: too few labelled events, or none in validation or test.
    """

    def __init__(
        self, run: Run, workspace: Workspace, device: str | None, block: TreesConfig | FinderConfig, geometry: Geometry
    ) -> None:
        super().__init__(run, workspace, device, block, [block.label], block.validation_events)
        self.label, self.geometry = block.label, geometry

    def make_batch(self, store: PreparedStore, rows: Rows, info: StepInfo) -> Batch:
        """Join events into a batch with their local geometry."""
        return self.geometry(store, rows, info)

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
        parameters: int,
    ) -> None:
        """Write model directory, metrics (the costs are added) and predictions; ``parameters``: learned numbers."""
        costs = self.costs(model, result, stopped_early=False) | {"parameters": float(parameters)}
        rows = rows + self.metric_rows(self.label, costs, split="")
        groups = self.store.manifest["kind"] == "groups"
        classes = self.store.detector.classes()
        config = {
            **config,
            "label": self.label,
            "classes": classes[self.label].names if self.label in classes else [],
            **({"tokenizer": self.store.settings} if groups else made_with(self.store)),
        }
        self.finish(model, result, rows, shown, title=title, what=what, config=config)
