"""Downloads continue after a break, are checked, take only what was asked for, and say plainly when there is no network."""

import hashlib
import io
import json
import shutil
import sys
import time
import zipfile
from email.utils import formatdate

import numpy as np
import pytest
from urllib3.exceptions import HTTPError as BrokenOff

from releases import LARTPC, mirrors, serve_miniature
from tpcfm.config.lock import read_lock
from tpcfm.errors import ConfigError, DataError, MachineError
from tpcfm.release import http as fetch_http
from tpcfm.release.fetch import fetch, items_of, parse_shards, pilarnet_items, tpcpp_items
from tpcfm.release.http import download, fetch_file, nothing, remote_size
from tpcfm.release.listing import listed
from tpcfm.release.remote_zip import fetch_member, list_members
from webserver import serving


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch, tmp_path_factory):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))  # lists of releases are written below the folder one is in
    monkeypatch.setattr(fetch_http, "WAIT_S", 0.001)
    monkeypatch.setattr(fetch_http, "TIMEOUT_S", 5.0)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def site():
    with serving() as served:
        yield served


def content(size, seed=0):
    return np.random.default_rng(seed).bytes(size)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def tpcpp_archive(prefix="", comment=b"", stored=False):
    """An archive with the folders of TPCpp-10M; returns its bytes and the members' contents."""
    names = [f"labeled/train/{stem}_{i:03d}.npz" for stem in ("spacepoints", "track_ids") for i in range(3)]
    names += ["labeled/validation/spacepoints.npz", "labeled/test/spacepoints.npz", "README.md"]
    names += [f"unlabeled/spacepoints_{i:03d}.npz" for i in range(4)]
    members = {name: content(3000 + 100 * i, i) + bytes(5000) for i, name in enumerate(names)}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED) as archive:
        archive.comment = comment
        archive.mkdir("empty")
        for name, data in members.items():
            archive.writestr(prefix + name, data)
    return packed.getvalue(), members


def test_a_file_arrives_whole_and_is_not_fetched_twice(site, tmp_path):
    data = content(3_000_000)
    site.files["/a"] = data
    seen = []
    assert fetch_file(f"{site.url}/a", tmp_path / "x" / "a", len(data), sha256(data), seen.append)
    assert (tmp_path / "x" / "a").read_bytes() == data
    assert sum(seen) == len(data)
    assert not fetch_file(f"{site.url}/a", tmp_path / "x" / "a", len(data), sha256(data))
    assert site.sent == len(data)
    assert [file.name for file in (tmp_path / "x").iterdir()] == ["a"]


def test_broken_connections_are_continued_where_they_broke(site, tmp_path):
    data = content(3_000_000)
    site.files["/a"], site.break_after, site.breaks = data, 700_001, 3
    seen = []
    assert fetch_file(f"{site.url}/a", tmp_path / "a", len(data), sha256(data), seen.append)
    assert (tmp_path / "a").read_bytes() == data
    assert (site.sent, sum(seen)) == (len(data), len(data))
    assert [asked for _, asked in site.requests[1:]] == [
        f"bytes={start}-{len(data) - 1}" for start in (700_001, 1_400_002, 2_100_003)
    ]


def test_a_second_run_continues_the_first(site, tmp_path, monkeypatch):
    data = content(2_000_000)
    site.files["/a"], site.break_after, site.breaks = data, 400_000, 1000

    with monkeypatch.context() as patched:
        patched.setattr(fetch_http, "patiently", lambda _, attempt: attempt(lambda: None))
        with pytest.raises(BrokenOff):
            fetch_file(f"{site.url}/a", tmp_path / "a", len(data), sha256(data))
    assert (tmp_path / "a.part").stat().st_size == 400_000
    assert not (tmp_path / "a").exists()
    site.breaks = 0
    assert fetch_file(f"{site.url}/a", tmp_path / "a", len(data), sha256(data))
    assert (tmp_path / "a").read_bytes() == data
    assert site.sent == len(data)


