"""Which writer a reader has: of the package, or ``write_labels`` of a plugin's reader."""

from importlib import import_module
from pathlib import Path
from typing import Any

from tpcfm.detectors.model import Detector
from tpcfm.errors import ConfigError
from tpcfm.readers.registry import reader_of
from tpcfm.readers.write.labels import LabelStream

WRITERS = {
    "pilarnet": "tpcfm.readers.write.voxel_rows",
    "tpcpp": "tpcfm.readers.write.packs",
    "columns": "tpcfm.readers.write.columns",
}


def label_files(path: Path, detector: Detector, labels: list[str], folder: Path) -> list[Path]:
    """Return the files that the labels of a raw file go to: one of its own name, unless its layout has a file per label.

    Raises:
        ConfigError: files of this reader cannot be written.
    """
    module = _module(detector)
    named = getattr(module, "names", None)
    return [folder / name for name in named(path, labels)] if named else [folder / path.name]


def write_labels(path: Path, detector: Detector, labels: LabelStream, folder: Path) -> None:
    """Write labels of the points of a raw file in its layout, whole or not at all.

    Args:
        path: the raw file.
        detector: how it is read.
        labels: of all its events in its order, by the names of their columns in the event table.
        folder: to write to, not that of the raw file.

    Raises:
        ConfigError: files of this reader cannot be written.
        DataError: the labels do not fit the file, or it is damaged.
    """
    _module(detector).write_labels(path, detector, labels, folder)


def _module(detector: Detector) -> Any:
    name = detector.read.reader
    if name in WRITERS:
        return import_module(WRITERS[name])
    reader = reader_of(name)
    if not hasattr(reader, "write_labels"):
        raise ConfigError(
            f"files of the reader {name!r} cannot be written; those of {', '.join(WRITERS)} can (a plugin's reader may bring `write_labels`)"
        )
    return reader
