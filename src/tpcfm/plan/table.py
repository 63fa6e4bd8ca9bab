"""The run table: datasets, caches, runs and studies of a configuration, with an id for each, as one file.

The Snakefile and the command line both read it; neither computes names itself.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from tpcfm.config.base import Block
from tpcfm.config.splits import SPLITS, folder_split, published_shares
from tpcfm.config.text import explain
from tpcfm.config.workflow import PicturesConfig
from tpcfm.detectors.model import Detector
from tpcfm.detectors.registry import load_detector
from tpcfm.errors import ConfigError
from tpcfm.files import read_json, short_hash, write_json
from tpcfm.plan.run import Run, changed

Experiment = Literal["pretrain", "scaling", "ablations", "finetune", "baselines"]


class Part(Block):
    """One raw file and the event table made of it."""

    name: str
    raw: str = Field(description="path of the raw file")
    origin: Literal["simulate", "download", "given"]
    index: int
    member: str = Field("", description="name inside the public release (download)")


class Dataset(Block):
    """A set of event tables of one detector."""

    id: str
    name: str = Field(description="key of the configuration; begins every event id")
    detector: str = Field(description="name or YAML file")
    source: dict[str, Any]
    parts: dict[str, Part]
    lock: str = Field("", description="list of the public release that downloads are checked against")

    @property
    def published_splits(self) -> list[str]:
        """Splits that the folders of its files name; [] for events that are divided by hash."""
        if self.source["split"]["by"] == "hash":
            return []
        return [split for split in SPLITS if split in {folder_split(part.raw) for part in self.parts.values()}]

    def shares(self, part: str) -> dict[str, float]:
        """Return the share of each split among the events of a part."""
        split, present = self.source["split"], self.published_splits
        validation, test = split["validation"], split["test"]
        if split["by"] == "hash":
            return {"train": 1 - validation - test, "validation": validation, "test": test}
        return published_shares(folder_split(self.parts[part].raw) or "train", present, validation, test)

    def load_detector(self) -> Detector:
        """Return its detector."""
        return load_detector(self.detector)


class Edges(Block):
    """Box edges of a serialization, fitted on the training events of a dataset or taken from an imported model."""

    id: str
    dataset: str
    serialization: dict[str, Any] = Field(description="settings that differ from the defaults")
    model: str | None = Field(None, description="imported model whose edges these are; else fitted")


class Cache(Block):
    """A prepared cache of one dataset."""

    id: str
    kind: Literal["groups", "sequences"]
    dataset: str
    settings: dict[str, Any] = Field(
        description="that differ from the defaults: of `TokenizerConfig`, or `serialization` and `targets`"
    )
    edges: str | None = None


class Point(Block):
    """One run of a study and the value of the thing the study varies."""

    run: str
    axis: str
    value: str


class Study(Block):
    """Runs of one system that are looked at together."""

    system: str
    name: str
    experiment: Experiment
    runs: list[str]
    points: list[Point]


class Plan(Block):
    """The resolved run table."""

    config: dict[str, Any]
    datasets: dict[str, Dataset] = Field(default_factory=dict)
    edges: dict[str, Edges] = Field(default_factory=dict)
    caches: dict[str, Cache] = Field(default_factory=dict)
    runs: dict[str, Run] = Field(default_factory=dict)
    studies: dict[str, Study] = Field(default_factory=dict, description="by `<system>.<name>`")

    @property
    def hash(self) -> str:
        """Eight hex digits over all that the report can depend on: what ids stand for, the studies, the pictures; not how jobs run."""
        ids = [sorted(held) for held in (self.datasets, self.edges, self.caches, self.runs)]
        studies = {name: study.model_dump(exclude_defaults=True) for name, study in self.studies.items()}
        pictures = self.config.get("pictures") and PicturesConfig.model_validate(self.config["pictures"])
        return short_hash([ids, studies, self.config.get("scale"), changed(pictures) if pictures else None])

    def of_stage(self, stage: str) -> list[str]:
        """Ids of the runs of one stage, sorted."""
        return sorted(r for r, run in self.runs.items() if run.stage == stage)

    def of_experiment(self, *experiments: str) -> list[str]:
        """Ids of the runs that any study of these experiments holds, sorted."""
        return sorted({r for s in self.studies.values() if s.experiment in experiments for r in s.runs})

    def study(self, system: str, name: str) -> Study | None:
        """Return a study of a system; None if it has none of that name."""
        return self.studies.get(f"{system}.{name}")

    def systems(self, *families: str) -> list[str]:
        """Keys of the systems, of some families if any are named."""
        held: dict[str, dict[str, Any]] = self.config["systems"]
        return [key for key, block in held.items() if not families or block["family"] in families]

    def family(self, system: str) -> str:
        """Family of a system."""
        return str(self.config["systems"][system]["family"])

    def write(self, folder: str | Path) -> Path:
        """Write the plan as ``<hash>.json`` (equal plans are one file) and return the path."""
        plain = self.model_dump(mode="json")
        path = Path(folder) / f"{short_hash(plain)}.json"
        if not path.exists():
            write_json(path, plain)
        return path

    @classmethod
    def read(cls, path: str | Path) -> "Plan":
        """Read a plan file.

        Raises:
            DataError: missing or not JSON.
            ConfigError: not a plan, or one of another version.
        """
        try:
            return cls.model_validate(read_json(path))
        except ValidationError as error:
            first = explain(error).splitlines()[0].strip()
            raise ConfigError(
                f"{path}: not a plan of this version: {first}; `tpcfm plan --write FOLDER` makes one"
            ) from error

    def run(self, name: str) -> Run:
        """Return one run.

        Args:
            name: its id, or the beginning of it as far as no other run begins with it (the hash need not be typed).

        Raises:
            ConfigError: no such run in this plan, or several that begin so.
        """
        found = [name] if name in self.runs else sorted(run for run in self.runs if name and run.startswith(name))
        if not found:
            raise ConfigError(f"run {name!r} is not in this plan; `tpcfm plan` lists its {len(self.runs)} runs")
        if len(found) > 1:
            more = f" and {len(found) - 4} more" if len(found) > 4 else ""
            raise ConfigError(f"run {name!r}: {len(found)} runs of this plan begin so: {', '.join(found[:4])}{more}")
        return self.runs[found[0]]