def test_a_server_without_ranges_sends_again_from_the_start(site, tmp_path):
    data = content(1_500_000)
    site.files["/a"], site.ranges, site.break_after, site.breaks = data, False, 500_000, 1
    seen = []
    fetch_file(f"{site.url}/a", tmp_path / "a", len(data), sha256(data), seen.append)
    assert (tmp_path / "a").read_bytes() == data
    assert sum(seen) == len(data)
    with pytest.raises(MachineError, match="does not send parts of a file"):
        remote_size(f"{site.url}/a")
    with pytest.raises(MachineError, match="does not send parts of a file"):
        download(f"{site.url}/a", tmp_path / "b", 100, offset=50)


def test_a_wrong_checksum_is_an_error_and_nothing_stays(site, tmp_path):
    data = content(1000)
    site.files["/a"] = data
    with pytest.raises(DataError, match=r"a: what arrived .* does not have the SHA-256 0000"):
        fetch_file(f"{site.url}/a", tmp_path / "a", len(data), "0000")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_local_file_is_fetched_again(site, tmp_path):
    data = content(1000)
    site.files["/a"] = data
    (tmp_path / "a").write_bytes(bytes(1000))
    assert fetch_file(f"{site.url}/a", tmp_path / "a", len(data), sha256(data))
    assert (tmp_path / "a").read_bytes() == data


def test_busy_servers_are_asked_again_and_missing_files_are_not(site, tmp_path):
    site.files["/a"], site.failures = content(100), 3
    assert fetch_file(f"{site.url}/a", tmp_path / "a", 100, None)
    assert len(site.requests) == 4
    with pytest.raises(MachineError, match="HTTP 404: no such file there"):
        fetch_file(f"{site.url}/b", tmp_path / "b", 100, None)
    assert len(site.requests) == 5
    site.failures = 1000
    with pytest.raises(MachineError, match="after 6 attempts"):
        fetch_file(f"{site.url}/a", tmp_path / "c", 100, None)


@pytest.mark.parametrize("code", [429, 503])
@pytest.mark.parametrize("wait", ["1", "date"])
def test_a_busy_server_that_names_a_time_is_asked_again_then(site, tmp_path, code, wait):
    site.files["/a"], site.failures, site.failure = content(100), 1, code
    begun = time.time()
    site.retry_after = formatdate(begun + 2, usegmt=True) if wait == "date" else wait
    assert fetch_file(f"{site.url}/a", tmp_path / "a", 100, None)
    assert 0.9 < time.time() - begun < 3
    assert len(site.requests) == 2


def test_no_network_is_said_plainly(tmp_path):
    with serving() as gone:
        url = gone.url
    with pytest.raises(MachineError, match=r"no connection to 127\.0\.0\.1:.*Is there a network here"):
        tpcpp_items(base_url=url)
    with pytest.raises(MachineError, match="no connection to"):
        pilarnet_items(base_url=url)
    with pytest.raises(ConfigError, match="begin with http"):
        tpcpp_items(base_url="ftp://somewhere")


@pytest.mark.parametrize("zip64", [False, True])
@pytest.mark.parametrize(("prefix", "comment", "stored"), [("", b"", False), ("TPCpp-10M/", b"c" * 3000, True)])
def test_single_members_of_a_remote_archive(site, tmp_path, monkeypatch, zip64, prefix, comment, stored):
    if zip64:
        monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1000)
        monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 2)
    archive, members = tpcpp_archive(prefix, comment, stored)
    assert (b"PK\x06\x06" in archive) == zip64
    site.files["/TPCpp-10M.zip"] = archive
    listed = list_members(f"{site.url}/TPCpp-10M.zip")
    with zipfile.ZipFile(io.BytesIO(archive)) as local:
        expected = [info for info in local.infolist() if not info.is_dir()]
    assert [(one.filename, one.CRC, one.compress_size, one.file_size, one.header_offset) for one in listed] == [
        (info.filename, info.CRC, info.compress_size, info.file_size, info.header_offset) for info in expected
    ]
    items = tpcpp_items(["train", "test"], None, site.url)
    assert {item.path for item in items} == {name for name in members if "train" in name or "test" in name}
    fetch(items, tmp_path, nothing, lambda *_: None)
    for item in items:
        assert (tmp_path / item.path).read_bytes() == members[item.path]
    assert not [file for file in tmp_path.rglob("*") if file.suffix in (".part", ".unpacked")]
    before = site.sent
    again = []
    fetch(items, tmp_path, nothing, lambda _, new: again.append(new))
    assert (set(again), site.sent) == ({False}, before)


