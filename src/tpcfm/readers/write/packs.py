"""Labels as TPCpp-10M packs them: a file per label, ``data`` of all points and ``size`` of each event (arXiv 2509.05792)."""

import re
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np

from tpcfm.detectors.model import Detector
from tpcfm.errors import DataError
from tpcfm.files import atomic
from tpcfm.readers.kinds import LABELS
from tpcfm.readers.npy_stream import NpzFile
from tpcfm.readers.write.labels import LabelStream

EVENTS = 256
_STEMS = {label: stem for stem, label in LABELS.items()}
_NUMBER = re.compile(r"spacepoints(_\d+)?\.npz")


def names(path: Path, labels: list[str]) -> list[str]:
    """Return the name of the file of each label: as published where the release has it, else after the label.

    Raises:
        DataError: not the name of a file of spacepoints.
    """
    found = _NUMBER.fullmatch(path.name)
    if found is None:
        raise DataError(f"{path}: expected a file named spacepoints.npz or spacepoints_NNN.npz")
    return [f"{_STEMS.get(label, label)}{found.group(1) or ''}.npz" for label in labels]


def write_labels(path: Path, detector: Detector, labels: LabelStream, folder: Path) -> None:
    """Write a file per label (see `tpcfm.readers.write.registry.write_labels`)."""
    with NpzFile(path) as raw:
        sizes = raw.read("size").astype(np.int64)
    with ExitStack() as stack:
        streams: dict[str, IO[bytes]] = {}
        for label, name in zip(labels.kinds, names(path, list(labels.kinds)), strict=True):
            temporary = stack.enter_context(atomic(folder / name))
            packed = stack.enter_context(zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1))
            with packed.open("size.npy", "w") as stream:
                np.lib.format.write_array(stream, sizes)
            stream = stack.enter_context(packed.open("data.npy", "w", force_zip64=True))
            write_header(stream, labels.kinds[label], int(sizes.sum()))
            streams[label] = stream
        for start in range(0, len(sizes), EVENTS):
            found = labels.points(int(sizes[start : start + EVENTS].sum()))
            for label, stream in streams.items():
                stream.write(found[label].tobytes())
        labels.finish()


def write_header(stream: IO[bytes], kind: np.dtype[Any], rows: int) -> None:
    """Begin an array of so many numbers in the npy format; their bytes follow."""
    about = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": (rows,)}
    np.lib.format.write_array_header_2_0(stream, about)
