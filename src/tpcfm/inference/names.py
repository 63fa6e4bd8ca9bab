"""Finding a trained model by what a person calls it: its folder, its name among the runs, in the MLflow registry or on Hugging Face."""

import os
from pathlib import Path

from tpcfm.errors import DataError
from tpcfm.workspace import Workspace

NAMED = 12


def model_folder(name: str | Path, results: str | Path = "results") -> Path:
    """Return the model directory that a name stands for.

    Args:
        name: a folder with ``config.json``; the id of a run or of imported weights in ``<results>/runs``, or the beginning of one; or
            an entry of the MLflow registry, ``models:/<name>@<alias>`` or ``models:/<name>/<version>``; or a model on Hugging Face,
            ``hf:<owner>/<name>`` or ``hf:<owner>/<name>@<revision>``.
        results: results folder that names and, unless ``MLFLOW_TRACKING_URI`` is set, registry entries are looked up in.

    Raises:
        DataError: there is none, or several (the message lists what is there).
        MachineError: a registry entry, and mlflow is not installed; a model on Hugging Face, and no connection.
    """
    if str(name).startswith("hf:"):
        from tpcfm.release.hub import fetch_model

        return fetch_model(str(name))
    if str(name).startswith("models:"):
        return _registered(str(name), Path(results))
    path = Path(name)
    if (path / "config.json").is_file():
        return path
    if path.is_dir():
        raise DataError(f"{path}: not a model directory: it holds no config.json")
    space = Workspace(Path(results))
    if str(name) and len(path.parts) == 1:
        if (space.model_config(str(name))).is_file():
            return space.run(str(name))
        begun = sorted(found.parent.name for found in space.run("*").parent.glob(f"{name}*/config.json"))
        if len(begun) == 1:
            return space.run(begun[0])
        if begun:
            raise DataError(f"model {str(name)!r}: several begin so: {_few(begun)}")
    there = sorted(found.parent.name for found in space.run("*").parent.glob("*/config.json"))
    hint = f"in {space.run('*').parent} there are: {_few(there)}" if there else "a model lies in results/runs/<id>"
    raise DataError(f"model {str(name)!r}: no such folder or run; {hint}")


def _registered(name: str, results: Path) -> Path:
    from tpcfm.train.mlflow_store import database, load_mlflow, store_uri, tracking

    mlflow = load_mlflow()
    given = os.environ.get("MLFLOW_TRACKING_URI")
    if not given and not database(results).is_file():
        raise DataError(f"model {name!r}: no MLflow store in {results}; set MLFLOW_TRACKING_URI, or --results")
    try:
        with tracking(mlflow, given or store_uri(results)):
            folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=name))
    except Exception as error:  # every store has errors of its own
        raise DataError(f"model {name!r}: not in the MLflow registry: {error}") from error
    found = [folder, *sorted(path.parent for path in folder.rglob("config.json"))]
    held = [path for path in found if (path / "config.json").is_file() and (path / "model.safetensors").is_file()]
    if not held:
        raise DataError(
            f"model {name!r}: its artifacts hold no model directory of tpcfm (config.json, model.safetensors)"
        )
    return held[0]


def _few(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
