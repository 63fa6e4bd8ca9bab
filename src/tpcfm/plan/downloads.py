"""Which files of a public release a dataset takes, out of the list of the release."""

from pathlib import Path

from tpcfm.config.data import DataSource
from tpcfm.config.lock import default_lock, read_lock
from tpcfm.config.sources import counted
from tpcfm.detectors.model import Detector
from tpcfm.errors import ConfigError


def downloads(where: str, source: DataSource, detector: Detector) -> tuple[list[str], str, list[str]]:
    """Return the files, the list of the release ("" without one), and what of it is part of the dataset's id.

    Names that are written out need no list; where there is one, they must be in it.

    Args:
        where: key of the configuration, for errors.
        source: the dataset.
        detector: its detector.

    Raises:
        ConfigError: the detector has no release, the list is missing and needed, or it holds no such file.
    """
    if not source.download:
        return [], "", []
    if detector.release is None:
        raise ConfigError(f"{where}: there is no public release of the detector {detector.name!r}; give files")
    path = Path(source.lock) if source.lock else default_lock(detector.release, source.revision)
    names = [name for pattern in source.download for name in counted(pattern)]
    if not path.is_file():
        if source.lock or any(_magic(name) for name in names):
            revision = f" --revision {source.revision}" if source.revision != "v1" else ""
            place = f" --lock {path}" if source.lock else ""
            command = f"tpcfm fetch {detector.release} --list{revision}{place}"
            raise ConfigError(f"{where}: the list of the release, {path}, is not there; write it with `{command}`")
        return list(dict.fromkeys(names)), "", []
    lock = read_lock(path)
    if lock.release != detector.release or lock.revision != source.revision:
        raise ConfigError(
            f"{where}: {path} lists {lock.release} {lock.revision}; needed is {detector.release} {source.revision}"
        )
    found: list[str] = []
    for name in names:
        matches = lock.matching(name) if _magic(name) else [f.path for f in lock.files if f.path == name]
        if not matches:
            folders = sorted({f.path.rpartition("/")[0] + "/" for f in lock.files})
            raise ConfigError(f"{where}: {name!r} is not in the release ({path}); it has files in {', '.join(folders)}")
        found += matches
    found = list(dict.fromkeys(found))
    return found, str(path), [lock.fingerprint(found)]


def _magic(name: str) -> bool:
    return any(sign in name for sign in "*?[")
