"""Fetch the public datasets: PILArNet-M from Hugging Face, TPCpp-10M from Zenodo, whole or in part."""

import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from tpcfm.errors import ConfigError, DataError
from tpcfm.release.http import Progress, fetch_file, read_json, require_space
from tpcfm.release.remote_zip import fetch_member, list_members

HUGGING_FACE = "https://huggingface.co"
PILARNET = "DeepLearnPhysics/PILArNet-M"
PILARNET_MINI = "DeepLearnPhysics/PILArNet-M-mini"
MINI_REVISIONS = {
    "v2": "c218be4a76948bb44c3dcd7964f4b22c6c0052f4",
    "v3": "d7a0d1e3e5d6640808db71dcda34bc31991d9b3b",
}
PILARNET_FOLDERS = {"train": "train", "validation": "val", "test": "test"}

ZENODO = "https://zenodo.org/records/16970029/files"  # doi:10.5281/zenodo.16970029, CC BY 4.0
TPCPP_ARCHIVE = "TPCpp-10M.zip"
TPCPP_FOLDERS = {
    "train": "labeled/train",
    "validation": "labeled/validation",
    "test": "labeled/test",
    "unlabeled": "unlabeled",
}
LABELLED = ("train", "validation", "test")
_TPCPP_NAME = re.compile(r"(spacepoints|track_ids|pid_labels|noise_tags)(?:_(\d+))?\.npz")


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


def pilarnet_items(
    splits: Sequence[str] = (),
    shards: Sequence[int] | None = None,
    revision: str = "v2",
    mini: bool = False,
    base_url: str = HUGGING_FACE,
) -> list[Item]:
    """List files of PILArNet-M.

    Args:
        splits: of train, validation, test; none: all that the revision has.
        shards: numbers of the files within each split, in the order of their names, from 0; None: all.
        revision: branch, tag or commit of the dataset's repository.
        mini: the 120-event sample instead (revisions v2 and v3).
        base_url: server with the interface of Hugging Face.

    Raises:
        ConfigError: unknown split, or no such shard.
        MachineError: no connection.
    """
    repository = PILARNET_MINI if mini else PILARNET
    commit = quote(MINI_REVISIONS.get(revision, revision) if mini else revision, safe="")
    base = base_url.rstrip("/")
    wanted = _known(splits or PILARNET_FOLDERS, PILARNET_FOLDERS)
    listed = _listing(f"{base}/api/datasets/{repository}/tree/{commit}?recursive=true")
    items: list[Item] = []
    for split in wanted:
        folder = PILARNET_FOLDERS[split]
        found = sorted((_hub_file(entry) for entry in listed if _in_folder(entry, folder)), key=lambda file: file[0])
        if not found and splits:
            raise ConfigError(
                f"split {split!r}: {repository} at revision {revision} has no folder {folder}/ with .h5 files"
            )
        for shard, (path, size, sha256) in enumerate(found):
            url = f"{base}/datasets/{repository}/resolve/{commit}/{quote(path)}"
            items.append(Item(path, split, shard, size, size, _whole_file(url, size, sha256)))
    return _of_shards(items, shards)


def tpcpp_items(
    splits: Sequence[str] = (),
    shards: Sequence[int] | None = None,
    base_url: str = ZENODO,
    archive: str = TPCPP_ARCHIVE,
) -> list[Item]:
    """List files of TPCpp-10M, as members of the published archive.

    Args:
        splits: of train, validation, test, unlabeled; none: the three labelled ones.
        shards: numbers in the file names (0 where a file has none); None: all.
        base_url: folder of the archive on a server that answers range requests.
        archive: name of the archive.

    Raises:
        ConfigError: unknown split, or no such shard.
        DataError: the archive is damaged.
        MachineError: no connection.
    """
    url = f"{base_url.rstrip('/')}/{archive}"
    wanted = _known(splits or LABELLED, TPCPP_FOLDERS)
    items = []
    for member in list_members(url):
        path = PurePosixPath(member.filename)
        named = _TPCPP_NAME.fullmatch(path.name)
        for split in wanted:
            folder = TPCPP_FOLDERS[split]
            if named and str(path.parent).endswith(folder) and ".." not in path.parts:
                place = f"{folder}/{path.name}"
                get = _member(url, member)
                items.append(Item(place, split, int(named.group(2) or 0), member.compress_size, member.file_size, get))
    if not items:
        raise DataError(f"{url}: holds no files of {', '.join(wanted)}")
    return _of_shards(sorted(items, key=lambda item: item.path), shards)


