"""PILArNet-M files of every revision are read exactly, and every kind of damage is named and kept out."""

import os
import re
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest

from rawfiles import lartpc_event, write_pilarnet
from tpcfm.detectors.model import Detector
from tpcfm.detectors.registry import load_detector
from tpcfm.errors import DataError
from tpcfm.events.job import ingest_file
from tpcfm.readers.pilarnet import LOW_ENERGY, PilarnetReader
from tpcfm.readers.vlen import RowLengths

PILARNET = load_detector("pilarnet")


def ingest(path: Path, folder: Path):
    summary = ingest_file(
        path, "pilarnet", "lartpc", folder / "p.parquet", folder / "p.rejected.parquet", lambda _: "train"
    )
    return summary, pq.read_table(folder / "p.parquet"), pq.read_table(folder / "p.rejected.parquet").to_pylist()


@pytest.fixture
def events():
    rng = np.random.default_rng(1)
    return [lartpc_event(rng, points=int(rng.integers(50, 400)), clusters=int(rng.integers(2, 9))) for _ in range(7)]


@pytest.mark.parametrize(
    ("columns", "extra", "revision"),
    [(5, None, "v1"), (6, None, "v2"), (6, 5, "v2"), (6, 6, "v3"), (6, 9, "v3"), (6, 11, "v3")],
)
@pytest.mark.parametrize("integer", [np.int16, np.int32, np.int64])
def test_every_layout_is_read_exactly(tmp_path, events, columns, extra, revision, integer):
    path = write_pilarnet(tmp_path / "f.h5", events, columns, extra, integer)
    summary, table, rejected = ingest(path, tmp_path)
    assert (summary["events"], summary["revision"], rejected) == (7, revision, [])
    assert table["event_id"].to_pylist() == [f"lartpc/p/{row}" for row in range(7)]
    for row, event in zip(table.to_pylist(), events):
        assert row["n_points"] == len(event["point"])
        for axis, name in enumerate("xyz"):
            assert row[name] == event["point"][:, axis].astype(int).tolist()
        assert np.array_equal(np.float32(row["energy"]), event["point"][:, 3])
        labels = np.repeat(event["cluster"], event["cluster"][:, 0], axis=0)
        for column, name in ((1, "fragment"), (2, "group"), (3, "interaction"), (4, "semantic")):
            assert row[name] == labels[:, column].tolist()
        assert row["pid"] == (labels[:, 5].tolist() if columns == 6 else None)
        assert row["cluster_size"] == event["cluster"][:, 0].tolist()
        if extra:
            assert np.array_equal(np.float32(row["cluster_momentum"]), event["extra"][:, 1])
            assert np.array_equal(np.float32(row["cluster_vertex"]), event["extra"][:, 2:5].reshape(-1))
        else:
            assert row["cluster_momentum"] is None
            assert row["cluster_vertex"] is None


def test_smallest_integer_width(tmp_path):
    event = lartpc_event(np.random.default_rng(0), points=100, clusters=5)
    _, table, _ = ingest(write_pilarnet(tmp_path / "f.h5", [event], 6, 5, np.int8), tmp_path)
    assert table["n_points"].to_pylist() == [120]


def test_thirty_values_are_read_by_the_width_that_fits(tmp_path):
    """Five clusters of 6 columns are also six of 5: the sizes decide, not the length."""
    rng = np.random.default_rng(2)
    five = [lartpc_event(rng, clusters=5) for _ in range(3)]  # with the low-energy row 6 clusters
    four = [lartpc_event(rng, clusters=4) for _ in range(3)]  # 5 clusters
    with PilarnetReader(write_pilarnet(tmp_path / "v1.h5", five, 5), PILARNET) as reader:
        assert reader.revision == "v1"
    with PilarnetReader(write_pilarnet(tmp_path / "v2.h5", four, 6), PILARNET) as reader:
        assert reader.revision == "v2"


def test_empty_low_energy_row_is_a_good_event(tmp_path):
    event = lartpc_event(np.random.default_rng(3), low_energy=0)
    summary, table, _ = ingest(write_pilarnet(tmp_path / "f.h5", [event], 6, 5), tmp_path)
    assert summary["events"] == 1
    assert LOW_ENERGY not in table["semantic"].to_pylist()[0]
    assert table["cluster_size"].to_pylist()[0][0] == 0
    assert summary["statistics"]["histograms"]["fragments_per_event"]["sum"] == 6


