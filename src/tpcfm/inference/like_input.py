"""Predictions in the layout of the raw file that they belong to, so that the tools that read such files read them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tpcfm.detectors.model import ClassLabel, Detector, InstanceLabel
from tpcfm.errors import ConfigError
from tpcfm.events.read import open_table
from tpcfm.events.schema import detector_at
from tpcfm.inference.answers import NONE
from tpcfm.readers.ragged import Array
from tpcfm.readers.write.labels import EventLabels, LabelStream
from tpcfm.readers.write.registry import label_files, write_labels


def check_like_input(path: Path, read_as: Detector, folder: Path) -> None:
    """Make sure that labels can be written in the layout of a file.

    Raises:
        ConfigError: an event table, a file in the folder of outputs, or a reader without a writer.
    """
    if detector_at(path) is not None:
        raise ConfigError(f"--like-input: {path} is an event table, not a raw file; join the predictions by event_id")
    if folder.resolve() == path.resolve().parent:
        raise ConfigError(f"--like-input: {path} lies in the --out folder and would be overwritten; choose another")
    label_files(path, read_as, [], folder)


def write_like_input(
    path: Path, read_as: Detector, table: Path, folder: Path, labels: Sequence[str], overwrite: bool = False
) -> None:
    """Write the labels of a table of predictions in the layout of its raw file; nothing if the files are there.

    Classes are values of the label's column, -1 without an answer. Objects are numbered from the label's smallest number on, leaving out
    what means background; points of no object, or without an answer, hold the background (-1 where the detector names none).

    Args:
        path: raw file.
        read_as: detector whose reader reads it.
        table: predictions of it.
        folder: to write to.
        labels: columns of the table.
        overwrite: write in any case.
    """
    files = label_files(path, read_as, list(labels), folder)
    if not overwrite and all(file.exists() for file in files):
        return
    kinds = {name: read_as.labels[name].type for name in labels}
    write_labels(path, read_as, LabelStream(_events(table, read_as, labels), kinds, path), folder)


def _events(table: Path, detector: Detector, labels: Sequence[str]) -> Iterator[EventLabels]:
    with open_table(table) as opened:
        for group in range(opened.num_row_groups):
            for batch in opened.iter_batches(batch_size=64, row_groups=[group], columns=list(labels)):
                flat = {name: _filled(batch.column(name), detector.labels[name]) for name in labels}
                for row in range(batch.num_rows):
                    found = {}
                    for name, (offsets, values) in flat.items():
                        found[name] = values[offsets[row] : offsets[row + 1]]
                    yield found


def _filled(column: object, label: ClassLabel | InstanceLabel) -> tuple[Array, Array]:
    """Return offsets and values of a list column, as a file holds them."""
    offsets, values = column.offsets.to_numpy(), column.values.fill_null(NONE)  # type: ignore[attr-defined]
    found = values.to_numpy(zero_copy_only=False).astype(np.int64)
    return offsets, found if isinstance(label, ClassLabel) else numbered(found, label)


def numbered(ids: Array, label: InstanceLabel) -> Array:
    """Return objects 0, 1, ... as the numbers that a label's column may hold, and its background for -1."""
    if not len(ids):
        return ids
    most = int(ids.max()) + 1
    free = np.arange(label.minimum, label.minimum + most + len(label.background) + 1)
    free = free[~np.isin(free, label.background)]
    nothing = label.background[0] if label.background else NONE
    return np.where(ids < 0, nothing, free[np.maximum(ids, 0)])
