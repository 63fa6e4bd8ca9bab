"""Filling the MLflow store from the run folders: one writer, repeatable while jobs run. Imports no torch.

Every study becomes a parent run in the experiment it names, every run of the study a nested child. A child is found
again by its tags ``study`` and ``run_key``; a finished one that has not changed is left alone, a running one gets its
new rows.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tpcfm.errors import DataError
from tpcfm.files import read_json, sha256, short_hash
from tpcfm.train.log import read_rows
from tpcfm.train.mlflow_store import _initialise, database, folder_of, load_mlflow, said_plainly, store_uri, writing
from tpcfm.train.tracking import metric_name
from tpcfm.workspace import Workspace

BATCH = 1000
_NOT_METRICS = frozenset({"step", "split", "seconds"})
# The first word of a report figure that is not named after a study, and the experiment it belongs to.
FIGURES = {"scaling": "scaling", "ablations": "ablations", "labels": "finetune", "loss": "pretrain"}


def sync(
    results: Path, plan: Mapping[str, Any], *, uri: str | None = None, max_artifact_mib: float = 50
) -> dict[str, int]:
    """Bring the store up to date with the results folder.

    Args:
        results: the results folder (``runs``, ``state``, ``studies``, ``report`` lie below).
        plan: the run table: ``studies`` (name to ``runs`` and ``experiment``) and ``runs`` (id to the run).
        uri: another tracking store or server; None means the SQLite store of the results folder, made if need be.
        max_artifact_mib: larger files are not copied into the store.

    Returns:
        How many children were ``created``, ``updated``, found ``unchanged`` and are still ``missing`` (not started).

    Raises:
        MachineError: mlflow is missing, another sync is at work, or the store is locked, damaged or newer.
        DataError: the plan is not a run table.
    """
    missing = [key for key in ("studies", "runs") if not isinstance(plan.get(key), Mapping)]
    if missing:
        raise DataError(
            f"plan: lacks the object(s) {', '.join(missing)}; expected a run table with `studies` and `runs`"
        )
    with writing(results), said_plainly(uri or str(database(results))):
        mlflow = load_mlflow()
        if uri is None and not database(results).is_file():
            _initialise(results)
        client = mlflow.MlflowClient(tracking_uri=uri or store_uri(results))
        return _Sync(client, Workspace(results), plan, uri is None, max_artifact_mib).all()


class _Sync:
    def __init__(self, client: Any, workspace: Workspace, plan: Mapping[str, Any], local: bool, limit: float) -> None:
        self.client, self.workspace, self.plan, self.limit = client, workspace, plan, limit
        self.local = local
        self.done = dict.fromkeys(("created", "updated", "unchanged", "missing"), 0)

    def all(self) -> dict[str, int]:
        parents: dict[str, list[str]] = {}
        for name, study in self.plan["studies"].items():
            experiment = self._experiment(study["experiment"])
            known = self._known(experiment, name)
            times = [span for run in study["runs"] if (span := self._span(run))]
            begun = min((start for start, _ in times), default=None)
            parent = known.pop("", None) or self._create(experiment, name, {"study": name, "kind": "study"}, begun)
            parents.setdefault(study["experiment"], []).append(parent)
            axes: dict[str, dict[str, str]] = {}
            for point in study.get("points", ()):
                axes.setdefault(point["run"], {})[point["axis"]] = str(point["value"])
            for run in study["runs"]:
                self._child(experiment, parent, name, run, known.get(run), axes.get(run, {}))
            self._artifacts(parent, [self.workspace.study(name) / "metrics.parquet"], "tables")
            self.client.set_tag(parent, "mlflow.note.content", self._told(name, study, len(times)))
            ended = max((int(end * 1000) for _, end in times), default=None)
            self.client.set_terminated(parent, "FINISHED", end_time=ended)
        self._figures(parents)
        return self.done

    def _span(self, key: str) -> tuple[float, float] | None:
        """Return when a run began and ended, or wrote last; None of one that has not begun."""
        record, log = self.workspace.record(key), self.workspace.state(key) / "metrics.jsonl"
        place = next((path for path in (record, log) if path.is_file()), None)
        if place is None:
            return None
        rows = _finished_rows(record.parent) if place == record else read_rows(log)
        return _start(place, rows), place.stat().st_mtime

    def _told(self, name: str, study: Mapping[str, Any], begun: int) -> str:
        """Return what the page of a study says of it."""
        axes = sorted({str(point["axis"]) for point in study.get("points", ())})
        varied = f" It varies {', '.join(axes)}: parameters `study.<axis>` of its runs." if axes else ""
        return f"Study `{name}`: {len(study['runs'])} runs, {begun} begun.{varied} Its tables and figures are among the artifacts."

    def _experiment(self, name: str) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            if found.lifecycle_stage == "deleted":
                self.client.restore_experiment(found.experiment_id)
            return found.experiment_id
        place = (folder_of(self.workspace.root) / "artifacts" / name).absolute().as_uri() if self.local else None
        return self.client.create_experiment(name, artifact_location=place)

    def _known(self, experiment: str, study: str) -> dict[str, Any]:
        """Children of a study by run key; the parent's id under the empty key."""
        out: dict[str, Any] = {}
        token = None
        while True:
            page = self.client.search_runs([experiment], f"tags.study = '{study}'", page_token=token, max_results=1000)
            for run in page:
                if run.data.tags.get("kind") == "study":
                    out[""] = run.info.run_id
                else:
                    out[run.data.tags["run_key"]] = run
            token = page.token
            if not token:
                return out

    def _create(self, experiment: str, name: str, tags: dict[str, str], start: float | None = None) -> str:
        milliseconds = None if start is None else int(start * 1000)
        return self.client.create_run(experiment, start_time=milliseconds, tags=tags, run_name=name).info.run_id

    def _child(self, experiment: str, parent: str, study: str, key: str, known: Any, axes: dict[str, str]) -> None:
        folder, state = self.workspace.run(key), self.workspace.state(key)
        finished = (folder / "run.json").is_file()
        if not finished and not (state / "metrics.jsonl").is_file():
            self.done["missing"] += 1
            return
        digest = _digest(folder) if finished else ""
        tags = known.data.tags if known else {}
        if finished and tags.get("digest") == digest:
            self.done["unchanged"] += 1
            return
        if tags.get("digest"):  # it was imported complete and has been made anew since
            self.client.delete_run(known.info.run_id)
            known, tags = None, {}
        rows = _finished_rows(folder) if finished else read_rows(state / "metrics.jsonl")
        entry = dict(self.plan["runs"].get(key, {}))
        record = read_json(folder / "run.json") if finished else {}
        start = _start(folder / "run.json" if finished else state / "metrics.jsonl", rows)
        if known is None:
            base = {"study": study, "run_key": key, "mlflow.parentRunId": parent}
            run_id = self._create(experiment, entry.get("slug", key), base, start)
            values = {**flatten(entry), **{f"study.{axis}": value for axis, value in axes.items()}}
            self._params(run_id, values)
            self._dataset(run_id, entry)
        else:
            run_id, start = known.info.run_id, known.info.start_time / 1000
        self._metrics(run_id, rows, int(tags.get("rows", 0)), start)
        status = "RUNNING" if (state / "lock.json").is_file() else "SCHEDULED"
        new = {"rows": str(len(rows))}
        if finished:
            self._table(run_id, folder / "metrics.parquet", start, rows)
            names = ("README.md", "config.json", "run.json", "metrics.parquet", "model.safetensors")
            self._artifacts(run_id, [folder / name for name in names], "model")
            new |= {**_tags(record, entry), "digest": digest, **_note(folder / "README.md")}
            status = "FINISHED"
        for name, value in new.items():
            self.client.set_tag(run_id, name, value)
        if status == "FINISHED":
            self.client.set_terminated(run_id, status, end_time=int((start + _last_seconds(rows)) * 1000))
        else:
            self.client.update_run(run_id, status=status)
        self.done["updated" if known else "created"] += 1

    def _params(self, run_id: str, values: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        params = [Param(k[:250], str(v)[:6000]) for k, v in values.items()]
        for i in range(0, len(params), 100):
            self.client.log_batch(run_id, params=params[i : i + 100])

    def _metrics(self, run_id: str, rows: Iterable[Mapping[str, Any]], skip: int, start: float) -> None:
        from mlflow.entities import Metric

        metrics, seconds = [], 0.0
        for number, row in enumerate(rows):
            seconds = row.get("seconds") or seconds
            if number < skip:
                continue
            at = int((start + seconds) * 1000)
            for name, value in row.items():
                if name not in _NOT_METRICS and isinstance(value, int | float) and math.isfinite(value):
                    metrics.append(Metric(metric_name(row["split"], name), float(value), at, int(row["step"])))
        # Timestamps are a function of the log, so a batch that was sent before a crash is the same when sent again.
        for i in range(0, len(metrics), BATCH):
            self.client.log_batch(run_id, metrics=metrics[i : i + BATCH])

    def _table(self, run_id: str, path: Path, start: float, rows: list[dict[str, Any]]) -> None:
        """Log the metrics table as single values."""
        if not path.is_file():
            return
        import pandas as pd
        from mlflow.entities import Metric

        at, step = int((start + _last_seconds(rows)) * 1000), max((int(r["step"]) for r in rows), default=0)
        frame = pd.read_parquet(path)
        keys = ["split", "metric", "class"]
        means = frame[frame["value"].notna()].groupby(keys, sort=True, as_index=False)["value"].mean()  # over seeds
        metrics = []
        for split, metric, part, value in means[[*keys, "value"]].itertuples(index=False):
            name = metric_name(f"final/{split}" if split else "final", f"{metric}/{part}" if part else metric)
            metrics.append(Metric(_safe(name), float(value), at, step))
        for i in range(0, len(metrics), BATCH):
            self.client.log_batch(run_id, metrics=metrics[i : i + BATCH])

    def _dataset(self, run_id: str, entry: Mapping[str, Any]) -> None:
        """Note which data: name, digest and place of the manifest, not the data."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        name = entry.get("cache")
        path = self.workspace.cache(str(name)) / "manifest.json"
        if not name or not path.is_file():
            return
        digest = str(read_json(path).get("fingerprint", ""))[:36] or short_hash(str(path))
        data = Dataset(name=name, digest=digest, source_type="local", source=str(path), schema=None, profile=None)
        self.client.log_inputs(run_id, [DatasetInput(data, [InputTag("mlflow.data.context", "training")])])

    def _artifacts(self, run_id: str, paths: Iterable[Path], place: str) -> None:
        for path in paths:
            if path.is_file() and path.stat().st_size <= self.limit * 2**20:
                self.client.log_artifact(run_id, str(path), place)

    def _figures(self, parents: Mapping[str, list[str]]) -> None:
        """Attach the report's figures to the parents of the studies they show; the others to a run of the report."""
        folder = self.workspace.root / "report"
        pictures = sorted(p for p in (folder / "figures").glob("*") if p.suffix in (".png", ".svg"))
        if not pictures and not (folder / "index.html").is_file():
            return
        studies = {name: study["experiment"] for name, study in self.plan["studies"].items()}
        order = {e: [n for n in studies if studies[n] == e] for e in parents}
        ids = {name: parents[e][i] for e, names in order.items() for i, name in enumerate(names)}
        experiment = self._experiment("report")
        report = self._known(experiment, "report").get("")
        report = report or self._create(experiment, "report", {"study": "report", "kind": "study"})
        self._artifacts(report, [folder / "index.html"], "")
        for picture in pictures:
            owners = figure_studies(picture.stem, studies)
            for run_id in [ids[name] for name in owners] or [report]:
                self._artifacts(run_id, [picture], "figures")
        self.client.set_terminated(report, "FINISHED")


def figure_studies(figure: str, studies: Mapping[str, str]) -> list[str]:
    """Return the studies (``system.name`` to experiment) that a report figure (``system-name``) shows: those of its system that are named
    alike, else its task's, else those of the experiment that the figure's first word stands for."""
    system, _, rest = figure.partition("-")
    shown = rest.replace("-", "_")
    word, _, task = shown.partition("_")
    own = {key: key.partition(".")[2] for key in studies if key.partition(".")[0] == system}
    alike = [key for key, name in own.items() if name.startswith(shown) or shown.startswith(name)]
    alike = alike or [key for key, name in own.items() if task and name == f"heads_{task}"]
    return alike or [key for key in own if studies[key] == FIGURES.get(word)]


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one level with dotted keys."""
    out: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            out |= flatten(value, f"{prefix}{key}.")
        else:
            out[f"{prefix}{key}"] = value
    return out


def _finished_rows(folder: Path) -> list[dict[str, Any]]:
    path = folder / "log.parquet"
    if not path.is_file():
        return []
    import pandas as pd

    frame = pd.read_parquet(path)
    rows = (zip(frame.columns, row) for row in frame.itertuples(index=False, name=None))
    return [{name: value for name, value in row if value == value} for row in rows]  # a row has no NaN, a table must


def _digest(folder: Path) -> str:
    names = ("run.json", "log.parquet", "metrics.parquet")
    return short_hash({name: sha256(folder / name) for name in names if (folder / name).is_file()}, 16)


def _last_seconds(rows: list[dict[str, Any]]) -> float:
    return max((s for r in rows if (s := r.get("seconds")) is not None and math.isfinite(s)), default=0.0)


def _start(path: Path, rows: list[dict[str, Any]]) -> float:
    return path.stat().st_mtime - _last_seconds(rows)


def _tags(record: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, str]:
    """What to look runs up by."""
    revision = record.get("revision") or {}
    tags = {
        "mlflow.source.git.commit": revision.get("commit"),
        "git_dirty": revision.get("dirty"),
        "config_hash": short_hash(entry) if entry else record.get("config_hash"),
        "data_fingerprint": record.get("data"),
        "slurm_job": (record.get("slurm") or {}).get("SLURM_JOB_ID"),
        **{
            key: entry.get(key)
            for key in ("system", "family", "dataset", "task", "n_labels", "seed", "stage", "recipe")
        },
    }
    return {name: str(value) for name, value in tags.items() if value is not None}


def _note(card: Path) -> dict[str, str]:
    """Return a run's description: its card without the scores."""
    if not card.is_file():
        return {}
    return {"mlflow.note.content": card.read_text(encoding="utf-8").partition("\n|")[0].strip()}


def _safe(name: str) -> str:
    """MLflow allows letters, digits, and ``_-. /:`` in metric names."""
    return "".join(c if c.isalnum() or c in "_-. /:" else "_" for c in name)[:250]