def test_only_what_was_asked_for_is_transferred(site, tmp_path):
    archive, members = tpcpp_archive()
    site.files["/TPCpp-10M.zip"] = archive + bytes(0)
    items = tpcpp_items(["unlabeled"], [2], site.url)
    assert [(item.path, item.shard) for item in items] == [("unlabeled/spacepoints_002.npz", 2)]
    before = site.sent
    fetch(items, tmp_path, nothing, lambda *_: None)
    assert site.sent - before == items[0].transfer + 30
    assert {item.split for item in tpcpp_items(base_url=site.url)} == {"train", "validation", "test"}
    assert len(tpcpp_items(["train"], [0, 2], site.url)) == 4
    with pytest.raises(ConfigError, match="shards 9: there are only 0 to 3"):
        tpcpp_items(["unlabeled"], [2, 9], site.url)
    with pytest.raises(ConfigError, match="split 'dev': allowed are train, validation, test, unlabeled"):
        tpcpp_items(["dev"], None, site.url)
    assert members


def test_a_member_that_breaks_off_is_continued_and_a_damaged_one_is_an_error(site, tmp_path):
    archive, members = tpcpp_archive(stored=True)
    site.files["/z"] = archive
    member = next(one for one in list_members(f"{site.url}/z") if one.filename == "labeled/test/spacepoints.npz")
    site.break_after, site.breaks = 1500, 4
    assert fetch_member(f"{site.url}/z", member, tmp_path / "a.npz")
    assert (tmp_path / "a.npz").read_bytes() == members[member.filename]
    damaged = bytearray(archive)
    damaged[member.header_offset + 500] ^= 255
    site.files["/z"] = bytes(damaged)
    with pytest.raises(DataError, match="does not have the CRC-32"):
        fetch_member(f"{site.url}/z", member, tmp_path / "b.npz")
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda data: data[:-200], "not a zip archive|central directory"),
        (lambda data: bytes(4000), "not a zip archive"),
        (lambda data: data.replace(b"PK\x01\x02", b"PK\x01\x03", 3), "central directory is damaged"),
    ],
)
def test_damaged_archives_are_named(site, change, text):
    archive, _ = tpcpp_archive()
    site.files["/TPCpp-10M.zip"] = change(archive)
    with pytest.raises(DataError, match=text):
        tpcpp_items(base_url=site.url)


@pytest.fixture
def hub(site):
    """A server with the listing and the files of PILArNet-M at revision v1."""
    files = {f"train/generic_v2_{i}_v1.h5": content(5000 + i, i) for i in (10, 20, 30)}
    files |= {
        "val/generic_v2_5_v1.h5": content(700, 77),
        "test/generic_v2_6_v1.h5": content(800, 78),
        "README.md": b"hello",
    }
    tree = [{"type": "directory", "path": "train", "size": 0}]
    for path, data in files.items():
        entry = {"type": "file", "path": path, "size": len(data)}
        if path.endswith(".h5"):
            entry["lfs"] = {"oid": sha256(data), "size": len(data)}
        tree.append(entry)
        site.files[f"/datasets/DeepLearnPhysics/PILArNet-M/resolve/v1/{path}"] = data
    site.files["/api/datasets/DeepLearnPhysics/PILArNet-M/tree/v1?recursive=true"] = json.dumps(tree).encode()
    return site, files