def _broken(kind: str, event: dict) -> None:
    point, cluster = event["point"], event["cluster"]
    if kind == "no low-energy row":
        event["cluster"], event["point"] = cluster[1:], point[cluster[0, 0] :]
        event["extra"] = event["extra"][1:]
    elif kind == "second low-energy cluster":
        cluster[2, 4] = 4
    elif kind == "low-energy ids":
        cluster[0, 2] = 3
    elif kind == "low-energy pid":
        cluster[0, 5] = 2
    elif kind == "size":
        cluster[1, 0] += 1
    elif kind == "negative size":
        cluster[1, 0] += cluster[2, 0] + 1
        cluster[2, 0] = -1
    elif kind == "duplicate":
        point[5, :3] = point[17, :3]
    elif kind == "nan energy":
        point[9, 3] = np.nan
    elif kind == "negative energy":
        point[9, 3] = -0.5
    elif kind == "infinite coordinate":
        point[3, 1] = np.inf
    elif kind == "outside":
        point[3, 2] = 768
    elif kind == "below":
        point[3, 0] = -1
    elif kind == "fraction":
        point[3, 0] += 0.5
    elif kind == "semantic":
        cluster[1, 4] = 7
    elif kind == "pid":
        cluster[1, 5] = 9
    elif kind == "fragment":
        cluster[1, 1] = -2
    elif kind == "vertex":
        event["extra"][2, 3] = np.nan
    elif kind == "no points":
        event["point"], cluster[:, 0] = point[:0], 0
    else:
        raise AssertionError(kind)


@pytest.mark.parametrize(
    ("kind", "column", "text"),
    [
        ("no low-energy row", "cluster.semantic", "another class than low energy"),
        ("second low-energy cluster", "cluster.semantic", "not the first"),
        ("low-energy ids", "cluster.group", "other than -1; the first is (3)"),
        ("low-energy pid", "cluster.pid", "other than -1"),
        ("size", "cluster.size", "point has"),
        ("negative size", "cluster.size", "a cluster of -1 points"),
        ("duplicate", "point.xyz", "occur before"),
        ("nan energy", "point.energy", "the first is (nan) at 9"),
        ("negative energy", "point.energy", "the first is (-0.5) at 9"),
        ("infinite coordinate", "point.xyz", "not whole numbers from 0 to 767"),
        ("outside", "point.xyz", "768"),
        ("below", "point.xyz", "-1"),
        ("fraction", "point.xyz", ".5"),
        ("semantic", "cluster.semantic", "outside 0 to 4; the first is (7) at 1"),
        ("pid", "cluster.pid", "outside -1 to 5"),
        ("fragment", "cluster.fragment", "outside -1"),
        ("vertex", "cluster_extra.vertex", "not finite"),
        ("no points", "point", "no points"),
    ],
)
def test_a_bad_event_is_rejected_with_its_reason_and_the_others_pass(tmp_path, events, kind, column, text):
    _broken(kind, events[4])
    path = write_pilarnet(tmp_path / "f.h5", events, 6, 5)
    summary, table, rejected = ingest(path, tmp_path)
    assert summary["events"] == 6
    assert [int(key.split("/")[-1]) for key in table["event_id"].to_pylist()] == [0, 1, 2, 3, 5, 6]
    (only,) = rejected
    assert (only["event_id"], only["file"], only["row"]) == ("lartpc/p/4", "f.h5", 4)
    assert only["reason"].startswith(f"{column}: ")
    assert text in only["reason"]
    last = table.to_pylist()[-1]
    assert last["cluster_size"] == events[6]["cluster"][:, 0].tolist()
    assert np.array_equal(np.float32(last["energy"]), events[6]["point"][:, 3])


def test_ragged_rows_of_wrong_length_are_rejected(tmp_path, events):
    path = write_pilarnet(tmp_path / "f.h5", events, 6, 5)
    with h5py.File(path, "r+") as file:
        file["point"][0] = file["point"][0][:-3]
        file["cluster"][1] = file["cluster"][1][:-1]
        file["cluster_extra"][2] = file["cluster_extra"][2][:-5]
        file["cluster"][3] = np.zeros(0, np.int32)
    _, table, rejected = ingest(path, tmp_path)
    assert table.num_rows == 3
    assert [row["row"] for row in rejected] == [0, 1, 2, 3]
    assert [row["reason"].split(":")[0] for row in rejected] == ["point", "cluster", "cluster_extra", "cluster"]


def _rewrite(path: Path, name: str, values, kind) -> None:
    with h5py.File(path, "r+") as file:
        del file[name]
        if values is not None:
            made = file.create_dataset(name, (len(values),), dtype=kind)
            for i, value in enumerate(values):
                made[i] = value


