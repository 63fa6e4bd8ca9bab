"""Lists of data files: globs, ``~`` and counted names such as ``spacepoints_{000..099}.npz``."""

import glob
import re
from collections import Counter
from pathlib import Path

from tpcfm.config.base import expanded
from tpcfm.errors import ConfigError

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


def expand(patterns: list[str], must_exist: str = "") -> list[str]:
    """Return the files that the patterns name, in order and without repeats.

    Args:
        patterns: paths; ``{000..099}`` counts with the width given; ``*`` and ``?`` match files at hand.
        must_exist: configuration key to name in the error if a pattern matches no file; "" allows missing files. Folders
            are no files.

    Raises:
        ConfigError: a pattern matches nothing.
    """
    found: list[str] = []
    for pattern in patterns:
        for name in counted(expanded(pattern)):
            matches = sorted(glob.glob(name, recursive=True)) if glob.has_magic(name) else [name]
            if must_exist:
                matches = [match for match in matches if Path(match).is_file()]
                if not matches:
                    raise ConfigError(f"{must_exist}: {pattern!r} matches no file")
            found += matches
    return list(dict.fromkeys(found))


def counted(pattern: str) -> list[str]:
    """Return the names that ``{000..099}`` in a pattern counts."""
    match = _RANGE.search(pattern)
    if not match:
        return [pattern]
    first, last = match.groups()
    names = []
    for number in range(int(first), int(last) + 1):
        names += counted(pattern[: match.start()] + str(number).zfill(len(first)) + pattern[match.end() :])
    return names


def distinct_names(paths: list[Path], key: str) -> dict[Path, str]:
    """Return each file's own name without its last ending, which what is made of it is called after.

    Raises:
        ConfigError: two files have the same.
    """
    named = {path: path.stem for path in paths}
    for name, count in Counter(named.values()).items():
        if count > 1:
            alike = [str(path) for path, own in named.items() if own == name]
            raise ConfigError(
                f"{key}: {', '.join(alike[:5])} would be written as the same {name!r}; give them one by one, to different folders"
            )
    return named


def part_name(path: str) -> str:
    """Name a part after its file and the folder it lies in (``train-spacepoints_003``)."""
    parts = Path(path).with_suffix("").parts[-2:]
    return re.sub(r"[^A-Za-z0-9_-]+", "_", "-".join(p for p in parts if p not in ("/", "..", ".")))
