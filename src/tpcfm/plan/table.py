"""The run table: one place turns the configuration into datasets, caches, runs and studies, with an id for each.

An id is a readable slug plus eight hex digits over everything that determines the result, so changing one value renames
exactly what depends on it. The Snakefile and the command line both read the plan; neither computes names itself.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from tpcfm.config.base import Block
from tpcfm.config.data import ColliderSource, LArTPCSource
from tpcfm.config.sources import expand, part_name
from tpcfm.config.text import explain
from tpcfm.config.workflow import WorkflowConfig
from tpcfm.errors import ConfigError
from tpcfm.files import read_json, short_hash, write_json
from tpcfm.plan.run import Run

# Raise a number when a stage's results change for the same settings: everything after it is made anew.
STAGE_VERSIONS = {"simulate": 1, "ingest": 1, "prepare": 1}


class Part(Block):
    """One raw file and the event table made of it."""

    name: str
    raw: str = Field(description="path of the raw file (TPCpp-10M: of the spacepoints file)")
    origin: Literal["simulate", "download", "given"]
    index: int
    member: str = Field("", description="name inside the public release (download)")


class Dataset(Block):
    """A set of event tables."""

    id: str
    name: str
    layout: Literal["pilarnet", "tpcpp"]
    source: dict[str, Any]
    parts: dict[str, Part]


class Edges(Block):
    """Bin edges of a serialization, fitted on the training events of a dataset or taken from an imported model."""

    id: str
    dataset: str
    serialization: dict[str, Any]
    model: str | None = Field(
        None, exclude_if=lambda name: name is None, description="imported model whose edges these are; else fitted"
    )


class Cache(Block):
    """A prepared cache of one dataset."""

    id: str
    kind: Literal["groups", "sequences"]
    dataset: str
    settings: dict[str, Any]
    edges: str | None = None


class Point(Block):
    """One run of a study and the value of the thing the study varies."""

    run: str
    axis: str
    value: str


class Study(Block):
    """Runs that are looked at together."""

    experiment: Literal["pretrain", "scaling", "ablations", "finetune", "baselines"]
    runs: list[str]
    points: list[Point]


class Plan(Block):
    """The resolved run table."""

    config: dict[str, Any]
    datasets: dict[str, Dataset] = Field(default_factory=dict)
    edges: dict[str, Edges] = Field(default_factory=dict)
    caches: dict[str, Cache] = Field(default_factory=dict)
    runs: dict[str, Run] = Field(default_factory=dict)
    studies: dict[str, Study] = Field(default_factory=dict)

    @property
    def hash(self) -> str:
        """Eight hex digits over the whole plan."""
        return short_hash(self.model_dump(mode="json"))

    def of_stage(self, stage: str) -> list[str]:
        """Ids of the runs of one stage, sorted."""
        return sorted(r for r, run in self.runs.items() if run.stage == stage)

    def of_experiment(self, *experiments: str) -> list[str]:
        """Ids of the runs that any study of these experiments holds, sorted."""
        return sorted({r for s in self.studies.values() if s.experiment in experiments for r in s.runs})

    def write(self, folder: str | Path) -> Path:
        """Write the plan as ``<hash>.json`` (once; equal plans are one file) and return the path."""
        path = Path(folder) / f"{self.hash}.json"
        if not path.exists():
            write_json(path, self.model_dump(mode="json"))
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


class Planner:
    """Collects the parts of a plan; equal work gets one id and is done once."""

    def __init__(self, config: WorkflowConfig) -> None:
        self.config = config
        self.datasets: dict[str, Dataset] = {}
        self.edges: dict[str, Edges] = {}
        self.caches: dict[str, Cache] = {}
        self.runs: dict[str, Run] = {}
        self._by_hash: dict[str, str] = {}
        self.studies: dict[str, tuple[str, list[Point]]] = {}

    def dataset(self, source: LArTPCSource | ColliderSource, layout: Literal["pilarnet", "tpcpp"]) -> str:
        """Add a dataset and return its id."""
        plain = source.model_dump(mode="json")
        versions = [STAGE_VERSIONS["ingest"], STAGE_VERSIONS["simulate"] if source.simulate else 0]
        name = f"{source.name}-{short_hash([plain, layout, versions])}"
        raw = Path(self.config.results) / "raw" / name
        parts: dict[str, Part] = {}

        def add(part: str, path: str, origin: Literal["simulate", "download", "given"], member: str = "") -> None:
            if part in parts:
                raise ConfigError(
                    f"data.{source.name}: {parts[part].raw} and {path} would both become part {part!r}; rename one"
                )
            parts[part] = Part(name=part, raw=path, origin=origin, index=len(parts), member=member)

        if source.simulate:
            for index in range(source.simulate.files):
                stem = f"part_{index:03d}.h5" if layout == "pilarnet" else f"spacepoints_{index:03d}.npz"
                add(f"{index:03d}", str(raw / stem), "simulate")
        for member in expand(source.download):
            add(part_name(member), str(raw / member), "download", member)
        if source.files:
            paths = expand(source.files, must_exist=f"data.{source.name}.files")
            for path in paths:
                add(part_name(path), path, "given")
        self.datasets[name] = Dataset(id=name, name=source.name, layout=layout, source=plain, parts=parts)
        return name

    def groups_cache(self, dataset: str, settings: dict[str, Any]) -> str:
        """Add a cache of PoLAr-MAE groups and return its id."""
        name = f"groups-{short_hash([dataset, settings, STAGE_VERSIONS['prepare']])}"
        self.caches[name] = Cache(id=name, kind="groups", dataset=dataset, settings=settings)
        return name

    def sequences_cache(
        self,
        dataset: str,
        serialization: dict[str, Any],
        targets: dict[str, Any],
        edges_from: str,
        model: str | None = None,
    ) -> str:
        """Add a cache of FM4NPP sequences, with edges fitted on ``edges_from`` or those of an imported model; return its id."""
        source = edges_from if model is None else f"model {model}"
        edges = f"edges-{short_hash([source, serialization, STAGE_VERSIONS['prepare']])}"
        self.edges[edges] = Edges(id=edges, dataset=edges_from, serialization=serialization, model=model)
        stored = {key: targets[key] for key in ("k", "candidates", "wrap")}
        settings = {"serialization": serialization, "targets": stored}
        order = serialization["order"]
        name = f"sequences-{order}-{short_hash([dataset, settings, edges, STAGE_VERSIONS['prepare']])}"
        self.caches[name] = Cache(id=name, kind="sequences", dataset=dataset, settings=settings, edges=edges)
        return name

    def run(self, **fields: Any) -> str:
        """Add a run and return its id: that of the run already there if it does the same work, whatever its slug."""
        run = Run(**fields)
        name = self._by_hash.setdefault(run.hash, run.id)
        self.runs.setdefault(name, run)
        return name

    def study(self, name: str, experiment: str, run: str, axis: str, value: object) -> None:
        """Put a run into a study."""
        points = self.studies.setdefault(name, (experiment, []))[1]
        point = Point(run=run, axis=axis, value=str(value))
        if point not in points:
            points.append(point)

    def finish(self) -> Plan:
        """Return the plan."""
        studies = {
            name: Study(experiment=experiment, runs=list(dict.fromkeys(p.run for p in points)), points=points)
            for name, (experiment, points) in self.studies.items()
        }
        return Plan(
            config=self.config.model_dump(mode="json"),
            datasets=self.datasets,
            edges=self.edges,
            caches=self.caches,
            runs=self.runs,
            studies=studies,
        )


def make_plan(config: WorkflowConfig) -> Plan:
    """Turn a checked configuration into the run table."""
    from tpcfm.systems.fm4npp.plan import plan_fm4npp
    from tpcfm.systems.polar_mae.plan import plan_polar_mae

    planner = Planner(config)
    if "polar_mae" in config.systems:
        plan_polar_mae(planner)
    if "fm4npp" in config.systems:
        plan_fm4npp(planner)
    return planner.finish()
