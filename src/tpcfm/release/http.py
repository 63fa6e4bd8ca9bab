"""Downloads over HTTP with the standard library: resumed after a break, checked for size and checksum."""

import hashlib
import http.client
import shutil
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tpcfm import __version__
from tpcfm.errors import ConfigError, DataError, MachineError

ATTEMPTS = 6  # in a row without a new byte
WAIT_S = 1.0  # before the first repetition; doubled each time
TIMEOUT_S = 60.0
_BLOCK = 1 << 20
_BREAKS = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError)

Progress = Callable[[int], Any]


def nothing(_: int) -> None:
    """Progress that shows nothing."""


class Patience:
    """Counts attempts without progress and waits between them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._failed = 0

    def progress(self) -> None:
        """Something arrived: begin to count anew."""
        self._failed = 0

    def failed(self, error: Exception) -> None:
        """Wait before the next attempt.

        Raises:
            MachineError: no more attempts, or one that would fail the same way.
        """
        host = urlsplit(self.url).netloc
        if isinstance(error, urllib.error.HTTPError):
            error.close()
            if error.code not in (408, 429) and error.code < 500:
                hint = {
                    401: "it asks for a login",
                    403: "access is refused",
                    404: "no such file there; is the revision, split or mirror right?",
                }.get(error.code, error.reason)
                raise MachineError(f"{self.url}: HTTP {error.code}: {hint}") from error
        self._failed += 1
        reason = getattr(error, "reason", None) or error
        unknown = isinstance(reason, socket.gaierror)  # no such name, or no name server: waiting seldom helps
        if self._failed >= (min(2, ATTEMPTS) if unknown else ATTEMPTS):
            raise MachineError(
                f"no connection to {host} after {self._failed} attempts ({reason}). Is there a network here? What arrived is "
                "kept: run the same command again to continue, or name a mirror with --base-url, or copy the files here"
            ) from error
        time.sleep(WAIT_S * 2 ** (self._failed - 1))


def _open(url: str, start: int | None = None, stop: int | None = None) -> Any:
    """Open a URL, with ``start`` from that byte on, up to (not including) ``stop``."""
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"{url}: allowed are addresses that begin with http:// or https://")
    headers = {"User-Agent": f"tpcfm/{__version__}", "Accept-Encoding": "identity"}
    if start is not None:
        headers["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S)


def read_url(url: str) -> bytes:
    """Return the (small) content of a URL.

    Raises:
        MachineError: no connection, or the server refuses.
    """
    patience = Patience(url)
    while True:
        try:
            with _open(url) as response:
                content: bytes = response.read()
                return content
        except _BREAKS as error:
            patience.failed(error)


def read_range(url: str, start: int, stop: int) -> bytes:
    """Return the bytes ``start`` to ``stop`` (excluded) of a remote file.

    Raises:
        MachineError: no connection, or the server cannot send parts of a file.
    """
    patience, content = Patience(url), b""
    while len(content) < stop - start:
        try:
            with _open(url, start + len(content), stop) as response:
                _require_range(response, url, start + len(content))
                while block := response.read(_BLOCK):
                    content += block
                    patience.progress()
            if len(content) < stop - start:
                raise ConnectionError("connection broken off")
        except _BREAKS as error:
            patience.failed(error)
    return content[: stop - start]


def remote_size(url: str) -> int:
    """Return the size of a remote file in bytes.

    Raises:
        MachineError: no connection, or the server cannot send parts of a file.
    """
    patience = Patience(url)
    while True:
        try:
            with _open(url, 0, 1) as response:
                _require_range(response, url, 0)
                total = response.headers.get("Content-Range", "").rpartition("/")[2]
                if not total.isdigit():
                    raise MachineError(f"{url}: the server does not tell the size of the file")
                return int(total)
        except _BREAKS as error:
            patience.failed(error)


def _require_range(response: Any, url: str, start: int) -> None:
    given = response.headers.get("Content-Range", "")
    if response.status != 206 or not given.startswith(f"bytes {start}-"):
        raise MachineError(
            f"{url}: the server does not send parts of a file (HTTP range requests); name another mirror"
        )


def download(url: str, target: Path, size: int, offset: int = 0, progress: Progress = nothing) -> None:
    """Download ``size`` bytes from ``offset`` on of a remote file to ``target``, going on where an earlier try stopped.

    Args:
        url: remote file.
        target: local file; it may hold the first bytes already, and is complete on return.
        size: bytes to fetch.
        offset: first byte to fetch.
        progress: called with the number of bytes that arrived (first with what was there already).

    Raises:
        MachineError: no connection, or the disk is full.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    have = target.stat().st_size if target.is_file() else 0
    if have > size:
        target.unlink()
        have = 0
    progress(have)
    patience = Patience(url)
    while have < size:
        try:
            with _open(url, offset + have, offset + size) as response:
                if response.status == 200 and offset == 0 and have:
                    target.unlink()  # a server without range requests sends the file from the start
                    progress(-have)
                    have = 0
                elif response.status != 200 or offset:
                    _require_range(response, url, offset + have)
                have = _append(response, target, have, size, patience, progress)
            if have < size:
                raise ConnectionError("connection broken off")
        except _BREAKS as error:
            have = target.stat().st_size if target.is_file() else 0
            patience.failed(error)


def _append(response: Any, target: Path, have: int, size: int, patience: Patience, progress: Progress) -> int:
    try:
        stream = open(target, "ab")  # noqa: SIM115 (closed below; opening is apart because its errors are others)
    except OSError as error:
        raise MachineError(f"{target}: cannot write here: {error.strerror}") from error
    with stream:
        while have < size and (block := response.read(min(_BLOCK, size - have))):
            try:
                stream.write(block)
                stream.flush()
            except OSError as error:
                raise MachineError(f"{target}: writing failed: {error.strerror}") from error
            have += len(block)
            patience.progress()
            progress(len(block))
    return have


def check_digest(path: Path, algorithm: str, expected: str) -> bool:
    """Return whether a file has the given checksum (``sha256``, ``md5`` ...)."""
    digest = hashlib.new(algorithm)
    with open(path, "rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest() == expected


def fetch_file(url: str, target: Path, size: int, sha256: str | None, progress: Progress = nothing) -> bool:
    """Download a whole file; what is complete already stays.

    Args:
        url: remote file.
        target: where it goes; until it is complete and checked it is named ``<target>.part``.
        size: its size in bytes.
        sha256: its checksum, if known.
        progress: see `download`.

    Returns:
        False if it was here already.

    Raises:
        DataError: what arrived has another checksum (it is removed).
        MachineError: no connection, or the disk is full.
    """
    if (
        target.is_file()
        and target.stat().st_size == size
        and (sha256 is None or check_digest(target, "sha256", sha256))
    ):
        progress(size)
        return False
    part = target.with_name(f"{target.name}.part")
    download(url, part, size, progress=progress)
    if sha256 is not None and not check_digest(part, "sha256", sha256):
        part.unlink()
        raise DataError(
            f"{target.name}: what arrived from {url} does not have the SHA-256 {sha256}; removed, fetch it again"
        )
    part.replace(target)
    return True


def require_space(folder: Path, needed: int) -> None:
    """Make sure that the disk has room.

    Args:
        folder: where the data go; it need not exist.
        needed: bytes.

    Raises:
        MachineError: too little is free.
    """
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if needed > free:
        raise MachineError(
            f"{folder}: {needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free; choose less or another disk"
        )
