"""What a file is by its first bytes, and what files are that lie beside event files and hold no events, by their name."""

import re
import zipfile
from pathlib import Path

from tpcfm.errors import DataError

LABELS = {"track_ids": "track", "pid_labels": "pid", "noise_tags": "noise"}  # stem: column
PARTICLES = "particles"
_BESIDE_SPACEPOINTS = re.compile(rf"({'|'.join([*LABELS, PARTICLES])})(_\d+)?\.npz")
_POINT_COUNTS = "_points.npy"
"""End of the names of the point-count sidecars of PILArNet-M."""


def require_data_file(path: Path) -> None:
    """Make sure that there is a file to read.

    Raises:
        DataError: missing, or a folder.
    """
    if path.is_dir():
        raise DataError(f"{path}: a folder; name the files in it, such as {path}/*")
    if not path.is_file():
        raise DataError(f"{path}: no such file")


def begins_with(path: Path, *starts: bytes) -> bool:
    """Whether a file begins with one of some bytes."""
    with open(path, "rb") as stream:
        return stream.read(8).startswith(starts)


def is_zip(path: Path) -> bool:
    """Whether a file is a zip, such as npz, if perhaps a damaged one."""
    return path.is_file() and (begins_with(path, b"PK\x03\x04") or zipfile.is_zipfile(path))


def companion(path: Path) -> str | None:
    """Return what a file beside event files is, by its name and what lies beside it; None if it should hold events.

    Raises:
        DataError: a label or particle file without its spacepoints, or point counts without their events: nothing reads them.
    """
    if named := _BESIDE_SPACEPOINTS.fullmatch(path.name):
        what = "particles" if named.group(1) == PARTICLES else "labels"
        events = f"spacepoints{named.group(2) or ''}.npz"
        return _of(path, events, f"{what} of {events}, checked with it")
    if path.name.endswith(_POINT_COUNTS):
        events = path.name.removesuffix(_POINT_COUNTS) + ".h5"
        return _of(path, events, f"point counts of {events}, which are counted anew from it")
    if path.name == "manifest.json":
        return "manifest of its folder; the checksums in it are compared when the files it lists are checked"
    table = path.name.removesuffix(".json").removesuffix(".statistics") + ".parquet"
    if path.suffix == ".json" and path.with_name(table).is_file():
        return f"statistics of {table}"
    return None


def _of(path: Path, events: str, what: str) -> str:
    if not path.with_name(events).is_file():
        raise DataError(f"{path}: belongs to {events}, which is not beside it")
    return what
