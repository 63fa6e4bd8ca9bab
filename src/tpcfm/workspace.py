"""Where everything lies below the results folder: the one place that knows the paths (the Snakefile uses the same)."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """Paths below one results folder."""

    root: Path

    def raw(self, dataset: str) -> Path:
        """Folder of the raw (simulated) files of a dataset."""
        return self.root / "raw" / dataset

    def events(self, dataset: str) -> Path:
        """Folder of event tables: ``<part>.parquet``, ``<part>.rejected.parquet``, ``manifest.json``."""
        return self.root / "events" / dataset

    def cache(self, cache: str) -> Path:
        """Folder of a prepared cache: ``<part>.arrow``, ``manifest.json``, for sequences also ``edges.json``."""
        return self.root / "cache" / cache

    def run(self, run: str) -> Path:
        """Model directory and outputs of a run (declared outputs only)."""
        return self.root / "runs" / run

    def finished(self, run: str) -> bool:
        """Whether all declared outputs of a run are there; each is written at its end, and whole."""
        return all((self.run(run) / name).exists() for name in ("model.safetensors", "metrics.parquet", "run.json"))

    def state(self, run: str) -> Path:
        """Training state of a run: checkpoints, lock, its own log. Never a declared output of the workflow."""
        return self.root / "state" / run

    def pictures(self, system: str) -> Path:
        """Tables behind the pictures of a system (`tpcfm pictures`)."""
        return self.root / "pictures" / system

    def study(self, study: str) -> Path:
        """Collected tables of a study: ``metrics.parquet`` and what it adds."""
        return self.root / "studies" / study
