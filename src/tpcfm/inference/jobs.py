"""Whole files through a model: a table per input, written whole or not at all, and left alone when it is there already."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from tpcfm.config.sources import distinct_names, expand
from tpcfm.detectors.model import Detector
from tpcfm.errors import ConfigError, DataError
from tpcfm.events.schema import REJECTED
from tpcfm.files import atomic
from tpcfm.inference import tables
from tpcfm.inference.engine import Engine, check_labels
from tpcfm.inference.file_events import open_events
from tpcfm.inference.like_input import check_like_input, write_like_input
from tpcfm.inference.progress import Progress
from tpcfm.inference.stream import BATCH_POINTS

LOG = logging.getLogger("tpcfm.predict")
Files = str | Path | Iterable[str | Path]
SHOWN = 5
"""Files that could not be read, named in full at the end."""


@dataclass(frozen=True)
class Options:
    """How files are worked through.

    Attributes:
        batch_points: points of a packed batch; a larger event goes alone.
        workers: threads that read and prepare ahead of the network; 0 makes each batch when it is due.
        overwrite: replace tables that are there.
        read_as: whose reader opens raw files, if not that of the model's detector.
        progress: show a bar on a terminal, log lines elsewhere.
    """

    batch_points: int = BATCH_POINTS
    workers: int = 1
    overwrite: bool = False
    read_as: Detector | None = None
    progress: bool = False

    def __post_init__(self) -> None:
        for name, least in (("batch_points", 1), ("workers", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name}: {getattr(self, name)}; allowed: whole numbers from {least} on")


def predict_files(
    model: Engine, files: Files, out: str | Path, *, like_input: bool = False, **options: Any
) -> list[Path]:
    """Label the events of files: ``<file>.predictions.parquet`` and what stands beside it (`tpcfm.inference.tables`) for each.

    Args:
        model: with a head.
        files: raw files or event tables of its detector, or globs of them.
        out: folder to write to.
        like_input: write the labels in the layout of each raw file, too (`tpcfm.inference.like_input`).
        options: see `Options`.

    Returns:
        The tables of predictions, in the order of the files.

    Raises:
        CheckpointError: a model without a head.
        ConfigError: a glob that matches nothing, two files that want the same table, or a table that another model made.
        DataError: a file that is damaged or not of the model's detector; the others are worked through first.
    """
    check_labels(model)
    how, folder, labels = Options(**options), Path(out), model.labels
    named, read_as = _named(files), how.read_as or model.detector
    if like_input:
        for path in named:
            check_like_input(path, read_as, folder)

    def job(path: Path, target: Path, notes: dict[str, str], progress: Progress) -> None:
        with ExitStack() as stack:  # left in reverse: the table that says "finished" appears last

            def writer(kind: str, schema: pa.Schema) -> tables.TableWriter:
                return stack.enter_context(_writer(beside(target, kind), schema))

            labelled = writer("predictions", tables.prediction_schema(model.detector, labels, notes))
            objects = writer("objects", tables.object_schema(model.detector, notes))
            rejected = writer("rejected", REJECTED)
            source = stack.enter_context(open_events(path, model.detector, how.read_as))
            progress.begin(path, source.total)
            for found in model.predict_events(source.events, how.batch_points, how.workers):
                labelled.add(tables.prediction_row(found, labels), found.n_points * (1 + len(labels)))
                for row in tables.object_rows(found, model.detector):
                    objects.add(row)
                if found.reason:
                    rejected.add(tables.rejected_row(found, path.name))
                progress.event()

    def again(path: Path, target: Path) -> None:
        if like_input:
            write_like_input(path, read_as, target, folder, labels, how.overwrite)

    return _work(model, named, folder, "predictions", job, how, again)


def embed_files(model: Engine, files: Files, out: str | Path, **options: Any) -> list[Path]:
    """Write the features of the events of files: ``<file>.features.parquet`` and ``<file>.rejected.parquet`` for each.

    Args:
        model: a pretrained backbone.
        files, out, options: as for `predict_files`.

    Returns:
        The tables of features, in the order of the files.

    Raises:
        CheckpointError: no pretrained backbone.
        ConfigError, DataError: as for `predict_files`.
    """
    model.embedder  # noqa: B018  # refuses a model without features before anything is read
    how, folder = Options(**options), Path(out)

    def job(path: Path, target: Path, notes: dict[str, str], progress: Progress) -> None:
        with ExitStack() as stack:
            features = stack.enter_context(_writer(target, tables.feature_schema(notes)))
            rejected = stack.enter_context(_writer(beside(target, "rejected"), REJECTED))
            source = stack.enter_context(open_events(path, model.detector, how.read_as))
            progress.begin(path, source.total)
            for found in model.embed_events(source.events, how.batch_points, how.workers):
                features.add(tables.feature_row(found), found.features.size)
                if found.reason:
                    rejected.add(tables.rejected_row(found, path.name))
                progress.event()

    return _work(model, _named(files), folder, "features", job, how)


def beside(table: Path, kind: str) -> Path:
    """Return the path of another table of the same input: ``<file>.<kind>.parquet``."""
    return table.with_name(f"{table.name.rsplit('.', 2)[0]}.{kind}.parquet")


@contextmanager
def _writer(path: Path, schema: pa.Schema) -> Iterator[tables.TableWriter]:
    with atomic(path) as temporary, tables.TableWriter(temporary, schema) as writer:
        yield writer


def _named(files: Files) -> dict[Path, str]:
    """Return the inputs and the name of each in the folder of outputs.

    Raises:
        ConfigError: a pattern that matches nothing, or files that cannot be told apart.
    """
    given = [files] if isinstance(files, str | Path) else list(files)
    return distinct_names([Path(found) for found in expand([str(one) for one in given], "files")], "files")


def _work(
    model: Engine,
    named: dict[Path, str],
    folder: Path,
    kind: str,
    job: Callable[[Path, Path, dict[str, str], Progress], None],
    how: Options,
    afterwards: Callable[[Path, Path], None] = lambda path, target: None,
) -> list[Path]:
    """Do a job for every file whose table is not there; read on after a file that cannot be read, and say so at the end."""
    progress, failed, made = Progress(kind, list(named), how.progress), [], []
    for path, name in named.items():
        target = folder / f"{name}.{kind}.parquet"
        notes = {
            "model": model.fingerprint,
            "model_name": model.folder.resolve().name,
            "source": path.name,
            "source_bytes": str(path.stat().st_size),
            "detector_name": model.detector.name,
        }
        there = not how.overwrite and _finished(target, notes)
        try:
            if not there:
                job(path, target, notes, progress)
            afterwards(path, target)
        except DataError as error:
            failed.append((path, error))
        else:
            made.append(target)
        progress.end(path, skipped=there)
    said = progress.close()
    if how.progress:
        LOG.info("%s: %d of %d files in %s; %s", kind, len(made), len(named), folder, said)
    if failed:
        more = (
            f"\n({len(failed)} of {len(named)} files could not be read; the others are done)" if len(named) > 1 else ""
        )
        raise DataError("\n".join(str(error) for _, error in failed[:SHOWN]) + more) from failed[0][1]
    return made


def _finished(target: Path, notes: dict[str, str]) -> bool:
    """Return whether a table is there and was made by this model of this file.

    Raises:
        ConfigError: it was made by another model, or of another file.
    """
    if not target.exists():
        return False
    found = tables.described(target)
    for key, what in (("model", "by the model"), ("source", "of the file"), ("source_bytes", "of a file of the size")):
        if found.get(key) != notes[key]:
            shown = "model_name" if key == "model" else key
            raise ConfigError(
                f"{target}: was made {what} {found.get(shown)} ({found.get(key)}), now it would be {notes[shown]} ({notes[key]}); "
                "choose another --out, or --overwrite"
            )
    return True
