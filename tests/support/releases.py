"""A miniature of both public releases, made by the simulations: true names, folders, sidecars, splits, archives and listings."""

import hashlib
import io
import json
import tempfile
import zipfile
from email.utils import formatdate
from itertools import pairwise
from pathlib import Path
from time import time

from tpcfm.config.lock import Archive, Lock, LockedFile
from tpcfm.simulate.collider.files import simulate_file as simulate_collider
from tpcfm.simulate.lartpc.file import simulate_file as simulate_lartpc
from webserver import Site

REPOSITORY = "DeepLearnPhysics/PILArNet-M"
RECORD = "16970029"
LARTPC = {"train": (10, 8, 12), "val": (9,)}
"""Events of each file of PILArNet-M v1: there is no test split."""
COLLIDER = {"labeled/train": (5, 5), "labeled/validation": (4,), "labeled/test": (4,), "unlabeled": (8, 8)}
STEMS = ("spacepoints", "track_ids", "pid_labels", "noise_tags")


def mirrors(site: Site) -> dict[str, str]:
    """Return what ``--base-url`` takes for each release that `serve_miniature` serves."""
    return {"pilarnet": site.url, "tpcpp": f"{site.url}/records/{RECORD}/files"}


def serve_miniature(site: Site) -> None:
    """Serve both releases as the hub and the repository do: listings in pages, redirects, ranges, and two busy moments."""
    _serve_pilarnet(site)
    _serve_tpcpp(site)


def _serve_pilarnet(site: Site) -> None:
    entries: list[dict[str, object]] = [{"type": "directory", "path": folder, "size": 0} for folder in LARTPC]
    for path, data in {**_lartpc_files(), "README.md": b"A miniature.\n", ".gitattributes": b"*.h5 lfs\n"}.items():
        entry: dict[str, object] = {"type": "file", "path": path, "size": len(data)}
        stored = f"/cdn/{hashlib.sha256(data).hexdigest()}"
        if path.endswith((".h5", ".npy")):
            entry["lfs"] = {"oid": stored.rpartition("/")[2], "size": len(data)}
        entries.append(entry)
        site.files[stored] = data
        site.redirects[f"/datasets/{REPOSITORY}/resolve/v1/{path}"] = stored
    first = f"/api/datasets/{REPOSITORY}/tree/v1?recursive=true"
    pages = [entries[at : at + 4] for at in range(0, len(entries), 4)]
    names = [first, *(f"{first}&cursor={number}" for number in range(1, len(pages)))]
    for name, page in zip(names, pages, strict=True):
        site.files[name] = json.dumps(page).encode()
    site.pages |= dict(pairwise(names))
    site.busy[names[1]] = (429, "1")


def _serve_tpcpp(site: Site) -> None:
    packed = {"TPCpp-10M.zip": _zip("", COLLIDER), "TPCpp-10M_labeled_test.zip": _zip("", ["labeled/test"])}
    files = []
    for name, data in packed.items():
        content = f"/api/records/{RECORD}/files/{name}/content"
        site.files[content] = data
        site.redirects[f"/records/{RECORD}/files/{name}"] = content
        files.append({"key": name, "size": len(data), "checksum": f"md5:{hashlib.md5(data).hexdigest()}"})
    site.files[f"/api/records/{RECORD}"] = json.dumps({"id": int(RECORD), "files": files}).encode()
    site.busy[f"/records/{RECORD}/files/TPCpp-10M.zip"] = (429, formatdate(time() + 2, usegmt=True))


def _lartpc_files() -> dict[str, bytes]:
    """PILArNet-M v1 with its point-count sidecars: path to content."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        numbers = [(split, events) for split, files in LARTPC.items() for events in files]
        for index, (split, events) in enumerate(numbers):
            path = Path(folder) / split / f"generic_v2_{events}_v1.h5"
            path.parent.mkdir(exist_ok=True)
            simulate_lartpc(path, events, seed=11, index=index, revision="v1")
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file():
                found[path.relative_to(folder).as_posix()] = path.read_bytes()
    assert sum(name.endswith("_points.npy") for name in found) == len(numbers)
    return found


def _zip(prefix: str, folders: object) -> bytes:
    """An archive of some folders of TPCpp-10M."""
    packed = io.BytesIO()
    with tempfile.TemporaryDirectory() as place, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for start, (folder, shards) in zip((0, 20, 30, 40), COLLIDER.items(), strict=True):
            if folder not in folders:  # type: ignore[operator]
                continue
            labelled, out = folder != "unlabeled", Path(place) / folder
            for number, events in enumerate(shards):
                simulate_collider(out, start + number, events, 12, "gun", labelled, False)
                for stem in STEMS if labelled else STEMS[:1]:
                    suffix = "" if len(shards) == 1 else f"_{number:03d}"
                    archive.write(out / f"{stem}_{start + number:03d}.npz", f"{prefix}{folder}/{stem}{suffix}.npz")
    return packed.getvalue()


def paper_lists(folder: Path) -> dict[str, object]:
    """Write lists of releases of the published sizes and names and return what names them in the paper's configuration.

    PILArNet-M: two training files are known by name; the others are made up, so that the events add up to the published total.
    """
    train = [196_200, 153_600, *[100_000 + 137 * i for i in range(1, 8)]]
    train.append(1_199_200 - sum(train))
    lartpc = [LockedFile(path=f"train/generic_v2_{n}_v1.h5", size=n * 130_000, sha256=f"{n:064d}") for n in train]
    lartpc.append(LockedFile(path="val/generic_v2_10880_v1.h5", size=1_400_000_000, sha256="0" * 64))
    shards = {"labeled/train": 7, "labeled/validation": 0, "labeled/test": 0, "unlabeled": 100}
    collider = []
    for place, count in shards.items():
        for number in range(max(count, 1)):
            for stem in STEMS if place != "unlabeled" else STEMS[:1]:
                path = f"{place}/{stem}_{number:03d}.npz" if count else f"{place}/{stem}.npz"
                collider.append(LockedFile(path=path, size=10**9, archive="TPCpp-10M.zip", member=path, packed=10**9))
    locks = {
        "pilarnet": Lock(release="pilarnet", revision="v1", files=lartpc),
        "tpcpp": Lock(
            release="tpcpp",
            revision="v1",
            archives={"TPCpp-10M.zip": Archive(size=118_500_000_000)},
            files=collider,
        ),
    }
    for name, lock in locks.items():
        path = folder / f"{name}.json"
        if not path.exists():
            lock.write(path)
    data = {"pilarnet_m": "pilarnet", "tpcpp_labelled": "tpcpp", "tpcpp_10m": "tpcpp"}
    return {"data": {key: {"lock": str(folder / f"{name}.json")} for key, name in data.items()}}