@pytest.mark.parametrize(
    ("name", "values", "kind", "text"),
    [
        ("cluster", None, None, "'cluster_extra' without 'cluster'"),
        ("point", None, None, "no dataset 'point'"),
        ("cluster", [np.ones(12)] * 7, h5py.vlen_dtype(np.float32), "expected variable-length a signed integer"),
        ("cluster", [np.ones(12)] * 7, h5py.vlen_dtype(np.uint32), "variable-length uint32"),
        ("point", [np.ones(16)] * 7, h5py.vlen_dtype(np.float64), "variable-length float64"),
        ("point", [1.0] * 7, np.float32, "holds float32, expected variable-length float32"),
        ("cluster", [np.ones(12)] * 6, h5py.vlen_dtype(np.int32), "cluster has 6 events, point has 7"),
        ("cluster", [np.ones(7)] * 7, h5py.vlen_dtype(np.int32), "neither 5 nor 6 columns"),
        ("cluster_extra", [np.ones(7)] * 7, h5py.vlen_dtype(np.float32), "'cluster_extra' has"),
    ],
)
def test_another_layout_stops_the_file_and_leaves_nothing(tmp_path, events, name, values, kind, text):
    path = write_pilarnet(tmp_path / "f.h5", events, 6, 5)
    _rewrite(path, name, values, kind)
    with pytest.raises(DataError, match=r"f\.h5") as caught:
        ingest(path, tmp_path)
    assert text in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["f.h5"]


def test_unlabelled_files_have_null_labels(tmp_path, events):
    path = write_pilarnet(tmp_path / "f.h5", events, 6, 5)
    labelled = ingest(path, tmp_path)[1]
    for name in ("cluster", "cluster_extra"):
        _rewrite(path, name, None, None)
    summary, table, rejected = ingest(path, tmp_path)
    assert (summary["events"], summary["revision"], rejected) == (7, "unlabelled", [])
    for name in ("x", "y", "z", "energy"):
        assert table[name].equals(labelled[name])
    for name in (*PILARNET.labels, "cluster_size", "cluster_momentum", "cluster_vertex"):
        assert table[name].null_count == 7
    assert summary["statistics"]["classes"]["semantic"] == dict.fromkeys("01234", 0)


