"""Downloads over HTTP with requests: resumed after a break, patient with busy servers, checked for size and checksum."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from urllib3.exceptions import HTTPError as BrokenOff
from urllib3.exceptions import MaxRetryError, NameResolutionError
from urllib3.util import Retry

from tpcfm import __version__
from tpcfm.errors import ConfigError, DataError, MachineError

ATTEMPTS = 6  # in a row without a new byte
WAIT_S = 1.0  # before a repetition; doubled each time. A server that names a time (Retry-After) is asked again then
TIMEOUT_S = 60.0
_BLOCK = 1 << 20
_BUSY = (408, 429)
_HINTS = {
    401: "it asks for a login (of Hugging Face: the variable HF_TOKEN)",
    403: "access is refused",
    404: "no such file there; is the revision, split or mirror right?",
}

Progress = Callable[[int], Any]
T = TypeVar("T")


def hub_address() -> str:
    """Return the address of Hugging Face, or of the mirror that ``HF_ENDPOINT`` names."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def nothing(_: int) -> None:
    """Progress that shows nothing."""


class _Refused(Exception):
    """The server answers with an error."""

    def __init__(self, answer: requests.Response) -> None:
        super().__init__(f"HTTP {answer.status_code}")
        self.answer = answer


def patiently(url: str, attempt: Callable[[Callable[[], None]], T]) -> T:
    """Return what ``attempt`` returns, repeated while connections break and servers are busy.

    Args:
        url: for messages.
        attempt: called with a function that says that something arrived: attempts are counted anew from there.

    Raises:
        MachineError: no more attempts, or an answer that would be the same again.
    """
    policy = retry = Retry(total=ATTEMPTS - 1, backoff_factor=WAIT_S, respect_retry_after_header=True)

    def progress() -> None:
        nonlocal retry
        retry = policy

    while True:
        answer: urllib3.BaseHTTPResponse | None = None
        reason: Exception
        try:
            return attempt(progress)
        except _Refused as error:
            reason, code, answer = error, error.answer.status_code, error.answer.raw
            if code not in _BUSY and code < 500:
                raise MachineError(f"{url}: HTTP {code}: {_HINTS.get(code, error.answer.reason)}") from error
        except (requests.RequestException, BrokenOff) as error:
            reason = getattr(error.args[0], "reason", error) if error.args else error
            if isinstance(reason, NameResolutionError):  # waiting seldom helps
                retry = retry.new(total=min(retry.total or 0, 1))
        try:
            retry = retry.increment("GET", url, response=answer)
        except MaxRetryError as error:
            raise MachineError(
                f"no connection to {urlsplit(url).netloc} after {len(retry.history) + 1} attempts ({reason}). Is there a network"
                " here? What arrived is kept: run the same command again to continue, or name a mirror with --base-url, or copy the"
                " files here"
            ) from error
        retry.sleep(answer)


@contextmanager
def _answer(url: str, start: int | None = None, stop: int | None = None) -> Iterator[requests.Response]:
    """Ask for a URL, with ``start`` from that byte on, up to (not including) ``stop``."""
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"{url}: allowed are addresses that begin with http:// or https://")
    headers = {"User-Agent": f"tpcfm/{__version__}", "Accept-Encoding": "identity"}
    if (token := os.environ.get("HF_TOKEN")) and url.startswith(f"{hub_address()}/"):
        headers["Authorization"] = f"Bearer {token}"
    if start is not None:
        headers["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
    with requests.get(url, headers=headers, timeout=TIMEOUT_S, stream=True) as response:
        if response.status_code >= 400:
            raise _Refused(response)
        yield response


def _blocks(response: requests.Response) -> Iterator[bytes]:
    """Yield what arrives as it arrives, so that nothing of it is lost when the connection breaks."""
    raw: urllib3.BaseHTTPResponse = response.raw
    while block := raw.read1(_BLOCK):
        yield block


def read_json(url: str) -> tuple[Any, str | None]:
    """Return the content of a URL and the URL of its next page, if the server names one.

    Raises:
        DataError: not JSON.
        MachineError: no connection, or the server refuses.
    """

    def attempt(_: Callable[[], None]) -> tuple[Any, str | None]:
        with _answer(url) as response:
            content = response.content
            try:
                following = response.links.get("next", {}).get("url")
                return response.json(), urljoin(url, following) if following else None
            except requests.JSONDecodeError as error:
                kind = f"the answer ({len(content)} bytes) is not JSON"
                raise DataError(f"{url}: {kind}; is this a server of the right kind?") from error

    return patiently(url, attempt)


def remote_size(url: str) -> int:
    """Return the size of a remote file in bytes.

    Raises:
        MachineError: no connection, or the server cannot send parts of a file.
    """

    def attempt(_: Callable[[], None]) -> int:
        with _answer(url, 0, 1) as response:
            _require_range(response, url, 0)
            total = response.headers["Content-Range"].rpartition("/")[2]
            if not total.isdigit():
                raise MachineError(f"{url}: the server does not tell the size of the file")
            return int(total)

    return patiently(url, attempt)


def read_range(url: str, start: int, stop: int) -> bytes:
    """Return the bytes ``start`` to ``stop`` (excluded) of a remote file.

    Raises:
        MachineError: no connection, or the server cannot send parts of a file.
    """
    content = bytearray()

    def attempt(progress: Callable[[], None]) -> bytes:
        with _answer(url, start + len(content), stop) as response:
            _require_range(response, url, start + len(content))
            for block in _blocks(response):
                content.extend(block)
                progress()
        if len(content) < stop - start:
            raise BrokenOff("connection broken off")
        return bytes(content[: stop - start])

    return patiently(url, attempt) if stop > start else b""


def _require_range(response: requests.Response, url: str, start: int) -> None:
    given = response.headers.get("Content-Range", "")
    if response.status_code != 206 or not given.startswith(f"bytes {start}-"):
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
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "ab") as stream:
            if stream.tell() > size:
                stream.truncate(0)
            progress(stream.tell())

            def attempt(arrived: Callable[[], None]) -> None:
                have = stream.tell()
                with _answer(url, offset + have, offset + size) as response:
                    if response.status_code == 200 and offset == 0 and have:
                        stream.truncate(0)  # a server without range requests sends the file from the start
                        progress(-have)
                    elif response.status_code != 200 or offset:
                        _require_range(response, url, offset + have)
                    for block in _blocks(response):
                        block = block[: size - stream.tell()]
                        stream.write(block)
                        stream.flush()
                        arrived()
                        progress(len(block))
                        if stream.tell() == size:
                            return
                raise BrokenOff("connection broken off")

            if stream.tell() < size:
                patiently(url, attempt)
    except OSError as error:
        raise MachineError(f"{target}: writing failed: {error.strerror or error}") from error


def has_sha256(path: Path, expected: str) -> bool:
    """Return whether a file has the given checksum."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == expected


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
    if target.is_file() and target.stat().st_size == size and (sha256 is None or has_sha256(target, sha256)):
        progress(size)
        return False
    part = target.with_name(f"{target.name}.part")
    download(url, part, size, progress=progress)
    if sha256 is not None and not has_sha256(part, sha256):
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
