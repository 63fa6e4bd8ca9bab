"""Fetch the public datasets: PILArNet-M from Hugging Face, TPCpp-10M from Zenodo, whole or in part."""

import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tpcfm.config.lock import Lock, LockedFile
from tpcfm.errors import ConfigError
from tpcfm.release.http import Progress, fetch_file, require_space
from tpcfm.release.listing import FOLDERS, SERVERS, TPCPP_NAME, hub_place, listed
from tpcfm.release.remote_zip import fetch_member

LABELLED = ("train", "validation", "test")


@dataclass(frozen=True)
class Item:
    """One file to fetch.

    Attributes:
        path: where it goes below the target folder.
        split: the split it belongs to.
        shard: its number within the split.
        transfer: bytes to transfer.
        size: bytes on disk.
        get: fetches it to a path; False if it was here already.
    """

    path: str
    split: str
    shard: int
    transfer: int
    size: int
    get: Callable[[Path, Progress], bool]


def items_of(
    lock: Lock, splits: Sequence[str] = (), shards: Sequence[int] | None = None, base_url: str = ""
) -> list[Item]:
    """Return files of a release, to be fetched and compared with its list.

    Args:
        lock: the list.
        splits: of train, validation, test, unlabeled; none: the labelled ones that there are.
        shards: numbers of the files within each split: those in their names, or from 0 in the order of the names; None: all.
        base_url: a mirror; "" takes the published server.

    Raises:
        ConfigError: unknown split, a split that the release does not have, or no such shard.
    """
    folders = FOLDERS[lock.release]
    if unknown := [split for split in splits if split not in folders]:
        raise ConfigError(f"split {unknown[0]!r}: allowed are {', '.join(folders)}")
    base = (base_url or SERVERS[lock.release]).rstrip("/")
    items: list[Item] = []
    for split in dict.fromkeys(splits or LABELLED):
        files = [file for file in lock.files if file.path.rpartition("/")[0] == folders[split]]
        if splits and not files:
            raise ConfigError(f"split {split!r}: {lock.release} {lock.revision} has no files in {folders[split]}/")
        for place, file in enumerate(files):
            named = TPCPP_NAME.fullmatch(file.path.rpartition("/")[2])
            shard = int(named.group(2) or 0) if named else place
            items.append(_item(lock, file, split, shard, base))
    return _of_shards(items, shards)


def member_items(lock: Lock, name: str, base_url: str = "") -> list[Item]:
    """Return one file of a release and what belongs to it (the labels of a collider shard).

    Args:
        lock: the list of the release.
        name: path inside the release.
        base_url: a mirror; "" takes the published server.

    Raises:
        ConfigError: no such file.
    """
    folder, _, file = name.rpartition("/")
    split = next((key for key, value in FOLDERS[lock.release].items() if value == folder), None)
    if split is None:
        raise ConfigError(f"{name!r}: {lock.release} has the folders {', '.join(FOLDERS[lock.release].values())}")
    items = items_of(lock, [split], None, base_url)
    stems = ("spacepoints", "track_ids", "pid_labels", "noise_tags")
    wanted = {f"{folder}/{file.replace('spacepoints', stem)}" for stem in stems}
    if name not in {item.path for item in items}:
        raise ConfigError(f"{name!r} is not in the release; it has {', '.join(item.path for item in items[:12])} ...")
    return [item for item in items if item.path in wanted]


def pilarnet_items(
    splits: Sequence[str] = (),
    shards: Sequence[int] | None = None,
    revision: str = "v1",
    mini: bool = False,
    base_url: str = "",
) -> list[Item]:
    """List PILArNet-M and return files of it; see `listed` and `items_of`."""
    return items_of(listed("pilarnet", revision, base_url, mini), splits, shards, base_url)


def tpcpp_items(splits: Sequence[str] = (), shards: Sequence[int] | None = None, base_url: str = "") -> list[Item]:
    """List TPCpp-10M and return files of it; see `listed` and `items_of`."""
    return items_of(listed("tpcpp", base_url=base_url), splits, shards, base_url)


def fetch(items: Sequence[Item], folder: Path, progress: Progress, done: Callable[[Item, bool], None]) -> None:
    """Fetch files to a folder, one after another; run again, it goes on where it stopped.

    Args:
        items: what to fetch.
        folder: where to.
        progress: called with the number of bytes that arrived.
        done: called after each file, with whether it had to be fetched.

    Raises:
        DataError: a checksum differs.
        MachineError: no connection, or too little space (looked at before anything is fetched).
    """
    missing = [item for item in items if not _has_size(folder / item.path, item.size)]
    # A packed file lies beside its unpacked content until that is checked.
    largest = max((item.transfer for item in missing if item.transfer != item.size), default=0)
    begun = sum(_size(folder / f"{item.path}.part") for item in missing)
    require_space(folder, sum(item.size for item in missing) + largest - begun)
    for item in items:
        done(item, item.get(folder / item.path, progress))


def parse_shards(text: str) -> list[int] | None:
    """Return the numbers of ``0,3,10-12``; None for an empty text.

    Raises:
        ConfigError: not of that form.
    """
    numbers: set[int] = set()
    for piece in text.split(",") if text.strip() else []:
        named = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", piece)
        if not named:
            raise ConfigError(f"--shards {text!r}: allowed are numbers and ranges such as 0,3,10-12")
        first, last = int(named.group(1)), int(named.group(2) or named.group(1))
        if last < first or last - first > 10_000:
            raise ConfigError(f"--shards {text!r}: {piece.strip()} is no range")
        numbers.update(range(first, last + 1))
    return sorted(numbers) or None


def _item(lock: Lock, file: LockedFile, split: str, shard: int, base: str) -> Item:
    if file.archive:
        member = zipfile.ZipInfo(file.member)
        member.file_size, member.compress_size, member.header_offset = file.size, file.packed, file.offset
        member.CRC, member.compress_type, member.flag_bits = file.crc32, file.method, file.flags
        packed = f"{base}/{file.archive}"
        return Item(
            file.path, split, shard, file.packed, file.size,
            lambda target, progress: fetch_member(packed, member, target, progress),
        )  # fmt: skip
    mini = lock.revision.startswith("mini-")
    repository, commit = hub_place(lock.revision.removeprefix("mini-"), mini)
    url = f"{base}/datasets/{repository}/resolve/{commit}/{quote(file.path)}"
    return Item(
        file.path, split, shard, file.size, file.size,
        lambda target, progress: fetch_file(url, target, file.size, file.sha256, progress),
    )  # fmt: skip


def _of_shards(items: list[Item], shards: Sequence[int] | None) -> list[Item]:
    if shards is None:
        return items
    found = {item.shard for item in items}
    if missing := sorted(set(shards) - found):
        raise ConfigError(f"shards {', '.join(map(str, missing))}: there are only {min(found)} to {max(found)}")
    return [item for item in items if item.shard in set(shards)]


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
