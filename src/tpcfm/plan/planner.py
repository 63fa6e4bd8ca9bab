"""Building the run table: equal work gets one id and is done once. Families add their runs (`tpcfm.systems.registry.make_plan`)."""

from pathlib import Path
from typing import Any, Literal

from tpcfm.config.base import Block
from tpcfm.config.sources import expand, part_name
from tpcfm.config.workflow import WorkflowConfig
from tpcfm.detectors.model import ClassLabel, Detector, Label
from tpcfm.detectors.registry import load_detector
from tpcfm.detectors.simulations import SIMULATIONS
from tpcfm.errors import ConfigError
from tpcfm.files import short_hash
from tpcfm.plan.downloads import downloads
from tpcfm.plan.run import Run, changed
from tpcfm.plan.table import Cache, Dataset, Edges, Part, Plan, Point, Study
from tpcfm.workspace import Workspace

REGULARISERS = ("dropout", "drop_path", "attention_dropout")
"""What two networks of the same weights may differ in."""
# Raise a number when a stage's results change for the same settings: everything after it is made anew.
STAGE_VERSIONS = {"simulate": 1, "ingest": 2, "prepare": 2}


class Planner:
    """Collects the parts of a plan."""

    def __init__(self, config: WorkflowConfig) -> None:
        self.config = config
        self.datasets: dict[str, Dataset] = {}
        self.edges: dict[str, Edges] = {}
        self.caches: dict[str, Cache] = {}
        self.runs: dict[str, Run] = {}
        self.studies: dict[tuple[str, str], tuple[str, list[Point]]] = {}
        self.pretrained: dict[str, dict[str, str]] = {}
        self._by_hash: dict[str, str] = {}
        self._detectors: dict[str, Detector] = {}
        self._datasets: dict[str, str] = {}

    def detector(self, key: str) -> Detector:
        """Return the detector of a dataset of the configuration.

        Raises:
            ConfigError: there is no such detector, or what is wrong in its file.
        """
        if key not in self._detectors:
            try:
                self._detectors[key] = load_detector(self.config.data[key].detector)
            except ConfigError as error:
                raise ConfigError(f"data.{key}.detector: {error}") from error
        return self._detectors[key]

    def dataset(self, key: str) -> str:
        """Add a dataset of the configuration and return its id."""
        if key not in self._datasets:
            self._datasets[key] = self._dataset(key)
        return self._datasets[key]

    def _dataset(self, key: str) -> str:
        source, detector = self.config.data[key], self.detector(key)
        versions = [STAGE_VERSIONS["ingest"], STAGE_VERSIONS["simulate"] if source.simulate else 0]
        plain = {k: v for k, v in changed(source).items() if k not in ("detector", "lock")}
        files = expand(source.files, must_exist=f"data.{key}.files") if source.files else []
        if files:  # a file more is another dataset: what was made of the first stays where it is
            plain["files"] = [[part_name(path), Path(path).stat().st_size] for path in files]
        members, lock, held = downloads(f"data.{key}.download", source, detector)
        name = f"{key}-{short_hash([key, plain, detector.hash, versions, *held])}"
        raw = Workspace(Path(self.config.results)).raw(name)
        parts: dict[str, Part] = {}

        def add(part: str, path: str, origin: Literal["simulate", "download", "given"], member: str = "") -> None:
            if part in parts:
                raise ConfigError(
                    f"data.{key}: {parts[part].raw} and {path} would both become part {part!r}; rename one"
                )
            parts[part] = Part(name=part, raw=path, origin=origin, index=len(parts), member=member)

        if source.simulate:
            if detector.simulation is None:
                raise ConfigError(
                    f"data.{key}.simulate: there is no simulation of the detector {detector.name!r}; give files"
                )
            for index in range(source.simulate.files):
                add(f"{index:03d}", str(raw / SIMULATIONS[detector.simulation].name.format(index)), "simulate")
        for member in members:
            add(part_name(member), str(raw / member), "download", member)
        for path in files:
            add(part_name(path), path, "given")
        plain = source.model_dump(mode="json")
        self.datasets[name] = Dataset(id=name, name=key, detector=source.detector, source=plain, parts=parts, lock=lock)
        return name

    def label(self, where: str, key: str, name: str, kind: Literal["classes", "instances"] | None = None) -> Label:
        """Return a label column of the detector of a dataset.

        Args:
            where: key of the configuration that names it, for the error.
            key: dataset of the configuration.
            name: of the label.
            kind: what it must be; None takes both.

        Raises:
            ConfigError: the detector has no such label, or one of another kind.
        """
        detector = self.detector(key)
        fit = {n: label for n, label in detector.labels.items() if kind in (None, label.kind)}
        if name not in fit:
            what = f"label with {kind}" if kind else "label"
            raise ConfigError(
                f"{where}: the detector {detector.name!r} of data.{key} has no {what} {name!r}; there are: {', '.join(fit) or 'none'}"
            )
        return fit[name]

    def outputs(self, where: str, key: str, *names: str) -> dict[str, int]:
        """Return the number of classes of each label, 0 for instances; see `label`."""
        labels = {name: self.label(where, key, name) for name in names}
        return {name: len(lab.values) if isinstance(lab, ClassLabel) else 0 for name, lab in labels.items()}

    def groups_cache(self, dataset: str, tokenizer: Block) -> str:
        """Add a cache of tokens and return its id."""
        settings = changed(tokenizer)
        name = f"groups-{short_hash([dataset, settings, STAGE_VERSIONS['prepare']])}"
        self.caches[name] = Cache(id=name, kind="groups", dataset=dataset, settings=settings)
        return name

    def sequences_cache(
        self, dataset: str, serialization: Block, targets: Block, edges_from: str, model: str | None = None
    ) -> str:
        """Add a cache of sequences, with edges fitted on ``edges_from`` or those of an imported model; return its id."""
        order = serialization.model_dump(include={"order"})["order"]
        stored = targets.model_dump(mode="json", include={"k", "candidates", "wrap"}, exclude_defaults=True)
        settings = {"serialization": changed(serialization), "targets": stored}
        version, source = STAGE_VERSIONS["prepare"], edges_from if model is None else f"model {model}"
        edges = f"edges-{short_hash([source, settings['serialization'], version])}"
        name = f"sequences-{order}-{short_hash([dataset, settings, edges, version])}"
        self.edges[edges] = Edges(id=edges, dataset=edges_from, serialization=settings["serialization"], model=model)
        self.caches[name] = Cache(id=name, kind="sequences", dataset=dataset, settings=settings, edges=edges)
        return name

    def run(self, *, system: str, block: Block, slug: str, **fields: Any) -> str:
        """Add a run and return its id: that of the run already there if it does the same work, whatever its slug.

        Args:
            system: key of the system.
            block: settings of the job.
            slug: readable part of the id; the key of the system is put before it.
            fields: the other fields of `Run`.
        """
        family = self.config.systems[system].family
        run = Run(slug=f"{system}-{slug}".lower(), system=system, family=family, **Run.resolved(block), **fields)
        name = self._by_hash.setdefault(run.hash, run.id)
        if name not in self.runs:
            self.runs[name] = run.model_copy(update={"execution": self.config.execution.of(name, run.stage)})
        return name

    def study(self, system: str, name: str, experiment: str, run: str, axis: str, value: object) -> None:
        """Put a run into a study of a system."""
        points = self.studies.setdefault((system, name), (experiment, []))[1]
        point = Point(run=run, axis=axis, value=str(value))
        if point not in points:
            points.append(point)

    def keep_pretrained(self, system: str, found: dict[str, str]) -> None:
        """Remember the pretrained runs of a system by name (size, objective), for systems that start from them."""
        self.pretrained[system] = found

    def start(self, system: str, name: str, model: Block) -> str | None:
        """Return the run whose weights a pretraining of a system begins from; None without ``start``.

        Args:
            system: key of the system.
            name: of the pretraining (size, objective), the same in both systems.
            model: architecture of the pretraining.

        Raises:
            ConfigError: the other system pretrains nothing of that name, or another architecture.
        """
        start = self.config.systems[system].start
        if start is None:
            return None
        found = self.pretrained[start]
        if name not in found:
            raise ConfigError(
                f"systems.{system}.start: {start} pretrains no {name!r}; there are: {', '.join(found) or 'none'}"
            )
        there, here = self.runs[found[name]].config["model"], model.model_dump(mode="json")
        other = [
            f"{k} {there[k]!r} there, {here[k]!r} here" for k in here if k not in REGULARISERS and here[k] != there[k]
        ]
        if other:
            raise ConfigError(
                f"systems.{system}.start: the weights of {start} ({name}) are of another architecture: {', '.join(other)};"
                " take out the run that differs, or start"
            )
        return found[name]

    def finish(self) -> Plan:
        """Return the plan."""
        studies = {
            f"{system}.{name}": Study(
                system=system,
                name=name,
                experiment=experiment,  # type: ignore[arg-type]
                runs=list(dict.fromkeys(p.run for p in points)),
                points=points,
            )
            for (system, name), (experiment, points) in self.studies.items()
        }
        return Plan(
            config=self.config.model_dump(mode="json"),
            datasets=self.datasets,
            edges=self.edges,
            caches=self.caches,
            runs=self.runs,
            studies=studies,
        )
