"""Guarantees of prepared caches: what is written is what is read, in order, by memory map; damage is named."""

import pickle

import numpy as np
import pyarrow as pa
import pytest

from event_tables import SPHENIX
from tpcfm.errors import DataError
from tpcfm.events.schema import HEAD
from tpcfm.prepare import cache
from tpcfm.prepare.store import PreparedStore, index_folder

SCHEMA = pa.schema([*HEAD, ("x", pa.list_(pa.int16())), ("pid", pa.list_(pa.int8()))])
SETTINGS = {"radius": 5.0, "max_points": 32}


def make_events(count, seed, labelled=True):
    rng = np.random.default_rng(seed)
    for row in range(count):
        n = int(rng.integers(0, 50))
        yield {
            "event_id": f"set/file{seed}/{row}",
            "split": ("train", "train", "validation")[row % 3],
            "n_points": n,
            "x": rng.integers(0, 768, n).astype(np.int16),
            "pid": rng.integers(0, 5, n).astype(np.int8) if labelled else None,
        }


def write_cache(folder, counts=(7, 5), labelled=True, batch_bytes=None, monkeypatch=None):
    if batch_bytes is not None:
        monkeypatch.setattr(cache, "_BATCH_BYTES", batch_bytes)
    events = []
    for seed, count in enumerate(counts):
        with cache.part_writer(
            folder / f"part{seed}.arrow", SCHEMA, kind="groups", settings=SETTINGS, detector=SPHENIX
        ) as part:
            for event in make_events(count, seed, labelled):
                part.add(event)
                events.append(event)
    cache.write_manifest(folder, name="test")
    return events


@pytest.mark.parametrize("batch_bytes", [1, 200, 8 << 20])
def test_round_trip_over_parts_and_record_batches(tmp_path, monkeypatch, batch_bytes):
    events = write_cache(tmp_path, batch_bytes=batch_bytes, monkeypatch=monkeypatch)
    store = PreparedStore(tmp_path)
    assert len(store) == 12
    for row, event in enumerate(events):
        read = store[row]
        assert read.keys() == event.keys()
        np.testing.assert_array_equal(read["x"], event["x"])
        np.testing.assert_array_equal(read["pid"], event["pid"])
        assert (read["event_id"], read["split"], read["n_points"]) == (
            event["event_id"],
            event["split"],
            event["n_points"],
        )
    np.testing.assert_array_equal(store.lengths, [event["n_points"] for event in events])
    assert store.event_ids([11, 0]) == [events[11]["event_id"], events[0]["event_id"]]
    for split in ("train", "validation", "test"):
        assert list(store.rows(split)) == [row for row, event in enumerate(events) if event["split"] == split]


def test_many_tiny_events_are_flushed_by_number(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "_BATCH_EVENTS", 2)
    write_cache(tmp_path, counts=(7,))
    with pa.memory_map(str(tmp_path / "part0.arrow")) as source:
        assert pa.ipc.open_file(source).num_record_batches == 4


def test_columns_are_views_of_the_mapped_file_and_cannot_be_changed(tmp_path):
    write_cache(tmp_path)
    x = PreparedStore(tmp_path)[0]["x"]
    assert x.base is not None
    with pytest.raises(ValueError, match="read-only"):
        x[0] = 1


def test_unlabelled_columns_are_none(tmp_path):
    write_cache(tmp_path, labelled=False)
    assert PreparedStore(tmp_path)[3]["pid"] is None


def test_without_its_index_a_store_gives_the_same_rows_and_lengths(tmp_path):
    write_cache(tmp_path)
    store = PreparedStore(tmp_path)
    folder = index_folder(tmp_path, store.fingerprint)
    expected = np.array(store.lengths), np.array(store.rows("train"))
    for path in folder.iterdir():
        path.unlink()
    again = PreparedStore(tmp_path)
    np.testing.assert_array_equal(again.lengths, expected[0])
    np.testing.assert_array_equal(again.rows("train"), expected[1])


