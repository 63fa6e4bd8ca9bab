"""Predictions of a trained model for one event of a prepared cache: classes or instances of any label."""

from pathlib import Path
from typing import Any

import numpy as np

from tpcfm.detectors.model import ClassLabel
from tpcfm.errors import ConfigError
from tpcfm.inference.engine import Engine
from tpcfm.inference.preparation import check_detector
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.architectures import architecture_of
from tpcfm.tasks.predictions import point_columns
from tpcfm.train import to_device


def predicted_labels(folder: Path) -> list[str]:
    """Return the label columns that a model directory predicts; empty for one that predicts none."""
    return Engine(folder, "cpu").labels


def predict_event(folder: Path, store: PreparedStore, row: int, label: str | None = None) -> dict[str, Any]:
    """Return what a trained model says about one event: the plain decision of its evaluation, in float32 on the CPU.

    Args:
        folder: model directory; a backbone lies beside it, under the name in its ``config.json``.
        store: a cache made as the one it was trained on (`tpcfm.inference.one_event.open_event` makes one of any file).
        row: event.
        label: of those it predicts; the first if not given.

    Returns:
        ``event_id``, ``task`` (the label), ``x y z``, the signals, ``row`` (int32, of each point in the event table: points that the
        cuts took out have no answer), ``prediction`` (N,) int64: values of the label, or numbers of instances, -1 for none; and
        ``truth``, values of the label, which is missing where the event carries none.

    Raises:
        CheckpointError: a model that predicts no points, or one that does not fit the cache.
        ConfigError: a label that it does not predict.
        DataError: events of another detector.
    """
    model = Engine(folder, "cpu")
    module = architecture_of(model.config, folder, "prediction").module
    if label is not None and label not in model.labels:
        raise ConfigError(f"{folder}: does not predict {label!r}; it predicts {', '.join(model.labels)}")
    check_detector(store.detector, model.detector, store.folder, scaling=True)
    task = label or model.labels[0]
    predictor = module.predictor(folder, store, model.device)
    batch = predictor.collate(store, np.array([row]))
    answer, kind = predictor.answer(batch, to_device(batch, model.device))[task].values, store.detector.labels[task]
    columns = [*point_columns(store.detector), "row"]
    event = {name: np.asarray(store.value(row, name)) for name in columns}
    found = {"event_id": store.value(row, "event_id"), "task": task, **event}
    found["prediction"] = kind.decode(answer) if isinstance(kind, ClassLabel) else answer
    truth = store.value(row, task)
    return found if truth is None else found | {"truth": np.asarray(truth, dtype=np.int64)}
