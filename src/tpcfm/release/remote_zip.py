"""Single members of a remote zip archive, by HTTP range requests: the directory is read, not the archive."""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from tpcfm.errors import DataError
from tpcfm.release.http import Progress, download, nothing, read_range, remote_size

_END = struct.Struct("<4s4H2LH")  # end of central directory
_LOCATOR = struct.Struct("<4sLQL")  # zip64 end of central directory locator
_END64 = struct.Struct("<4sQ2H2L4Q")  # zip64 end of central directory
_ENTRY = struct.Struct("<4s6H3L5H2L")  # central directory header
_LOCAL = struct.Struct("<4s5H3L2H")  # local file header
_TAIL = _END.size + _LOCATOR.size + 65_535  # the archive's comment can be that long
_ZIP64 = 1  # id of the extra field
_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 1


@dataclass(frozen=True)
class Member:
    """An entry of the central directory.

    Attributes:
        name: path inside the archive.
        method: 0 stored, 8 deflated.
        crc: CRC-32 of the content.
        packed: bytes in the archive.
        size: bytes of the content.
        offset: place of the local header in the archive.
    """

    name: str
    method: int
    crc: int
    packed: int
    size: int
    offset: int


def list_members(url: str) -> list[Member]:
    """Return the files in a remote zip archive (zip64 included), in archive order.

    Raises:
        DataError: not a zip archive, split over volumes, or with a damaged directory.
        MachineError: no connection, or the server cannot send parts of a file.
    """
    total = remote_size(url)
    start = max(0, total - _TAIL)
    tail = read_range(url, start, total)
    place = tail.rfind(b"PK\x05\x06")
    if place < 0 or len(tail) - place < _END.size:
        raise DataError(f"{url}: not a zip archive (no central directory at its end)")
    _, disk, _, _, count, size, offset, _ = _END.unpack_from(tail, place)
    if 0xFFFF in (count, disk) or 0xFFFFFFFF in (size, offset):
        count, size, offset = _zip64_end(url, tail, place)
    if offset + size > total:
        raise DataError(f"{url}: the central directory lies outside the archive")
    directory = read_range(url, offset, offset + size) if size else b""
    return [member for member in _entries(url, directory, count) if not member.name.endswith("/")]


def _zip64_end(url: str, tail: bytes, place: int) -> tuple[int, int, int]:
    if place < _LOCATOR.size or tail[place - _LOCATOR.size :][:4] != b"PK\x06\x07":
        raise DataError(f"{url}: damaged zip archive (no zip64 locator)")
    where = _LOCATOR.unpack_from(tail, place - _LOCATOR.size)[2]
    record = read_range(url, where, where + _END64.size)
    if record[:4] != b"PK\x06\x06":
        raise DataError(f"{url}: damaged zip archive (no zip64 end record)")
    *_, count, size, offset = _END64.unpack(record)
    return count, size, offset


def _entries(url: str, directory: bytes, count: int) -> list[Member]:
    members: list[Member] = []
    place = 0
    for _ in range(count):
        if directory[place : place + 4] != b"PK\x01\x02" or len(directory) - place < _ENTRY.size:
            raise DataError(f"{url}: damaged central directory after {len(members)} of {count} entries")
        fields = _ENTRY.unpack_from(directory, place)
        flags, method, crc, packed, size = fields[3], fields[4], fields[7], fields[8], fields[9]
        name_length, extra_length, comment_length, offset = fields[10], fields[11], fields[12], fields[16]
        place += _ENTRY.size
        raw, extra = directory[place : place + name_length], directory[place + name_length :][:extra_length]
        place += name_length + extra_length + comment_length
        name = raw.decode("utf-8" if flags & 0x800 else "cp437")
        packed, size, offset = _zip64_sizes(extra, size, packed, offset)
        if flags & _ENCRYPTED or method not in (_STORED, _DEFLATED):
            method = -1  # an error only if it is asked for
        members.append(Member(name, method, crc, packed, size, offset))
    return members


def _zip64_sizes(extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """Return (packed, size, offset), with those that do not fit 32 bits taken from the extra field."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if kind == _ZIP64:
            values = iter(struct.unpack_from(f"<{length // 8}Q", extra, 4))
            size = next(values, size) if size == 0xFFFFFFFF else size
            packed = next(values, packed) if packed == 0xFFFFFFFF else packed
            offset = next(values, offset) if offset == 0xFFFFFFFF else offset
        extra = extra[4 + length :]
    return packed, size, offset


def fetch_member(url: str, member: Member, target: Path, progress: Progress = nothing) -> bool:
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
    if target.is_file() and target.stat().st_size == member.size and _crc(target) == member.crc:
        progress(member.packed)
        return False
    if member.method < 0:
        raise DataError(f"{url}: {member.name} is encrypted or packed by an unknown method; allowed: stored, deflated")
    header = read_range(url, member.offset, member.offset + _LOCAL.size)
    if header[:4] != b"PK\x03\x04":
        raise DataError(f"{url}: damaged zip archive: no header where {member.name} should begin")
    fields = _LOCAL.unpack(header)
    start = member.offset + _LOCAL.size + fields[9] + fields[10]
    part = target.with_name(f"{target.name}.part")
    download(url, part, member.packed, start, progress)
    unpacked = target.with_name(f"{target.name}.unpacked")
    try:
        good = _unpack(part, unpacked, member)
        if good:
            unpacked.replace(target)
    finally:
        unpacked.unlink(missing_ok=True)
        part.unlink(missing_ok=True)
    if not good:
        raise DataError(
            f"{target.name}: what arrived from {url} does not have the CRC-32 of {member.name}; fetch it again"
        )
    return True


def _unpack(packed: Path, target: Path, member: Member) -> bool:
    """Unpack to ``target`` and return whether size and CRC-32 are right."""
    unpacker = zlib.decompressobj(-15) if member.method == _DEFLATED else None
    crc, size = 0, 0
    with open(packed, "rb") as source, open(target, "wb") as sink:
        while block := source.read(1 << 20):
            try:
                content = unpacker.decompress(block) if unpacker else block
            except zlib.error:
                return False
            sink.write(content)
            crc, size = zlib.crc32(content, crc), size + len(content)
            if size > member.size:
                return False
        if unpacker:
            content = unpacker.flush()
            sink.write(content)
            crc, size = zlib.crc32(content, crc), size + len(content)
    return crc == member.crc and size == member.size


def _crc(path: Path) -> int:
    crc = 0
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            crc = zlib.crc32(block, crc)
    return crc