def member_items(release: str, name: str, revision: str = "v1", base_url: str = "") -> list[Item]:
    """List one file of a release and what belongs to it (the labels of a collider shard).

    Args:
        release: ``pilarnet`` or ``tpcpp``.
        name: path inside the release.
        revision: revision of PILArNet-M.
        base_url: a mirror; "" takes the published server.

    Raises:
        ConfigError: unknown release or no such file.
        MachineError: no connection.
    """
    folder, _, file = name.rpartition("/")
    folders = {"pilarnet": PILARNET_FOLDERS, "tpcpp": TPCPP_FOLDERS}
    if release not in folders:
        raise ConfigError(f"release {release!r}: allowed are {', '.join(folders)}")
    split = next((key for key, value in folders[release].items() if value == folder), None)
    if split is None:
        raise ConfigError(f"{name!r}: {release} has the folders {', '.join(folders[release].values())}")
    if release == "pilarnet":
        items = pilarnet_items([split], None, revision, base_url=base_url or HUGGING_FACE)
        wanted = {name}
    else:
        items = tpcpp_items([split], None, base_url or ZENODO)
        stems = ("spacepoints", "track_ids", "pid_labels", "noise_tags")
        wanted = {f"{folder}/{file.replace('spacepoints', stem)}" for stem in stems}
    found = [item for item in items if item.path in wanted]
    if name not in {item.path for item in found}:
        raise ConfigError(f"{name!r} is not in the release; it has {', '.join(item.path for item in items[:12])} ...")
    return found


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


def _whole_file(url: str, size: int, sha256: str | None) -> Callable[[Path, Progress], bool]:
    return lambda target, progress: fetch_file(url, target, size, sha256, progress)


def _member(url: str, member: zipfile.ZipInfo) -> Callable[[Path, Progress], bool]:
    return lambda target, progress: fetch_member(url, member, target, progress)


def _known(splits: Sequence[str] | dict[str, str], allowed: dict[str, str]) -> list[str]:
    for split in splits:
        if split not in allowed:
            raise ConfigError(f"split {split!r}: allowed are {', '.join(allowed)}")
    return list(dict.fromkeys(splits))


def _of_shards(items: list[Item], shards: Sequence[int] | None) -> list[Item]:
    if shards is None:
        return items
    found = {item.shard for item in items}
    if missing := sorted(set(shards) - found):
        raise ConfigError(f"shards {', '.join(map(str, missing))}: there are only {min(found)} to {max(found)}")
    return [item for item in items if item.shard in set(shards)]


def _listing(url: str) -> list[dict[str, object]]:
    """Return the entries of all pages of a listing."""
    entries: list[dict[str, object]] = []
    page: str | None = url
    while page:
        listed, page = read_json(page)
        if not isinstance(listed, list):
            raise DataError(f"{url}: the answer is no list of files; is this a server of the right kind?")
        entries += listed
    return entries


def _in_folder(entry: dict[str, object], folder: str) -> bool:
    path = PurePosixPath(str(entry.get("path", "")))
    return (
        entry.get("type") == "file" and path.suffix == ".h5" and str(path.parent) == folder and ".." not in path.parts
    )


def _hub_file(entry: dict[str, object]) -> tuple[str, int, str | None]:
    """Return path, size and SHA-256 (of large files) of an entry of the listing."""
    stored = entry.get("lfs")
    if isinstance(stored, dict):
        return str(entry["path"]), int(stored["size"]), str(stored["oid"]).removeprefix("sha256:")
    return str(entry["path"]), int(str(entry["size"])), None


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
