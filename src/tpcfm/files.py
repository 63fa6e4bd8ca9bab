"""Atomic writes, checksums and small JSON helpers."""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tpcfm.errors import DataError, MachineError


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success fsync it and rename it over ``path``, else remove it.

    Raises:
        MachineError: the folder cannot be written (full disk, no permission).
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=target.suffix, dir=target.parent)
        os.close(handle)
    except OSError as error:
        raise MachineError(f"{target}: cannot write here: {error.strerror or error}") from error
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb+") as stream:
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, target)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if why := _not_written(error):
            raise MachineError(f"{target}: writing failed: {why}") from error
        raise


def _not_written(error: BaseException) -> str:
    """Return why the system did not write, in words; nothing for other errors. HDF5 writes what is left on closing, and then has its own class."""
    if isinstance(error, OSError):
        return str(error.strerror or error)
    if isinstance(error, RuntimeError) and "file write failed" in str(error):
        found = re.search("error message = '([^']*)'", str(error))
        return found.group(1) if found else "file write failed"
    return ""


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write JSON atomically, keys in their order: that of a detector's classes and labels has a meaning."""
    write_text(path, json.dumps(value, indent=2, default=str) + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file.

    Raises:
        DataError: the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON: {error}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def require_file(path: str | os.PathLike[str], needed: str) -> None:
    """Make sure that there is a file.

    Args:
        path: the file.
        needed: what it should be, for the message.

    Raises:
        DataError: no such file, or a folder.
    """
    if not Path(path).is_file():
        what = "a folder" if Path(path).is_dir() else "no such file"
        raise DataError(f"{path}: {what}; needed is {needed}")


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the hexadecimal SHA-256 of a file's content, read in blocks."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def short_hash(value: Any, length: int = 8) -> str:
    """Return the first hex digits of the SHA-256 of a JSON-able value, independent of key order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def key64(text: str, seed: int = 0) -> int:
    """Return a 64-bit integer key of a string: the basis of splits, label subsets and keyed random draws."""
    return int.from_bytes(hashlib.blake2b(f"{seed}:{text}".encode(), digest_size=8).digest(), "little")
