"""Where everything lies below the results folder: the one place that knows the paths.

The Snakefile asks it too, with a wildcard such as ``{run}`` in the place of a name.
"""

from dataclasses import dataclass
from pathlib import Path

RUN_FILES = ("model.safetensors", "metrics.parquet", "run.json")
"""What every finished run has; each is written at its end, and whole."""
LEDGER = "ledger.parquet"
"""Beside the page of the report."""


@dataclass(frozen=True)
class Workspace:
    """Paths below one results folder."""

    root: Path

    @property
    def plans(self) -> Path:
        """Folder of run tables."""
        return self.root / "plan"

    def raw(self, dataset: str) -> Path:
        """Folder of the raw (simulated, downloaded) files of a dataset."""
        return self.root / "raw" / dataset

    def events(self, dataset: str) -> Path:
        """Folder of event tables: ``<part>.parquet``, ``<part>.rejected.parquet``, ``manifest.json``."""
        return self.root / "events" / dataset

    def event_table(self, dataset: str, part: str) -> Path:
        """Event table of one raw file."""
        return self.events(dataset) / f"{part}.parquet"

    def rejected(self, dataset: str, part: str) -> Path:
        """Table of the events of a raw file that failed a check."""
        return self.events(dataset) / f"{part}.rejected.parquet"

    def event_statistics(self, dataset: str, part: str) -> Path:
        """Summary and statistics of one event table."""
        return self.events(dataset) / f"{part}.statistics.json"

    def event_manifest(self, dataset: str) -> Path:
        """Manifest of the event tables of a dataset."""
        return self.events(dataset) / "manifest.json"

    def edges(self, edges: str) -> Path:
        """Box edges of a serialization."""
        return self.root / "edges" / f"{edges}.json"

    def cache(self, cache: str) -> Path:
        """Folder of a prepared cache: ``<part>.arrow``, ``manifest.json``, for sequences also ``edges.json``."""
        return self.root / "cache" / cache

    def cache_part(self, cache: str, part: str) -> Path:
        """Prepared events of one event table."""
        return self.cache(cache) / f"{part}.arrow"

    def cache_manifest(self, cache: str) -> Path:
        """Manifest of a prepared cache."""
        return self.cache(cache) / "manifest.json"

    def run(self, run: str) -> Path:
        """Model directory and outputs of a run (declared outputs only)."""
        return self.root / "runs" / run

    def weights(self, run: str) -> Path:
        """Weights of a run."""
        return self.run(run) / "model.safetensors"

    def model_config(self, run: str) -> Path:
        """Architecture of a run, and all that its weights need."""
        return self.run(run) / "config.json"

    def metrics(self, run: str) -> Path:
        """Metrics table of a run."""
        return self.run(run) / "metrics.parquet"

    def record(self, run: str) -> Path:
        """What made a run: ``run.json``."""
        return self.run(run) / "run.json"

    def finished(self, run: str) -> bool:
        """Whether all declared outputs of a run are there."""
        return all((self.run(run) / name).exists() for name in RUN_FILES)

    def state(self, run: str) -> Path:
        """Training state of a run: checkpoints, lock, its own log. Never a declared output of the workflow."""
        return self.root / "state" / run

    def pictures(self, system: str) -> Path:
        """Tables behind the pictures of a system (`tpcfm pictures`)."""
        return self.root / "pictures" / system

    def picture_manifest(self, system: str) -> Path:
        """Which of these tables there are."""
        return self.pictures(system) / "manifest.json"

    def study(self, study: str, system: str = "") -> Path:
        """Collected tables of a study (of one system, if it is made for each)."""
        return self.root / "studies" / study / system

    def study_table(self, study: str, table: str, system: str = "") -> Path:
        """One of these tables: ``metrics`` and what the study adds."""
        return self.study(study, system) / f"{table}.parquet"

    def predictions(self, model: str, file: str) -> Path:
        """Predictions of a file by a model (`snakemake predict`)."""
        return self.root / "predictions" / model / f"{file}.predictions.parquet"

    @property
    def scaling_page(self) -> Path:
        """The page of the scaling studies."""
        return self.study("scaling") / "index.html"

    def collected(self, experiment: str) -> Path:
        """Metrics of all runs of an experiment, with the value that each study varies."""
        return self.root / "studies" / f"{experiment}.parquet"

    @property
    def report(self) -> Path:
        """The page of the report."""
        return self.root / "report" / "index.html"

    @property
    def ledger(self) -> Path:
        """Every printed number beside ours."""
        return self.report.parent / LEDGER

    def scored(self, name: str) -> Path:
        """Scores of published weights (`tpcfm score`): ``metrics.parquet`` and ``score.json``, what they stand for."""
        return self.root / "scored" / name

    @property
    def store(self) -> Path:
        """Folder of the MLflow store."""
        return self.root / "mlflow"

    def stamp(self, name: str) -> Path:
        """What says that the store is made (``initialised``) or filled (``synced``)."""
        return self.store / f"{name}.json"

    def log(self, stage: str, *names: str) -> Path:
        """Log of a job."""
        return (
            (self.root / "logs").joinpath(stage, *names[:-1], f"{names[-1]}.log")
            if names
            else self.root / "logs" / f"{stage}.log"
        )
