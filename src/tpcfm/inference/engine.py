"""A trained model, opened: what it says about a stream of events. The one path of the command line, of Python and of `tpcfm show`."""

import hashlib
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tpcfm.detectors.model import Detector
from tpcfm.errors import CheckpointError, ConfigError
from tpcfm.files import sha256
from tpcfm.inference.answers import Embedding, Prediction, no_prediction, predictions
from tpcfm.inference.file_events import FileEvent
from tpcfm.inference.preparation import preparation
from tpcfm.inference.stream import BATCH_POINTS, Prepared, by_points, prepared_batches
from tpcfm.systems.architectures import architecture_of
from tpcfm.tasks.answers import Embedder, Predictor
from tpcfm.train import load_config, to_device
from tpcfm.train.model_files import backbone_folder


class Engine:
    """A model directory, opened; it reads nothing but this folder (of an adapter also its backbone's, beside it).

    Args:
        folder: model directory.
        device: ``cpu``, ``cuda`` or ``cuda:N``; default: CUDA if there is one.

    Raises:
        CheckpointError: no model directory, or one of an unknown architecture.
        ConfigError: no such device.
    """

    def __init__(self, folder: str | Path, device: str | None = None) -> None:
        self.folder = Path(folder)
        self.config: dict[str, Any] = load_config(self.folder)
        self.architecture = architecture_of(self.config, self.folder)
        self.preparation = preparation(self.config)
        self.device = _device(device or ("cuda" if torch.cuda.is_available() else "cpu"))

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
        backbone = backbone_folder(self.folder, self.config)
        folders = [self.folder, *([backbone] if backbone else [])]
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


def _device(name: str) -> torch.device:
    """Return a device that is there."""
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    count = torch.cuda.device_count()
    if device.type == "cpu" or (device.type == "cuda" and (device.index or 0) < count):
        return device
    raise ConfigError(
        f"device: {name!r}; allowed: cpu" + (f", cuda:0 to cuda:{count - 1}" if count else "; there is no CUDA here")
    )


def check_labels(model: Engine) -> None:
    """Make sure that a model predicts something.

    Raises:
        CheckpointError: it does not.
    """
    if not model.labels:
        raise CheckpointError(
            f"{model.folder}: a model of architecture {model.config['architecture']!r} predicts no label; "
            "`tpcfm embed` takes its features"
        )
