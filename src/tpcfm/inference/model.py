"""Trained models from Python: `tpcfm.load` and `tpcfm.Model`."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tpcfm.inference import jobs
from tpcfm.inference.answers import Embedding, Prediction
from tpcfm.inference.engine import Engine
from tpcfm.inference.file_events import held_events
from tpcfm.inference.names import model_folder
from tpcfm.inference.points import Points, as_events


class Model(Engine):
    """A trained model, opened by `tpcfm.load`: ``labels`` that it predicts, the ``detector`` whose events it takes."""

    def predict(self, points: Points, *, event: str | Sequence[str] | None = None) -> Any:
        """Label the points of one event or of several.

        Args:
            points: in the units of the model's detector. One event: an array or torch tensor (N, 3 + S) with the columns x, y, z and the S
                signals of the detector; or a pandas frame or a mapping with columns of these names (others are ignored, but for labels
                with classes that the detector removes, whose points are cut out). Several: a list of these, an awkward array of
                events with these fields, or a frame with ``event``.
            event: column or columns of a frame whose values tell the events apart; rows of an event need not be neighbours.

        Returns:
            A `Prediction` for one event, a list of them for several; for a frame with ``event`` a frame of the same index with each label,
            ``<label>_score`` and ``answered``.

        Raises:
            CheckpointError: a model without a head.
            DataError: columns are missing, or of different lengths.
        """
        return as_events(points, self.detector, event).deliver(self._predict_all)

    def _predict_all(self, events: Sequence[Any]) -> list[Prediction]:
        return list(self.predict_events(held_events(events, self.detector)))

    def embed(self, points: Points, *, event: str | Sequence[str] | None = None) -> Any:
        """Return the features of one event or of several.

        Args:
            points, event: as for `predict`.

        Returns:
            An `Embedding` for one event, a list of them for several (for a frame with ``event`` in the order of their first rows).

        Raises:
            CheckpointError: no pretrained backbone.
            DataError: columns are missing, or of different lengths.
        """
        return as_events(points, self.detector, event).deliver(self._embed_all, rows=False)

    def _embed_all(self, events: Sequence[Any]) -> list[Embedding]:
        return list(self.embed_events(held_events(events, self.detector)))

    def predict_files(
        self, files: str | Path | Iterable[str | Path], out: str | Path, *, like_input: bool = False, **options: Any
    ) -> list[Path]:
        """Label the events of files: a table of predictions per file in ``out``, as `tpcfm predict` does.

        Args:
            files: raw files or event tables of the model's detector, or globs of them.
            out: folder to write to; finished tables in it are left alone.
            like_input: write the labels in the layout of each raw file, too.
            options: ``batch_points``, ``workers``, ``overwrite``, ``read_as``, ``progress`` (`tpcfm.inference.jobs.Options`).

        Returns:
            The tables, in the order of the files (`tpcfm.inference.tables` says what they hold).

        Raises:
            CheckpointError: a model without a head.
            ConfigError: a glob that matches nothing, or a table that another model made.
            DataError: a file that is not of the model's detector, or damaged; the others are worked through first.
        """
        return jobs.predict_files(self, files, out, like_input=like_input, **options)

    def embed_files(self, files: str | Path | Iterable[str | Path], out: str | Path, **options: Any) -> list[Path]:
        """Write the features of the events of files, as `tpcfm embed` does; arguments, result and errors as of `predict_files`."""
        return jobs.embed_files(self, files, out, **options)


def load(name: str | Path, *, device: str | None = None, results: str | Path = "results") -> Model:
    """Open a trained model: ``model = tpcfm.load("results/runs/<id>")``, then ``model.predict(points)``.

    Args:
        name: model directory; id of a run or of imported weights in ``<results>/runs``, or its beginning; or an entry of the MLflow
            registry (``models:/<name>@<alias>``), or a model on Hugging Face (``hf:<owner>/<name>``).
        device: ``cpu``, ``cuda`` or ``cuda:N``; default: CUDA if there is one.
        results: results folder that names are looked up in.

    Raises:
        DataError: no such model.
        CheckpointError: a model directory that this version does not understand.
    """
    return Model(model_folder(name, results), device)