@pytest.mark.parametrize("damage", [b"no array", b"\x93NUMPY\x01\x00v\x00{'descr': '<i8', 'shape': (9,", None])
def test_a_damaged_index_is_passed_over(tmp_path, damage):
    write_cache(tmp_path)
    expected = {name: PreparedStore(tmp_path).scan(name).tolist() for name in ("n_points", "train")}
    (folder,) = tmp_path.glob("index-*")
    for name in expected:
        path = folder / f"{name}.npy"
        if damage is None:  # of other events
            np.save(path, np.arange(1000))
        else:
            path.write_bytes(damage)
    store = PreparedStore(tmp_path)
    assert store.lengths.tolist() == expected["n_points"]
    assert store.rows("train").tolist() == expected["train"]


def test_the_manifest_appears_once_and_whole(tmp_path):
    """Whoever ends the job before leaves no manifest, and so no cache that lacks its statistics or its scaling."""
    seen = []

    def statistics(store):
        seen.append((tmp_path / "manifest.json").exists())
        return {"events": len(store)}

    write_cache(tmp_path)
    (tmp_path / "manifest.json").unlink()
    kind = cache.write_manifest(tmp_path, name="again")["kind"]
    (tmp_path / "manifest.json").unlink()
    made = cache.write_manifest(tmp_path, name="again", statistics={kind: statistics})
    assert seen == [False]
    assert PreparedStore(tmp_path).manifest == made


def test_fingerprint_follows_content_and_old_indices_are_removed(tmp_path):
    write_cache(tmp_path)
    first = PreparedStore(tmp_path).fingerprint
    write_cache(tmp_path)
    assert PreparedStore(tmp_path).fingerprint == first
    write_cache(tmp_path, counts=(7, 6))
    second = PreparedStore(tmp_path).fingerprint
    assert second != first
    assert [path.name for path in tmp_path.glob("index-*")] == [index_folder(tmp_path, second).name]


def test_a_store_can_be_sent_to_another_process(tmp_path):
    events = write_cache(tmp_path)
    store = PreparedStore(tmp_path)
    store[0]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(store))[4]["x"], events[4]["x"])


def test_a_failed_part_leaves_nothing(tmp_path):
    def fail():
        with cache.part_writer(
            tmp_path / "part.arrow", SCHEMA, kind="groups", settings=SETTINGS, detector=SPHENIX
        ) as part:
            part.add(next(make_events(1, 0)))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_parts_made_with_other_settings_are_named(tmp_path):
    write_cache(tmp_path)
    with cache.part_writer(
        tmp_path / "z.arrow", SCHEMA, kind="groups", settings={**SETTINGS, "radius": 2.5}, detector=SPHENIX
    ):
        pass
    with pytest.raises(DataError, match=r"z\.arrow.*radius = 2\.5 \| 5\.0"):
        cache.write_manifest(tmp_path, name="test")


def test_missing_manifest_missing_part_and_damaged_part_are_named(tmp_path):
    with pytest.raises(DataError, match=r"manifest\.json: no such file"):
        PreparedStore(tmp_path)
    write_cache(tmp_path)
    good = (tmp_path / "part1.arrow").read_bytes()
    (tmp_path / "part1.arrow").write_bytes(good[: len(good) // 2])
    with pytest.raises(DataError, match=r"part1\.arrow: not a readable Arrow file"):
        PreparedStore(tmp_path)[11]
    (tmp_path / "part1.arrow").unlink()
    with pytest.raises(DataError, match=r"not there: part1\.arrow"):
        PreparedStore(tmp_path)


def test_a_changed_byte_is_found_by_its_checksum(tmp_path):
    write_cache(tmp_path)
    PreparedStore(tmp_path).verify()
    content = bytearray((tmp_path / "part1.arrow").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "part1.arrow").write_bytes(content)
    with pytest.raises(DataError, match=r"checksum: part1\.arrow$"):
        PreparedStore(tmp_path).verify()


def test_an_unknown_split_or_column_is_named(tmp_path):
    write_cache(tmp_path)
    store = PreparedStore(tmp_path)
    with pytest.raises(DataError, match="unknown split 'val'"):
        store.rows("val")
    with pytest.raises(DataError, match="no column 'y'"):
        store.value(0, "y")
    with pytest.raises(IndexError):
        store[12]