def test_pilarnet_by_split_and_shard(hub, tmp_path):
    site, files = hub
    items = pilarnet_items(base_url=site.url)
    assert [item.path for item in items] == sorted(
        (path for path in files if "/" in path), key=lambda p: (p[:2] != "tr", p[:2] != "va", p)
    )
    some = pilarnet_items(["train"], [1, 2], base_url=site.url + "/")
    assert [item.path for item in some] == ["train/generic_v2_20_v1.h5", "train/generic_v2_30_v1.h5"]
    fetch(pilarnet_items(["validation"], base_url=site.url), tmp_path, nothing, lambda *_: None)
    assert (tmp_path / "val/generic_v2_5_v1.h5").read_bytes() == files["val/generic_v2_5_v1.h5"]
    site.files["/datasets/DeepLearnPhysics/PILArNet-M/resolve/v1/test/generic_v2_6_v1.h5"] = content(800, 79)
    with pytest.raises(DataError, match="does not have the SHA-256"):
        fetch(pilarnet_items(["test"], base_url=site.url), tmp_path, nothing, lambda *_: None)
    with pytest.raises(MachineError, match="HTTP 404"):
        pilarnet_items(revision="v9", base_url=site.url)


def test_a_listing_of_several_pages_is_read_to_its_end(hub):
    site, _ = hub
    first = "/api/datasets/DeepLearnPhysics/PILArNet-M/tree/v1?recursive=true"
    tree = json.loads(site.files[first])
    for page in range(3):
        path = first + (f"&cursor={page}" if page else "")
        site.files[path] = json.dumps(tree[2 * page : None if page == 2 else 2 * page + 2]).encode()
        if page < 2:
            site.pages[path] = f"{first}&cursor={page + 1}"
    assert len(pilarnet_items(base_url=site.url)) == 5


def test_a_server_of_another_kind(site):
    site.files["/api/datasets/DeepLearnPhysics/PILArNet-M/tree/v1?recursive=true"] = b"<html>"
    with pytest.raises(DataError, match="not JSON"):
        pilarnet_items(base_url=site.url)


def test_too_little_space_is_found_before_anything_is_fetched(hub, tmp_path, monkeypatch):
    site, _ = hub
    items = pilarnet_items(base_url=site.url)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=sum(item.size for item in items) - 1))
    with pytest.raises(MachineError, match="GB are needed"):
        fetch(items, tmp_path / "new" / "folder", nothing, lambda *_: None)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=sum(item.size for item in items)))
    fetch(items, tmp_path / "new", nothing, lambda *_: None)


def test_shard_lists():
    assert parse_shards("0,3,10-12") == [0, 3, 10, 11, 12]
    assert parse_shards("") is None
    for wrong in ("a", "3-1", "1,,2", "-4"):
        with pytest.raises(ConfigError, match="--shards"):
            parse_shards(wrong)


