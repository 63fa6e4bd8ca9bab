"""What the public releases hold, as their servers list it: PILArNet-M on Hugging Face, TPCpp-10M on Zenodo."""

import re
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from tpcfm.config.lock import Archive, Lock, LockedFile
from tpcfm.errors import ConfigError, DataError
from tpcfm.release.http import read_json, remote_size
from tpcfm.release.remote_zip import list_members

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
TPCPP_NAME = re.compile(r"(spacepoints|track_ids|pid_labels|noise_tags)(?:_(\d+))?\.npz")
_RECORD = re.compile(r"(.*)/records/(\d+)/files")
FOLDERS = {"pilarnet": PILARNET_FOLDERS, "tpcpp": TPCPP_FOLDERS}
"""Folder of each split, by release."""
SERVERS = {"pilarnet": HUGGING_FACE, "tpcpp": ZENODO}
"""Where each release is published; a mirror takes the place of it."""


def listed(release: str, revision: str = "v1", base_url: str = "", mini: bool = False) -> Lock:
    """List a release.

    Args:
        release: ``pilarnet`` or ``tpcpp``.
        revision: branch, tag or commit of the repository (PILArNet-M).
        base_url: a mirror; "" takes the published server.
        mini: the 120-event sample of PILArNet-M (revisions v2 and v3).

    Raises:
        ConfigError: unknown release.
        DataError: the server is of another kind, the archive is damaged, or there are no files of the release.
        MachineError: no connection.
    """
    if release not in FOLDERS:
        raise ConfigError(f"release {release!r}: allowed are {', '.join(FOLDERS)}")
    base = (base_url or SERVERS[release]).rstrip("/")
    return _pilarnet(revision, mini, base) if release == "pilarnet" else _tpcpp(revision, base)


def hub_place(revision: str, mini: bool) -> tuple[str, str]:
    """Return repository and commit, quoted, of PILArNet-M or its sample."""
    commit = MINI_REVISIONS.get(revision, revision) if mini else revision
    return PILARNET_MINI if mini else PILARNET, quote(commit, safe="")


def _pilarnet(revision: str, mini: bool, base: str) -> Lock:
    repository, commit = hub_place(revision, mini)
    entries = pages(f"{base}/api/datasets/{repository}/tree/{commit}?recursive=true")
    files = [hub_file(entry) for entry in entries if _holds_events(entry)]
    if not files:
        folders = ", ".join(PILARNET_FOLDERS.values())
        raise DataError(f"{base}: {repository} at revision {revision} has no .h5 files in {folders}")
    place = list(PILARNET_FOLDERS.values())
    files.sort(key=lambda file: (place.index(file.path.partition("/")[0]), file.path))
    return Lock(release="pilarnet", revision=f"mini-{revision}" if mini else revision, files=files)


def _tpcpp(revision: str, base: str) -> Lock:
    url = f"{base}/{TPCPP_ARCHIVE}"
    files = []
    for member in list_members(url):
        path = PurePosixPath(member.filename)
        folder = next((f for f in TPCPP_FOLDERS.values() if str(path.parent).endswith(f)), None)
        if folder and TPCPP_NAME.fullmatch(path.name) and ".." not in path.parts:
            files.append(
                LockedFile(
                    path=f"{folder}/{path.name}",
                    size=member.file_size,
                    archive=TPCPP_ARCHIVE,
                    member=member.filename,
                    offset=member.header_offset,
                    packed=member.compress_size,
                    crc32=member.CRC,
                    method=member.compress_type,
                    flags=member.flag_bits,
                )
            )
    if not files:
        raise DataError(f"{url}: holds no files of {', '.join(TPCPP_FOLDERS)}")
    archives = {TPCPP_ARCHIVE: Archive(size=remote_size(url), checksum=_recorded(base))}
    return Lock(release="tpcpp", revision=revision, archives=archives, files=sorted(files, key=lambda file: file.path))


def _recorded(base: str) -> str:
    """Return the checksum of the archive in the record of the release; "" where the server is no such repository."""
    record = _RECORD.fullmatch(base)
    if not record:
        return ""
    about, _ = read_json(f"{record[1]}/api/records/{record[2]}")
    files = about.get("files", []) if isinstance(about, dict) else []
    return next((str(f.get("checksum", "")) for f in files if f.get("key") == TPCPP_ARCHIVE), "")


def pages(url: str) -> list[dict[str, Any]]:
    """Return the entries of all pages of a listing."""
    entries: list[dict[str, Any]] = []
    page: str | None = url
    while page:
        found, page = read_json(page)
        if not isinstance(found, list):
            raise DataError(f"{url}: the answer is no list of files; is this a server of the right kind?")
        entries += found
    return entries


def _holds_events(entry: dict[str, Any]) -> bool:
    """Whether an entry is a file of events: point counts (``*_points.npy``) lie beside them, and are counted anew."""
    path = PurePosixPath(str(entry.get("path", "")))
    return entry.get("type") == "file" and path.suffix == ".h5" and str(path.parent) in PILARNET_FOLDERS.values()


def hub_file(entry: dict[str, Any]) -> LockedFile:
    """Return path, size and SHA-256 (of large files) of an entry of the listing."""
    stored = entry.get("lfs")
    if isinstance(stored, dict):
        sha256 = str(stored["oid"]).removeprefix("sha256:")
        return LockedFile(path=str(entry["path"]), size=int(stored["size"]), sha256=sha256)
    return LockedFile(path=str(entry["path"]), size=int(entry["size"]))
