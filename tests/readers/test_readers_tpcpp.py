"""TPCpp-10M shards, labelled or not, are read exactly as streams, and every kind of damage is named and kept out."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from rawfiles import collider_shard, write_tpcpp
from tpcfm.detectors.model import Detector
from tpcfm.errors import DataError
from tpcfm.events.job import ingest_file
from tpcfm.readers.npy_stream import NpzFile

LABELS = ("track_ids", "pid_labels", "noise_tags")


def ingest(path: Path, folder: Path):
    out = folder / "out"
    summary = ingest_file(path, "sphenix", "collider", out / "p.parquet", out / "p.rejected.parquet", lambda _: "train")
    return summary, pq.read_table(out / "p.parquet"), pq.read_table(out / "p.rejected.parquet").to_pylist()


@pytest.fixture
def shard():
    return collider_shard(np.random.default_rng(5))


def check_exact(table, shard, rows, labelled=True, particles=True):
    ends = np.cumsum(shard["spacepoints"][1])
    particle_ends = np.cumsum(shard["particles"][1])
    for row, event in zip(rows, table.to_pylist(), strict=True):
        part = slice(ends[row] - shard["spacepoints"][1][row], ends[row])
        assert event["event_id"] == f"collider/p/{row}"
        for column, name in enumerate(("energy", "x", "y", "z")):
            assert np.array_equal(np.float32(event[name]), shard["spacepoints"][0][part, column])
        for stem, name in zip(LABELS, ("track", "pid", "noise")):
            assert event[name] == (shard[stem][0][part].astype(int).tolist() if labelled else None)
        truth = shard["particles"][0][particle_ends[row] - shard["particles"][1][row] : particle_ends[row]]
        for column, name in ((0, "track"), (1, "pdg"), (2, "px"), (4, "pz"), (6, "vx"), (8, "vz"), (9, "charge")):
            found = event[f"particle_{name}"]
            assert (found is None) if not particles else np.array_equal(np.float32(found), truth[:, column])


@pytest.mark.parametrize("suffix", ["", "_003"])
@pytest.mark.parametrize("leave_out", [(), ("particles",), LABELS, (*LABELS, "particles")])
def test_every_layout_is_read_exactly(tmp_path, shard, suffix, leave_out):
    summary, table, rejected = ingest(write_tpcpp(tmp_path, shard, suffix, leave_out), tmp_path)
    assert not rejected
    assert summary["revision"] == ("unlabelled" if "track_ids" in leave_out else "labelled")
    check_exact(table, shard, range(12), "track_ids" not in leave_out, "particles" not in leave_out)


def test_labels_of_another_shard_are_not_taken(tmp_path, shard):
    write_tpcpp(tmp_path, shard, "_001")
    path = write_tpcpp(tmp_path, shard, "_002", (*LABELS, "particles"))
    assert ingest(path, tmp_path)[0]["revision"] == "unlabelled"


def test_blocks_cover_the_file_once_however_large_they_are(tmp_path, shard, monkeypatch):
    path = write_tpcpp(tmp_path, shard)
    for size in (1, 100, 333):
        monkeypatch.setattr("tpcfm.readers.tpcpp.POINTS_PER_BLOCK", size)
        _, table, _ = ingest(path, tmp_path)
        check_exact(table, shard, range(12))


def _edit(kind: str, shard: dict) -> None:
    first = int(shard["spacepoints"][1][:4].sum())  # first point of event 4
    if kind == "nan":
        shard["spacepoints"][0][first + 2, 1] = np.nan
    elif kind == "energy":
        shard["spacepoints"][0][first + 2, 0] = -3
    elif kind == "millimetres":
        shard["spacepoints"][0][first, 1:] *= 10
    elif kind == "pid":
        track, event = shard["track_ids"][0], slice(first, first + int(shard["spacepoints"][1][4]))
        shard["pid_labels"][0][event][track[event] == track[first]] = 7
    elif kind == "mixed track":
        track = shard["track_ids"][0][first : first + 30]
        again = first + int(np.flatnonzero(track == track[0])[1])
        shard["pid_labels"][0][again] = (shard["pid_labels"][0][again] + 1) % 5
    elif kind == "size":
        size = shard["pid_labels"][1].copy()
        size[4] += 1
        data = np.insert(shard["pid_labels"][0], first, 0)
        shard["pid_labels"] = (data, size)
    elif kind == "charge":
        shard["particles"][0][int(shard["particles"][1][:4].sum()), 9] = 0.5
    elif kind == "particle":
        shard["particles"][0][int(shard["particles"][1][:4].sum()), 3] = np.inf
    else:
        raise AssertionError(kind)


@pytest.mark.parametrize(
    ("kind", "column", "text"),
    [
        ("nan", "spacepoints.xyz", "not finite or not in the detector"),
        ("energy", "spacepoints.E", "the first is (-3) at 2"),
        ("millimetres", "spacepoints.xyz", "25 < r < 85 cm"),
        ("pid", "pid_labels.data", "outside 0 to 4; the first is (7) at 0"),
        ("mixed track", "pid_labels.data", "unlike the first point of their track"),
        ("size", "pid_labels.size", "spacepoints has"),
        ("charge", "particles.charge", "whole numbers from -127 to 127"),
        ("particle", "particles", "not finite"),
    ],
)
def test_a_bad_event_is_rejected_with_its_reason_and_the_others_pass(tmp_path, shard, kind, column, text):
    _edit(kind, shard)
    summary, table, rejected = ingest(write_tpcpp(tmp_path, shard), tmp_path)
    (only,) = rejected
    assert (only["event_id"], only["file"], only["row"]) == ("collider/p/4", "spacepoints.npz", 4)
    assert only["reason"].startswith(f"{column}: ")
    assert text in only["reason"]
    if kind != "size":
        check_exact(table, shard, [row for row in range(12) if row != 4])
    assert summary["rejected_columns"] == {column: 1}


@pytest.mark.parametrize("kind", ["nan", "pid", "size", "particle"])
def test_a_block_of_nothing_but_a_bad_event(tmp_path, shard, monkeypatch, kind):
    monkeypatch.setattr("tpcfm.readers.tpcpp.POINTS_PER_BLOCK", 1)
    _edit(kind, shard)
    _, table, rejected = ingest(write_tpcpp(tmp_path, shard), tmp_path)
    assert table.num_rows == 11
    assert [row["row"] for row in rejected] == [4]


def test_an_event_without_points_is_rejected(tmp_path, shard):
    for stem in ("spacepoints", *LABELS):
        data, size = shard[stem]
        size = np.insert(size, 3, 0)
        shard[stem] = (data, size)
    del shard["particles"]
    _, table, rejected = ingest(write_tpcpp(tmp_path, shard), tmp_path)
    assert table.num_rows == 12
    assert [(row["row"], row["reason"]) for row in rejected] == [(3, "spacepoints: no points")]


def test_the_sizes_of_another_stem_shift_nothing(tmp_path, shard):
    """A label file with one point too many in event 4 leaves the labels of event 5 where they belong."""
    good = shard["pid_labels"][0].copy()
    _edit("size", shard)
    _, table, _ = ingest(write_tpcpp(tmp_path, shard), tmp_path)
    start = int(shard["spacepoints"][1][:5].sum())
    assert table["pid"].to_pylist()[4] == good[start : start + int(shard["spacepoints"][1][5])].tolist()


@pytest.mark.parametrize(
    ("stem", "change", "text"),
    [
        ("spacepoints", lambda d, s: (d.astype(np.float64), s), "'data' is float64"),
        ("spacepoints", lambda d, s: (d[:, :3], s), "expected float32 of shape (points, 4)"),
        ("spacepoints", lambda d, s: (d.T.copy(), s), "expected float32 of shape (points, 4)"),
        ("spacepoints", lambda d, s: (np.asfortranarray(d), s), "Fortran order"),
        ("spacepoints", lambda d, s: (d[:-1], s), "adds up to"),
        ("spacepoints", lambda d, s: (d, s.astype(float)), "'size' is float64"),
        ("spacepoints", lambda d, s: (d, np.where(np.arange(len(s)) == 2, -1, s)), "'size' ranges from -1"),
        ("spacepoints", lambda d, s: (d[:0], s[:0]), "holds no event"),
        ("track_ids", lambda d, s: (d.astype(np.float32), s), "expected whole numbers"),
        ("noise_tags", lambda d, s: (d[: -s[-1]], s[:-1]), "11 events, spacepoints.npz has 12"),
    ],
)
def test_another_layout_stops_the_file_and_leaves_nothing(tmp_path, shard, stem, change, text):
    shard[stem] = change(*shard[stem])
    path = write_tpcpp(tmp_path, shard)
    with pytest.raises(DataError) as caught:
        ingest(path, tmp_path)
    assert f"{stem}.npz" in str(caught.value)
    assert text in str(caught.value)
    assert not list(tmp_path.glob("out/*"))


def test_big_endian_numbers_are_read(tmp_path, shard):
    data, size = shard["spacepoints"]
    shard["spacepoints"] = (data.astype(">f4"), size.astype(">i8"))
    path = write_tpcpp(tmp_path, shard)
    shard["spacepoints"] = (data, size)
    check_exact(ingest(path, tmp_path)[1], shard, range(12))


def test_a_label_file_missing_or_a_foreign_name(tmp_path, shard):
    path = write_tpcpp(tmp_path, shard, "_000", ("pid_labels",))
    with pytest.raises(DataError, match=r"pid_labels_000\.npz is missing; give all three or none"):
        ingest(path, tmp_path)
    with pytest.raises(DataError, match="expected a file named spacepoints"):
        ingest(tmp_path / "track_ids_000.npz", tmp_path)


@pytest.mark.parametrize("stem", ["spacepoints", "track_ids"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_file_cut_short_stops_with_its_name_and_leaves_nothing(tmp_path, shard, stem, share):
    path = write_tpcpp(tmp_path, shard)
    content = (tmp_path / f"{stem}.npz").read_bytes()
    (tmp_path / f"{stem}.npz").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match=rf"{stem}\.npz: not a readable npz"):
        ingest(path, tmp_path)
    assert not list(tmp_path.glob("out/*"))


def test_a_wrong_checksum_inside_the_zip_is_found_at_the_end_of_the_stream(tmp_path, shard):
    shard = {"spacepoints": shard["spacepoints"]}
    path = write_tpcpp(tmp_path, shard)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    content = bytearray(path.read_bytes())
    place = content.find(b"\x93NUMPY") + 128 + 16 * 20  # in the numbers of the 20th point
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="CRC"):
        ingest(path, tmp_path)


def test_python_objects_are_never_loaded(tmp_path, shard):
    path = write_tpcpp(tmp_path, shard, leave_out=(*LABELS, "particles"))
    np.savez(path, data=np.array([{"a": 1}], object), size=np.array([1]))
    with pytest.raises(DataError, match="Python objects"):
        ingest(path, tmp_path)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_the_npy_header(tmp_path, version):
    values = np.arange(24, dtype=np.float32).reshape(6, 4)
    content = io.BytesIO()
    np.lib.format.write_array(content, values, version=version)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.npy", content.getvalue())
    with NpzFile(tmp_path / "a.npz") as npz, npz.open("data") as stream:
        assert np.array_equal(np.concatenate([stream.take(1), stream.take(3), stream.take(2)]), values)
        stream.finish()
        with pytest.raises(DataError, match="1 more rows asked for, 0 left of 6"):
            stream.take(1)


def test_another_cylinder_in_millimetres_comes_from_the_detector(tmp_path, shard):
    """A detector of other size, signal name and labels reads the same format."""
    values = {
        "name": "large",
        "coordinates": {"unit": "mm"},
        "volume": {"shape": "cylinder", "r": [300, 900], "z": [-2000, 500]},
        "pitch": 5.0,
        "signal": [{"name": "charge", "range": [None, None]}],
        "labels": {"track": {"kind": "instances", "type": "int64", "background": [0]}},
        "read": {"reader": "tpcpp"},
    }
    shard["spacepoints"][0][:, 1:] *= 10
    shard["spacepoints"][0][:, 3] -= 900
    shard["spacepoints"][0][:, 0] *= -1
    first = int(shard["spacepoints"][1][:4].sum())
    shard["spacepoints"][0][first, 3] = 501
    path = write_tpcpp(tmp_path, shard)
    ingest_file(
        path, Detector.model_validate(values), "d", tmp_path / "p.parquet", tmp_path / "r.parquet", lambda _: "train"
    )
    table, rejected = pq.read_table(tmp_path / "p.parquet"), pq.read_table(tmp_path / "r.parquet").to_pylist()
    assert table.column_names == ["event_id", "split", "n_points", "x", "y", "z", "charge", "track"]
    assert table["charge"].to_pylist()[0][0] == shard["spacepoints"][0][0, 0]
    assert [row["row"] for row in rejected] == [4]
    assert "300 < r < 900 mm, -2000 < z < 500 mm" in rejected[0]["reason"]


@pytest.mark.parametrize(
    "header", [b"{'descr': '<f4', 'shape': (3,", b"{'descr': ((((", b'"""', b"{'descr': '<f4'}", b"[" * 99]
)
def test_a_damaged_npy_header_is_named_without_a_word_of_python_2(tmp_path, header, recwarn):
    text = header + b"\n"
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("a.npy", b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)
    with (
        NpzFile(tmp_path / "a.npz") as npz,
        pytest.raises(DataError, match=r"a\.npz: array 'a': not a readable npy header"),
    ):
        npz.open("a")
    assert not recwarn.list