def test_command_line(hub, tmp_path, capsys, monkeypatch):
    from tpcfm.cli.main import main

    site, files = hub

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["tpcfm", "fetch", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        return caught.value.code, capsys.readouterr()

    code, said = run("pilarnet", "--split", "train", "--base-url", site.url, "--list")
    assert code == 0
    assert "3 files" in said.out
    code, _ = run("pilarnet", "--split", "train", "--shards", "0", "--base-url", site.url, "--to", tmp_path)
    assert code == 0
    assert (tmp_path / "train/generic_v2_10_v1.h5").read_bytes() == files["train/generic_v2_10_v1.h5"]
    site.files["/TPCpp-10M.zip"] = tpcpp_archive()[0]
    code, _ = run("tpcpp", "--split", "test", "--base-url", site.url, "--to", tmp_path)
    assert code == 0
    assert (tmp_path / "labeled/test/spacepoints.npz").is_file()
    name = "val/generic_v2_5_v1.h5"
    code, _ = run("member", "pilarnet", name, "--base-url", site.url, "--out", tmp_path / "raw" / name)
    assert code == 0
    assert (tmp_path / "raw" / name).read_bytes() == files[name]
    name = "labeled/train/spacepoints_001.npz"
    code, _ = run("member", "tpcpp", name, "--base-url", site.url, "--out", tmp_path / "raw" / name)
    assert code == 0
    assert sorted(p.name for p in (tmp_path / "raw/labeled/train").iterdir()) == [
        "spacepoints_001.npz",
        "track_ids_001.npz",
    ]
    code, said = run("member", "pilarnet", "val/no.h5", "--base-url", site.url, "--out", tmp_path / "val/no.h5")
    assert code == 2
    assert "not in the release" in said.err
    with serving() as gone:
        url = gone.url
    code, said = run("tpcpp", "--base-url", url, "--to", tmp_path)
    assert code == 2
    assert "no connection" in said.err
    assert "Traceback" not in said.err


def test_a_list_is_written_once_and_every_fetch_is_checked_against_it(hub, tmp_path, capsys, monkeypatch):
    from tpcfm.cli.main import main

    site, files = hub
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["tpcfm", "fetch", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        return caught.value.code, capsys.readouterr()

    lock = tmp_path / "workflow/releases/pilarnet-v1.json"
    assert run("pilarnet", "--list", "--base-url", site.url)[0] == 0
    written = read_lock(lock)
    assert {f.path: (f.size, f.sha256) for f in written.files} == {
        path: (len(data), sha256(data)) for path, data in files.items() if path.endswith(".h5")
    }
    code, said = run("pilarnet", "--list", "--base-url", site.url)
    assert (code, "is as listed there" in said.out) == (0, True)
    asked = len(site.requests)
    name = "val/generic_v2_5_v1.h5"
    assert run("member", "pilarnet", name, "--base-url", site.url, "--out", tmp_path / name)[0] == 0
    assert [path for path, _ in site.requests[asked:]] == [f"/datasets/DeepLearnPhysics/PILArNet-M/resolve/v1/{name}"]
    site.files[f"/datasets/DeepLearnPhysics/PILArNet-M/resolve/v1/{name}"] = content(700, 1)
    (tmp_path / name).unlink()
    code, said = run("member", "pilarnet", name, "--base-url", site.url, "--out", tmp_path / name)
    assert (code, "does not have the SHA-256" in said.err) == (2, True)
    tree = "/api/datasets/DeepLearnPhysics/PILArNet-M/tree/v1?recursive=true"
    site.files[tree] = site.files[tree].replace(b"generic_v2_30_", b"generic_v2_31_")
    code, said = run("pilarnet", "--list", "--base-url", site.url)
    assert code == 2
    assert "train/generic_v2_30_v1.h5 is gone; train/generic_v2_31_v1.h5 is new" in said.err
    assert read_lock(lock) == written


def test_both_releases_are_listed_through_pages_redirects_and_busy_servers(site, tmp_path):
    serve_miniature(site)
    where = mirrors(site)
    begun = time.time()
    held = {name: listed(name, base_url=url) for name, url in where.items()}
    assert time.time() - begun > 1, "both servers named a time"
    assert not site.busy
    train = [f"train/generic_v2_{n}_v1.h5" for n in sorted(LARTPC["train"], key=str)]
    assert [f.path for f in held["pilarnet"].files] == [*train, *(f"val/generic_v2_{n}_v1.h5" for n in LARTPC["val"])]
    assert held["pilarnet"].matching("train/*.h5") == train
    assert held["tpcpp"].archives["TPCpp-10M.zip"].checksum.startswith("md5:")
    for name, lock in held.items():
        items = items_of(lock, ["test"] if name == "tpcpp" else ["validation"], None, where[name])
        fetch(items, tmp_path, nothing, lambda *_: None)
        assert all((tmp_path / item.path).stat().st_size == item.size for item in items)
    changed = held["tpcpp"].model_copy(
        update={"files": [f.model_copy(update={"crc32": f.crc32 ^ 1}) for f in held["tpcpp"].files]}
    )
    with pytest.raises(DataError, match="does not have the CRC-32"):
        fetch(items_of(changed, ["test"], None, where["tpcpp"]), tmp_path / "new", nothing, lambda *_: None)
