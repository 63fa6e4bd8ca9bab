"""Single members of a remote zip archive, by HTTP range requests: the directory is read, not the archive."""

import io
import shutil
import zipfile
import zlib
from pathlib import Path

from tpcfm.errors import DataError
from tpcfm.release.http import Progress, download, nothing, read_range, remote_size

_BUFFER = 1 << 18  # bytes asked for at a time; the directory stands at the end of the archive
_LOCAL_HEADER = 30  # bytes before the member's name
_ENCRYPTED = 1


class _RemoteFile(io.RawIOBase):
    """A file on a server as the standard library wants it: read and seek."""

    def __init__(self, url: str) -> None:
        self.url, self.size, self.place = url, remote_size(url), 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.place = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.place, io.SEEK_END: self.size}[whence])
        return self.place

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def,override]
        content = read_range(self.url, self.place, min(self.place + len(buffer), self.size))
        buffer[: len(content)] = content
        self.place += len(content)
        return len(content)


def list_members(url: str) -> list[zipfile.ZipInfo]:
    """Return the files in a remote zip archive (zip64 included), in archive order.

    Raises:
        DataError: not a zip archive, split over volumes, or with a damaged directory.
        MachineError: no connection, or the server cannot send parts of a file.
    """
    try:
        with zipfile.ZipFile(io.BufferedReader(_RemoteFile(url), _BUFFER)) as archive:
            return [info for info in archive.infolist() if not info.is_dir()]
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise DataError(f"{url}: not a zip archive, or its central directory is damaged: {error}") from error


def fetch_member(url: str, member: zipfile.ZipInfo, target: Path, progress: Progress = nothing) -> bool:
    """Download and unpack one member; what is complete already stays.

    Args:
        url: the archive.
        member: which.
        target: where it goes. The packed bytes are kept in ``<target>.part`` until they are complete.
        progress: called with the number of packed bytes that arrived.

    Returns:
        False if it was here already.

    Raises:
        DataError: damaged, or packed in a way that is not supported.
        MachineError: no connection, or the disk is full.
    """
    if target.is_file() and target.stat().st_size == member.file_size and _crc(target) == member.CRC:
        progress(member.compress_size)
        return False
    if member.flag_bits & _ENCRYPTED or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(
            f"{url}: {member.filename} is encrypted or packed by an unknown method; allowed: stored, deflated"
        )
    header = read_range(url, member.header_offset, member.header_offset + _LOCAL_HEADER)
    if header[:4] != b"PK\x03\x04":
        raise DataError(f"{url}: damaged zip archive: no header where {member.filename} should begin")
    names = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    part = target.with_name(f"{target.name}.part")
    download(url, part, member.compress_size, member.header_offset + _LOCAL_HEADER + names, progress)
    unpacked = target.with_name(f"{target.name}.unpacked")
    try:
        with (
            open(part, "rb") as packed,
            zipfile.ZipExtFile(packed, "r", member) as content,
            open(unpacked, "wb") as sink,
        ):
            shutil.copyfileobj(content, sink, 1 << 20)  # checks the CRC-32
        unpacked.replace(target)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataError(
            f"{target.name}: what arrived from {url} does not have the CRC-32 of {member.filename}; fetch it again"
        ) from error
    finally:
        unpacked.unlink(missing_ok=True)
        part.unlink(missing_ok=True)
    return True


def _crc(path: Path) -> int:
    crc = 0
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            crc = zlib.crc32(block, crc)
    return crc
