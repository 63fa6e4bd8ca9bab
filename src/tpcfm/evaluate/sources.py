"""What numbers rest on, as checksums: written beside them when they are made, compared before they are shown.

``sources.json`` in the folder of a run or a study: ``tables`` (checksum of each file of the folder) and ``made_from`` (of each file
that went into them, by its path from that folder). A table of another run, of an earlier state of the data or of other weights is
then refused and named instead of shown.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from tpcfm.errors import DataError
from tpcfm.files import read_json, sha256, write_json
from tpcfm.plan.run import Run
from tpcfm.plan.table import Plan
from tpcfm.train.model_files import CARD, WEIGHTS
from tpcfm.workspace import Workspace

NAME = "sources.json"
SHOWN = 5
"""Findings that a message names."""


def digest(path: Path, *, recorded: bool = False) -> str:
    """Return what names the content of a file: the fingerprint of a manifest, else its SHA-256.

    Args:
        path: the file.
        recorded: take the checksum that was recorded when the file was made (event tables, weights), where there is one.
    """
    if path.name == "manifest.json" and "fingerprint" in (found := read_json(path)):
        return str(found["fingerprint"])
    if recorded:
        if (beside := path.with_suffix(".statistics.json")).is_file():
            summary = read_json(beside)
            if summary.get("bytes") == path.stat().st_size and "sha256" in summary:
                return str(summary["sha256"])
        if (beside := path.parent / NAME).is_file() and path.name in (held := read_json(beside)["tables"]):
            return str(held[path.name])
    return sha256(path)


def write_sources(folder: Path, made_from: Iterable[Path]) -> None:
    """Write what the files of a folder are and what they were made from.

    Args:
        folder: holds the files.
        made_from: files that went into them; those that do not exist are left out.
    """
    own = [p for p in sorted(folder.iterdir()) if p.is_file() and not p.name.startswith(".")]
    write_json(
        folder / NAME,
        {
            "tables": {p.name: sha256(p) for p in own if p.name not in (NAME, CARD) and p.suffix != ".html"},
            "made_from": {os.path.relpath(p, folder): digest(p) for p in made_from if p.is_file()},
        },
    )


def write_run_sources(run: Run, workspace: Workspace) -> None:
    """Write what a finished run rests on: its cache, and the weights it started from."""
    start = [workspace.weights(run.pretrained)] if run.pretrained else []
    write_sources(workspace.run(run.id), [workspace.cache_manifest(run.cache), *start])


def changes(folder: Path) -> list[str]:
    """Return what has changed since the files of a folder were made, in words; nothing for a folder that does not say what it was made from.

    Weights are not read again: no number is taken from them here.
    """
    if not (folder / NAME).is_file():
        return []
    held, found = read_json(folder / NAME), []
    for name, known in held["tables"].items():
        path = folder / name
        if not path.is_file():
            found.append(f"{path}: is gone")
        elif name != WEIGHTS and sha256(path) != known:
            found.append(f"{path}: is not the file that was made here (another checksum)")
    for name, known in held["made_from"].items():
        path = Path(os.path.normpath(folder / name))
        if path.is_file() and digest(path, recorded=True) != known:
            found.append(f"{folder}: was made from another {path} than the one that lies there now")
    return found


def check_results(plan: Plan, runs: Iterable[str] | None = None, folders: Iterable[Path] = ()) -> None:
    """Make sure that every number of a plan's results is of its own run, of the data that lie there and of the weights it names.

    Args:
        plan: the run table.
        runs: of these runs; all unless given. Those that have no metrics yet are passed over.
        folders: folders of studies and pictures that are shown too.

    Raises:
        DataError: names each file that does not belong, and what to remove.
    """
    workspace = Workspace(Path(plan.config["results"]))
    found: dict[Path, list[str]] = {}
    for name in plan.runs if runs is None else runs:
        if workspace.metrics(name).is_file():
            found[workspace.run(name)] = [*_foreign(plan.runs[name], workspace), *changes(workspace.run(name))]
    found |= {folder: changes(folder) for folder in folders}
    if bad := {folder: said for folder, said in found.items() if said}:
        lines = [line for said in bad.values() for line in said]
        more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
        remove = " ".join(str(folder) for folder in list(bad)[:SHOWN])
        raise DataError(
            "\n".join(
                ["these results are not what their names say:", *lines[:SHOWN], *more]
                + [
                    f"remove what does not belong and run the same command again: it makes anew what is missing ({remove})"
                ]
            )
        )


def _foreign(run: Run, workspace: Workspace) -> list[str]:
    """Return what in a run's metrics and record belongs to another run or to other data."""
    path, found = workspace.metrics(run.id), []
    try:
        rows = pd.read_parquet(path)
    except (OSError, pa.ArrowInvalid) as error:
        return [f"{path}: damaged: {error}"]
    for column, own in (("run", run.id), ("family", run.family), ("dataset", run.dataset)):
        others = set(rows[column]) - {own, ""} if column in rows else set()
        if others:
            found.append(f"{path}: holds numbers of the {column} {', '.join(sorted(map(str, others)))}, not of {own}")
    if not (record := workspace.record(run.id)).is_file():
        return found
    about: dict[str, Any] = read_json(record)
    if "run" in about and (made := _id(about["run"])) != run.id:
        found.append(f"{record}: is of the run {made}, not of {run.id}")
    cache = workspace.cache_manifest(run.cache)
    if "data" in about and cache.is_file() and about["data"] != (now := digest(cache)):
        found.append(f"{record}: trained on data {about['data'][:12]}, {cache} now says {now[:12]}")
    return found


def _id(values: Any) -> str:
    try:
        return Run.model_validate(values).id
    except ValueError:
        return f"{values.get('slug', 'unknown')}, of another version" if isinstance(values, dict) else "unknown"