def free_space(content):
    """Yield (byte of the heap, byte of its free space) of each heap that has some."""
    for match in re.finditer(b"GCOL", content):
        heap = match.start()
        place, end = heap + 16, heap + int.from_bytes(content[heap + 8 : heap + 16], "little")
        while place + 16 <= end:
            index, size = (int.from_bytes(content[place + a : place + b], "little") for a, b in ((0, 2), (8, 16)))
            if index == 0:
                yield heap, place
                break
            place += 16 + -(-size // 8) * 8


@pytest.mark.parametrize("size", [0, 8, 2**40])
def test_a_heap_that_would_be_walked_for_ever_is_not_read(tmp_path, events, size):
    """HDF5 never returns from reading a row whose heap says that its free space is empty."""
    path = write_pilarnet(tmp_path / "f.h5", events[:2], 6, None, np.int32)
    content = bytearray(path.read_bytes())
    heap, place = next(found for found in free_space(content))
    content[place + 8 : place + 16] = size.to_bytes(8, "little")
    path.write_bytes(content)
    with h5py.File(path) as file:
        found = {name: RowLengths(path, file[name]).damaged(0, 2) for name in ("point", "cluster")}
    assert any(f"its heap at byte {heap} is damaged" in reason for rows in found.values() for reason in rows.values())


def test_heaps_as_h5py_writes_them_can_be_walked(tmp_path, events):
    path = write_pilarnet(tmp_path / "f.h5", events, 6, 11, np.int64)
    with h5py.File(path) as file:
        for name in ("point", "cluster", "cluster_extra"):
            assert RowLengths(path, file[name]).damaged(0, 7) == {}


def test_a_user_block_and_the_other_byte_order_change_nothing(tmp_path, events):
    expected = ingest(write_pilarnet(tmp_path / "f.h5", events, 6, 5), tmp_path)[1]
    with h5py.File(tmp_path / "u.h5", "w", userblock_size=512) as target, h5py.File(tmp_path / "f.h5") as source:
        for name in source:
            source.copy(name, target)
    assert PilarnetReader.recognises(tmp_path / "u.h5")
    assert ingest(tmp_path / "u.h5", tmp_path)[1].equals(expected)
    for kinds in ({"cluster": ">i8"}, {"point": ">f4", "cluster": ">i2", "cluster_extra": ">f4"}):
        with h5py.File(tmp_path / "b.h5", "w") as target, h5py.File(tmp_path / "f.h5") as source:
            for name in source:
                kind = np.dtype(kinds.get(name, h5py.check_vlen_dtype(source[name].dtype)))
                made = target.create_dataset(name, (7,), dtype=h5py.vlen_dtype(kind))
                for i in range(7):
                    made[i] = source[name][i].astype(kind)
        assert ingest(tmp_path / "b.h5", tmp_path)[1].equals(expected)


def test_another_lattice_and_other_labels_come_from_the_detector(tmp_path, events):
    """512 x 256 x 1,024 voxels stored in 32 bits, ADC counts, no particle types: neither the reader nor its limits are of one detector."""
    values = PILARNET.model_dump(mode="json", exclude_defaults=True)
    values |= {"name": "other", "volume": {"shape": "box", "x": [0, 512], "y": [0, 256], "z": [600, 1624]}}
    values["coordinates"] = {**values["coordinates"], "type": "int32"}
    values["signal"] = [{"name": "charge", "unit": "ADC", "range": [0, 4095]}]
    del values["labels"]["pid"]
    detector = Detector.model_validate(values)
    events[1]["point"][3, 1] = 256
    events[2]["point"][3, 2] = 599
    events[3]["point"][3, 3] = 5000
    path = write_pilarnet(tmp_path / "f.h5", events, 6, 5)
    ingest_file(path, detector, "d", tmp_path / "p.parquet", tmp_path / "r.parquet", lambda _: "train")
    table, rejected = pq.read_table(tmp_path / "p.parquet"), pq.read_table(tmp_path / "r.parquet").to_pylist()
    assert "pid" not in table.column_names
    assert table["charge"].to_pylist()[0] == events[0]["point"][:, 3].tolist()
    assert [row["row"] for row in rejected] == [1, 2, 3]
    assert "not whole numbers from 0 to 511, from 0 to 255, from 600 to 1623" in rejected[0]["reason"]
    assert "not from 0 to 4095; the first is (5000) at 3" in rejected[2]["reason"]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_file_cut_short_stops_with_its_name_and_leaves_nothing(tmp_path, events, share):
    path = write_pilarnet(tmp_path / "f.h5", events, 6, 5)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match=r"f\.h5: not a readable HDF5 file"):
        ingest(path, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["f.h5"]


def test_missing_or_empty_or_all_bad(tmp_path, events):
    with pytest.raises(DataError, match="no such file"):
        ingest(tmp_path / "none.h5", tmp_path)
    with pytest.raises(DataError, match="holds no event"):
        ingest(write_pilarnet(tmp_path / "empty.h5", [], 6), tmp_path)
    for event in events:
        event["point"][0, 3] = np.nan
    with pytest.raises(DataError, match=r"not one good event among 7; event 0: point\.energy"):
        ingest(write_pilarnet(tmp_path / "bad.h5", events, 6), tmp_path)
    assert not list(tmp_path.glob("*.parquet"))


def test_blocks_cover_the_file_once_however_large_they_are(tmp_path, monkeypatch, events):
    path = write_pilarnet(tmp_path / "f.h5", events * 12, 6, 5)
    _, whole, _ = ingest(path, tmp_path)
    monkeypatch.setattr("tpcfm.readers.pilarnet.POINTS_PER_BLOCK", 500)
    _, pieces, _ = ingest(path, tmp_path)
    assert whole.equals(pieces)


@pytest.mark.parametrize("kind", ["size", "duplicate", "no points"])
@pytest.mark.parametrize("extra", [None, 5])
def test_a_block_of_nothing_but_bad_events(tmp_path, monkeypatch, events, kind, extra):
    monkeypatch.setattr("tpcfm.readers.pilarnet.POINTS_PER_BLOCK", 1)
    for row in (0, 3, 6):
        _broken(kind, events[row])
    _, table, rejected = ingest(write_pilarnet(tmp_path / "f.h5", events, 6, extra), tmp_path)
    assert table.num_rows == 4
    assert [row["row"] for row in rejected] == [0, 3, 6]


def test_one_real_event(tmp_path):
    """The numbers known of this event: points, low-energy points, and points per class after the cuts."""
    root = os.environ.get("TPCFM_TEST_DATA")
    if not root:
        pytest.skip("TPCFM_TEST_DATA names no folder with pilarnet_m/")
    path = Path(root) / "pilarnet_m" / "test" / "generic_v2_1_v2.h5"
    if not path.is_file():
        pytest.skip(f"no {path.name} below TPCFM_TEST_DATA")
    summary, table, rejected = ingest(path, tmp_path)
    assert not rejected
    (event,) = table.to_pylist()
    semantic, energy = np.array(event["semantic"]), np.float32(event["energy"])
    assert (event["n_points"], (semantic == LOW_ENERGY).sum()) == (1175, 34)
    kept = semantic[(semantic != LOW_ENERGY) & (energy > PILARNET.signal[0].threshold)]
    assert np.bincount(kept).tolist() == [39, 964, 18, 120]
    assert list(summary["statistics"]["kept"]["semantic"].values()) == [39, 964, 18, 120, 0]
    assert summary["statistics"]["histograms"]["groups_per_event"]["sum"] == 10
    assert summary["statistics"]["histograms"]["interactions_per_event"]["sum"] == 4
