"""Finding a reader: of the package, or registered by a plugin (entry points ``tpcfm.readers``)."""

from contextlib import AbstractContextManager
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from tpcfm.detectors.model import Detector
from tpcfm.detectors.registry import built_in, load_detector
from tpcfm.detectors.registry import plugins as plugin_detectors
from tpcfm.errors import ConfigError, DataError
from tpcfm.readers.block import Reader
from tpcfm.readers.kinds import require_data_file

GROUP = "tpcfm.readers"
"""Entry points: the name of a reader, and its class."""
READERS = {
    "pilarnet": "tpcfm.readers.pilarnet:PilarnetReader",
    "tpcpp": "tpcfm.readers.tpcpp:TpcppReader",
    "columns": "tpcfm.readers.columns.reader:ColumnsReader",
}


def reader_of(name: str) -> Any:
    """Return the class of a reader.

    Raises:
        ConfigError: no such reader, or a plugin that cannot be loaded.
    """
    if name in READERS:
        module, cls = READERS[name].split(":")
        return getattr(import_module(module), cls)
    registered = {point.name: point for point in entry_points(group=GROUP)}
    if name not in registered:
        known = ", ".join([*READERS, *sorted(registered)])
        raise ConfigError(f"read.reader: {name!r}: unknown; there are {known} (plugins register others as {GROUP!r})")
    try:
        return registered[name].load()
    except Exception as error:  # a plugin may raise anything
        raise ConfigError(f"reader {name!r}: the plugin {registered[name].value} cannot be loaded: {error}") from error


def open_raw(path: str | Path, detector: Detector) -> "AbstractContextManager[Reader]":
    """Open a raw file with the reader of a detector.

    Raises:
        DataError: missing, or not what the reader reads.
        ConfigError: no such reader, or options that it does not know.
    """
    require_data_file(Path(path))
    opened: AbstractContextManager[Reader] = reader_of(detector.read.reader)(path, detector)
    return opened


def recognise(path: str | Path) -> Detector:
    """Return the detector of a raw file, out of those that have a name: the one whose reader knows the file.

    Raises:
        DataError: no file, or none or several of the readers know it.
    """
    require_data_file(Path(path))
    names = [*built_in(), *sorted(plugin_detectors())]
    found = []
    for name in names:
        detector = load_detector(name)
        knows = getattr(reader_of(detector.read.reader), "recognises", None)
        if knows is not None and knows(Path(path)):
            found.append(detector)
    if len(found) == 1:
        return found[0]
    if found:
        fitting = ", ".join(detector.name for detector in found)
        raise DataError(f"{path}: a file that several detectors may have written: {fitting}; say which (--detector)")
    raise DataError(
        f"{path}: no event table, and no raw file that is known by itself ({', '.join(names)}); is it empty or damaged from the start? Of "
        "another detector? Then say which: --detector NAME or FILE.yaml (`tpcfm detector init FILE` drafts one)"
    )
