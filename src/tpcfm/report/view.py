"""What a section of the page gets: one system of the plan, its metrics, its tasks, and the sheet of its figures."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from tpcfm.detectors.model import ClassLabel, Detector, Label
from tpcfm.evaluate.study import collect_studies
from tpcfm.evaluate.table import mean_over_seeds
from tpcfm.plan.table import Plan, Study
from tpcfm.report.draw.style import Sheet
from tpcfm.report.names import plain, task_title
from tpcfm.report.published.ledger import make_ledger
from tpcfm.report.published.lookup import Numbers, Task, published_numbers, published_task
from tpcfm.report.published.ours import Results, read_scored
from tpcfm.workspace import Workspace

LABELLED = ("heads_", "baselines_")
"""Beginnings of the studies of a task."""
INSTANCE_SCORES = ("ari", "efficiency", "purity")
COUNTED_OTHERWISE = ("ari_pooled", "efficiency_min_size", "purity_min_size")
"""The same over all points together, and of tracks of a least size alone."""
BY_PARTICLE = ("particle_accuracy", "particle_f1")
CLASS_SCORES = ("accuracy", "f1", "recall", "precision", "iou")


@dataclass(frozen=True)
class View:
    """A plan as the page shows it, or one system of it (``system``, a key; "" for all of the plan).

    ``paper`` is the plan of the papers' scale: what a number of the ledger that was not run would cost.
    """

    plan: Plan
    sheet: Sheet
    system: str = ""
    paper: Plan | None = None

    @cached_property
    def ledger(self) -> pd.DataFrame:
        """Every printed number beside ours (`tpcfm.report.published.ledger`)."""
        return make_ledger(Results(self.plan, read_scored(self.workspace)), self.paper)

    def systems(self) -> list["View"]:
        """Return a view of each system; titles say system and dataset where there are several."""
        keys = self.plan.systems()
        held = self.plan.config["systems"]
        notes = {key: f"{key}, {held[key]['dataset']}" if len(keys) > 1 else "" for key in keys}
        return [View(self.plan, self.sheet.of(key, notes[key]), key) for key in keys]

    @property
    def workspace(self) -> Workspace:
        """Where everything lies."""
        return Workspace(Path(self.plan.config["results"]))

    @cached_property
    def detector(self) -> Detector:
        """Detector of the labelled events of the system."""
        name = self.plan.config["systems"][self.system]["dataset"]
        return next(d for d in self.plan.datasets.values() if d.name == name).load_detector()

    def detector_of(self, run: str) -> Detector:
        """Return the detector of the events of a run."""
        return self.plan.datasets[self.plan.runs[run].dataset].load_detector()

    @property
    def studies(self) -> dict[str, Study]:
        """Studies of the system by name."""
        return {study.name: study for study in self.plan.studies.values() if study.system == self.system}

    def metrics(self, *experiments: str) -> pd.DataFrame:
        """Return the metrics of the system's studies of some experiments; see `collect_studies`."""
        own = {f"{self.system}.{name}": study for name, study in self.studies.items()}
        return collect_studies(self.plan.model_copy(update={"studies": own}), experiments)

    def published(self, study: str) -> Numbers:
        """Return what is published for a study; nothing for most."""
        return published_numbers(self.plan.family(self.system), self.detector.name, study)

    @property
    def task_names(self) -> list[str]:
        """Label columns that heads or baselines are trained on."""
        names = (name.removeprefix(part) for name in self.studies for part in LABELLED if name.startswith(part))
        return list(dict.fromkeys(names))

    def main_score(self, task: str) -> str:
        """Return the score that stands for a task."""
        return "accuracy" if isinstance(self.detector.labels[task], ClassLabel) else "ari"

    def tasks(self) -> list["TaskView"]:
        """Return the tasks that have test scores."""
        frame = self.metrics("finetune", "baselines")
        found = []
        for name in self.task_names:
            rows = frame[frame["study"].isin([part + name for part in LABELLED]) & frame["split"].isin(["test", ""])]
            if len(rows):
                published = published_task(self.plan.family(self.system), self.detector.name, name)
                rows = rows.assign(point=rows["point"].map(plain))
                found.append(TaskView(self, name, self.detector.labels[name], rows, published))
        return found


@dataclass(frozen=True)
class TaskView:
    """Test scores of one label column of a system: all starts of its heads, all baselines.

    Attributes:
        view: the system.
        name: the label column.
        label: of the detector.
        rows: metrics of the test events and of whole runs (split ""), ``point`` as people write it.
        published: scores of the paper, where there are any.
    """

    view: View
    name: str
    label: Label
    rows: pd.DataFrame
    published: Task

    @property
    def title(self) -> str:
        """The task as people write it."""
        return task_title(self.name, self.label)

    @property
    def classes(self) -> list[str]:
        """Names of the classes; none of instances."""
        return self.label.names if isinstance(self.label, ClassLabel) else []

    @property
    def scores(self) -> list[str]:
        """Scores over all classes that any run has, the main one first."""
        known = set(self.whole["metric"])
        return [m for m in (CLASS_SCORES if self.classes else INSTANCE_SCORES) if m in known]

    @property
    def whole(self) -> pd.DataFrame:
        """Rows over all classes."""
        return self.rows[self.rows["class"] == ""]

    def of(self, metric: str, name: str = "") -> pd.DataFrame:
        """Return mean and interval over seeds of a score, of one class or over all."""
        chosen = self.rows[(self.rows["metric"] == metric) & (self.rows["class"] == name)]
        return mean_over_seeds(chosen.dropna(subset="value"))
