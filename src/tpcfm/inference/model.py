"""A trained model, opened: what it says about events, one by one, in batches or file by file. One path for all callers."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tpcfm.detectors.model import Detector
from tpcfm.errors import CheckpointError
from tpcfm.files import sha256
from tpcfm.inference.answers import Embedding, Prediction, no_prediction, predictions
from tpcfm.inference.file_events import FileEvent, held_events
from tpcfm.inference.points import Points, as_events
from tpcfm.inference.preparation import preparation
from tpcfm.inference.stream import BATCH_POINTS, Prepared, by_points, prepared_batches
from tpcfm.systems.architectures import architecture_of
from tpcfm.tasks.answers import Embedder, Predictor
from tpcfm.train import load_config, to_device


class Model:
    """A model directory, opened by `tpcfm.load`; it reads nothing but this folder (of an adapter also its backbone's, beside it).

    Args:
        folder: model directory.
        device: ``cpu``, ``cuda`` or ``cuda:N``; default: CUDA if there is one.

    Raises:
        CheckpointError: no model directory, or one of an unknown architecture.
    """

    def __init__(self, folder: str | Path, device: str | None = None) -> None:
        self.folder = Path(folder)
        self.config: dict[str, Any] = load_config(self.folder)
        self.architecture = architecture_of(self.config, self.folder)
        self.preparation = preparation(self.config)
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))

    def __repr__(self) -> str:
        does = f"predicts {', '.join(self.labels)}" if self.labels else "embeds"
        return f"<tpcfm model {self.folder}: {self.config['architecture']} on {self.detector.name}, {does}>"

    @property
    def detector(self) -> Detector:
        """The detector whose events it takes, with units, ranges, labels and their classes."""
        return self.preparation.detector

    @property
    def labels(self) -> list[str]:
        """Label columns that it predicts; none of a pretrained backbone."""
        if "prediction" not in self.architecture.pictures:
            return []
        return list(self.config["adapter"]["outputs"]) if "adapter" in self.config else [self.config["label"]]

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits over its weights and its description, and those of a backbone beside it."""
        folders = [self.folder]
        if self.config.get("pretrained"):
            folders.append(self.folder.parent / str(self.config["pretrained"]))
        names = [folder / name for folder in folders for name in ("config.json", "model.safetensors")]
        sums = [sha256(path) for path in names if path.is_file()]
        return hashlib.sha256("".join(sums).encode()).hexdigest()[:16]

    @cached_property
    def predictor(self) -> Predictor:
        """The network with its head, loaded when first needed.

        Raises:
            CheckpointError: it has no head, or its backbone is not beside it.
        """
        module = architecture_of(self.config, self.folder, "prediction").module
        made: Predictor = module.predictor(self.folder, self.preparation.hold([]), self.device)
        return made

    @cached_property
    def embedder(self) -> Embedder:
        """The pretrained backbone, loaded when first needed.

        Raises:
            CheckpointError: no pretrained backbone.
        """
        module = architecture_of(self.config, self.folder, "features").module
        made: Embedder = module.embedder(self.folder, self.preparation.hold([]), self.device)
        return made

    def predict(self, points: Points, *, event: str | Sequence[str] | None = None) -> Any:
        """Label the points of one event or of several.

        Args:
            points: in the units of the model's detector (`detector`). One event: an array or torch tensor (N, 3 + S) with the columns
                x, y, z and the S signals of the detector; or a pandas frame or a mapping with columns of these names (others are
                ignored). Several: a list of these, an awkward array of events with these fields, or a frame with ``event``.
            event: column of a frame whose values tell the events apart; rows of an event need not be neighbours.

        Returns:
            A `Prediction` for one event, a list of them for several; for a frame with ``event`` the frame's rows, labelled: the same
            index, each label, ``<label>_score`` and ``answered``.

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

    def predict_files(self, files: str | Path | Iterable[str | Path], out: str | Path, **options: Any) -> Any:
        """Label the events of files: one table of predictions per file in ``out``.

        Args:
            files: raw files or event tables of the model's detector, or globs of them.
            out: folder to write to.
            options: of `tpcfm.inference.jobs.predict_files`: ``like_input``, ``batch_points``, ``workers``, ``overwrite``,
                ``read_as``, ``progress``.

        Returns:
            The paths of the tables, in the order of the files (`tpcfm.inference.tables` says what they hold).

        Raises:
            DataError: a file that is not of the model's detector, or damaged.
        """
        from tpcfm.inference.jobs import predict_files

        return predict_files(self, files, out, **options)

    def predict_events(
        self, events: Iterable[FileEvent], batch_points: int = BATCH_POINTS, workers: int = 0
    ) -> Iterator[Prediction]:
        """Yield what the model says about events, in their order; in bounded memory."""
        predictor = self.predictor
        groups = by_points(events, batch_points)
        for made in prepared_batches(groups, self.preparation, predictor.collate, workers):
            found: Iterator[Prediction] = iter(())
            if made.batch is not None:
                answers = predictor.answer(made.batch, to_device(made.batch, self.device))
                found = predictions(made.used, made.batch, answers, self.detector)
            for event, row in made.events:
                yield no_prediction(event, row, self.labels) if isinstance(row, str) else next(found)

    def embed_events(
        self, events: Iterable[FileEvent], batch_points: int = BATCH_POINTS, workers: int = 0
    ) -> Iterator[Embedding]:
        """Yield the features of events, in their order; in bounded memory."""
        embedder = self.embedder
        groups = by_points(events, batch_points)
        for made in prepared_batches(groups, self.preparation, embedder.collate, workers):
            found = self._embedded(made)
            for event, row in made.events:
                if isinstance(row, str):
                    nothing = np.zeros((0, 0), np.float32)
                    yield Embedding(event.event_id, nothing, nothing, None, row, event.row, event.n_points)
                else:
                    yield next(found)

    def _embedded(self, made: Prepared) -> Iterator[Embedding]:
        if made.batch is None:
            return
        embedder, batch = self.embedder, made.batch
        features = embedder.summary(embedder.layers(to_device(batch, self.device))).cpu().numpy()
        offsets = batch[embedder.offsets].tolist()
        for number, (event, row) in enumerate(made.used):
            own = slice(*offsets[number : number + 2])
            point = np.asarray(row["row"], np.int64) if embedder.points else None
            xyz = batch[embedder.xyz][own]
            yield Embedding(event.event_id, features[own], xyz, point, row=event.row, n_points=event.n_points)


def check_labels(model: Model) -> None:
    """Make sure that a model predicts something.

    Raises:
        CheckpointError: it does not.
    """
    if not model.labels:
        raise CheckpointError(
            f"{model.folder}: a model of architecture {model.config['architecture']!r} predicts no label; "
            "`tpcfm embed` takes its features"
        )
