"""Opening a trained model from Python: `tpcfm.load`."""

from pathlib import Path

from tpcfm.inference.model import Model
from tpcfm.inference.names import model_folder


def load(name: str | Path, *, device: str | None = None, results: str | Path = "results") -> Model:
    """Open a trained model: ``model = tpcfm.load("results/runs/<id>")``, then ``model.predict(points)``.

    Args:
        name: model directory; id of a run or of imported weights in ``<results>/runs``, or its beginning; or an entry of the MLflow
            registry (``models:/<name>@<alias>``).
        device: ``cpu``, ``cuda`` or ``cuda:N``; default: CUDA if there is one.
        results: results folder that names are looked up in.

    Raises:
        DataError: no such model.
        CheckpointError: a model directory that this version does not understand.
    """
    return Model(model_folder(name, results), device)
