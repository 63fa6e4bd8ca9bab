"""The sequences cache and its batches hold every point once, in order, with labels and targets that belong to it."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import event_tables
from event_tables import SPHENIX
from tpcfm.errors import DataError
from tpcfm.files import key64
from tpcfm.prepare.cache import rejected_path, write_manifest
from tpcfm.prepare.groups.batches import collate_sequences
from tpcfm.prepare.sequences.cache import fit_edges, write_part
from tpcfm.prepare.sequences.features import event_features
from tpcfm.prepare.sequences.next_neighbours import next_neighbours
from tpcfm.prepare.sequences.serialization import BoxEdges, fit_box_edges, serial_order
from tpcfm.prepare.sequences.settings import SerializationConfig, TargetConfig
from tpcfm.prepare.store import PreparedStore

LAYER_RADII_CM = np.array(SPHENIX.layers.radii)


def write_table(path, rows, labelled=True):
    if not labelled:
        rows = [{**row, "track": None, "pid": None, "noise": None} for row in rows]
    event_tables.write_table(path, SPHENIX, rows)


def features_of(event, preset=""):
    return event_features(SPHENIX, event, preset)


def make_events(n, seed=0, split=lambda i: "train" if i % 4 else "test", size=lambda i: 40 + 10 * i):
    rng = np.random.default_rng(seed)
    events = []
    for i in range(n):
        m = size(i)
        radius, phi = LAYER_RADII_CM[rng.integers(0, 48, m)], rng.uniform(-np.pi, np.pi, m)
        events.append(
            {
                "event_id": f"toy/file{seed}/{i}",
                "split": split(i),
                "n_points": m,
                "x": (radius * np.cos(phi)).astype(np.float32),
                "y": (radius * np.sin(phi)).astype(np.float32),
                "z": (radius * np.sinh(rng.normal(0, 0.6, m))).astype(np.float32),
                "energy": rng.exponential(250, m).astype(np.float32),
                "track": rng.integers(0, 5, m),
                "pid": rng.integers(0, 5, m),
                "noise": rng.integers(0, 2, m),
            }
        )
    return events


def build(folder, events, serialization, targets, labelled=True):
    table = folder.parent / f"{folder.name}.parquet"
    folder.mkdir()
    write_table(table, events, labelled)
    fit_edges([table], folder / "edges.json", serialization)
    write_part(table, folder / "edges.json", folder / "part0.arrow", serialization, targets)
    write_manifest(folder, name="toy")
    return PreparedStore(folder)


@pytest.mark.parametrize("order", ["raster", "hilbert"])
def test_cache_holds_each_event_in_serialised_order(tmp_path, order):
    events = make_events(8)
    serialization, targets = SerializationConfig(order=order), TargetConfig(k=5)
    store = build(tmp_path / "cache", events, serialization, targets)
    edges = BoxEdges.load(tmp_path / "cache" / "edges.json")
    assert len(store) == 8
    assert store.settings["edges"] == edges.fingerprint
    assert store.manifest["edges"]["axes"]["eta"] == list(edges.axes["eta"])
    for row, event in enumerate(events):
        found = store[row]
        features = features_of(event)
        expected = serial_order(features, serialization, edges)
        for name in ("x", "y", "z", "energy", "track", "pid", "noise"):
            np.testing.assert_array_equal(found[name], event[name][expected])
        np.testing.assert_array_equal(found["row"], expected)
        np.testing.assert_array_equal(found["features"].reshape(-1, 4), features[expected])
        np.testing.assert_array_equal(
            found["neighbour"].reshape(-1, 5), next_neighbours(features[expected], 5, SPHENIX)
        )


def test_edges_come_from_training_events_only(tmp_path):
    events = make_events(12)
    write_table(tmp_path / "a.parquet", events[:5])
    write_table(tmp_path / "b.parquet", events[5:])
    config = SerializationConfig()
    fit_edges([tmp_path / "a.parquet", tmp_path / "b.parquet"], tmp_path / "edges.json", config)
    train = [event for event in events if event["split"] == "train"]
    features = [features_of(e)[:, 1:] for e in train]
    assert BoxEdges.load(tmp_path / "edges.json") == fit_box_edges(
        np.concatenate(features), SPHENIX, config, n_events=len(train)
    )
    write_table(tmp_path / "none.parquet", make_events(3, split=lambda i: "test"))
    with pytest.raises(DataError, match="no training events"):
        fit_edges([tmp_path / "none.parquet"], tmp_path / "edges.json", config)


def test_long_and_empty_events_are_put_aside_with_a_reason(tmp_path):
    events = make_events(6, size=lambda i: (0, 30, 200, 40, 50, 60)[i])
    store = build(tmp_path / "cache", events, SerializationConfig(max_points=100), TargetConfig(k=2))
    assert store.event_ids(range(len(store))) == [events[i]["event_id"] for i in (1, 3, 4, 5)]
    rejected = pq.read_table(rejected_path(tmp_path / "cache" / "part0.arrow")).to_pylist()
    assert [(row["event_id"], row["row"]) for row in rejected] == [
        (events[0]["event_id"], 0),
        (events[2]["event_id"], 2),
    ]
    assert "200 points, above max_points = 100" in rejected[1]["reason"]
    assert store.manifest["rejected"] == 2
    config, edges = SerializationConfig(max_points=100), tmp_path / "cache" / "edges.json"
    counts = write_part(tmp_path / "cache.parquet", edges, tmp_path / "again.arrow", config, TargetConfig(k=2))
    assert counts == {"events": 4, "points": 180, "rejected": 2}


def test_missing_edges_stop_the_part(tmp_path):
    write_table(tmp_path / "a.parquet", make_events(2))
    with pytest.raises(DataError, match="no box edges"):
        write_part(
            tmp_path / "a.parquet", tmp_path / "e.json", tmp_path / "o.arrow", SerializationConfig(), TargetConfig()
        )
    fit_edges([tmp_path / "a.parquet"], tmp_path / "e.json", SerializationConfig(preset="released"))
    with pytest.raises(DataError, match="preset"):
        write_part(
            tmp_path / "a.parquet", tmp_path / "e.json", tmp_path / "o.arrow", SerializationConfig(), TargetConfig()
        )
    assert not (tmp_path / "o.arrow").exists()


def test_damaged_tables_are_named_and_bad_events_put_aside(tmp_path):
    config = SerializationConfig()
    (tmp_path / "broken.parquet").write_bytes(b"not parquet")
    with pytest.raises(DataError, match=r"broken\.parquet"):
        fit_edges([tmp_path / "broken.parquet"], tmp_path / "edges.json", config)
    pq.write_table(pa.table({"event_id": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(DataError, match=r"other\.parquet: not an event table of this version"):
        fit_edges([tmp_path / "other.parquet"], tmp_path / "edges.json", config)
    events = make_events(3)
    write_table(tmp_path / "fine.parquet", events)
    fit_edges([tmp_path / "fine.parquet"], tmp_path / "edges.json", config)
    events[1]["x"] = events[1]["x"].copy()
    events[1]["x"][3] = np.nan
    write_table(tmp_path / "nan.parquet", events)
    counts = write_part(
        tmp_path / "nan.parquet", tmp_path / "edges.json", tmp_path / "nan.arrow", config, TargetConfig()
    )
    assert counts["rejected"] == 1
    (row,) = pq.read_table(rejected_path(tmp_path / "nan.arrow")).to_pylist()
    assert (row["row"], row["event_id"], row["reason"]) == (1, "toy/file0/1", "values of x that are not finite")


def test_the_second_event_of_a_name_is_put_aside(tmp_path):
    events = make_events(3)
    events[2]["event_id"] = events[0]["event_id"]
    write_table(tmp_path / "twice.parquet", events)
    fit_edges([tmp_path / "twice.parquet"], tmp_path / "edges.json", SerializationConfig())
    out = tmp_path / "twice.arrow"
    counts = write_part(tmp_path / "twice.parquet", tmp_path / "edges.json", out, SerializationConfig(), TargetConfig())
    assert (counts["events"], counts["rejected"]) == (2, 1)
    (row,) = pq.read_table(rejected_path(out)).to_pylist()
    assert (row["row"], row["reason"]) == (2, "event_id 'toy/file0/0' occurs twice in this table")


def test_batch_is_the_events_one_after_another(tmp_path):
    events = make_events(8)
    store = build(tmp_path / "cache", events, SerializationConfig(), TargetConfig(k=6))
    rows = [5, 0, 3]
    batch = collate_sequences(store, rows, k=6)
    assert batch["features"].shape == (batch["offsets"][-1], 4)
    assert {
        name: batch[name].dtype.name for name in ("offsets", "event_key", "features", "xyz", "neighbour", "track")
    } == {
        "offsets": "int64",
        "event_key": "uint64",
        "features": "float32",
        "xyz": "float32",
        "neighbour": "int64",
        "track": "int64",
    }
    np.testing.assert_array_equal(batch["event_key"], [key64(events[row]["event_id"]) for row in rows])
    for number, row in enumerate(rows):
        start, stop = batch["offsets"][number : number + 2]
        alone = collate_sequences(store, [row], k=6)
        for name in ("features", "xyz", "track", "pid", "noise"):
            np.testing.assert_array_equal(batch[name][start:stop], alone[name])
        shifted = np.where(alone["neighbour"] >= 0, alone["neighbour"] + start, -1)
        np.testing.assert_array_equal(batch["neighbour"][start:stop], shifted)
        inside = shifted[shifted >= 0]
        assert inside.min() >= start
        assert inside.max() < stop


def test_neighbours_are_the_same_cached_shortened_or_computed_on_the_fly(tmp_path):
    events = make_events(4)
    cached = build(tmp_path / "with", events, SerializationConfig(), TargetConfig(k=8))
    without = build(tmp_path / "without", events, SerializationConfig(), TargetConfig(objective="next_token", k=8))
    assert without[0]["neighbour"] is None
    full = collate_sequences(cached, range(4))["neighbour"]
    assert full.shape[1] == 8
    np.testing.assert_array_equal(collate_sequences(without, range(4), k=8)["neighbour"], full)
    np.testing.assert_array_equal(collate_sequences(cached, range(4), k=3)["neighbour"], full[:, :3])
    longer = collate_sequences(cached, range(4), k=11)["neighbour"]
    np.testing.assert_array_equal(longer[:, :8], full)
    other = collate_sequences(cached, range(4), k=8, candidates="later_index")["neighbour"]
    assert not np.array_equal(other, full)
    np.testing.assert_array_equal(
        other[: cached.lengths[0]],
        next_neighbours(collate_sequences(cached, [0])["features"], 8, SPHENIX, candidates="later_index"),
    )
    assert "neighbour" not in collate_sequences(cached, range(4), k=0)


def test_unlabelled_events_have_no_label_columns(tmp_path):
    store = build(tmp_path / "cache", make_events(3), SerializationConfig(), TargetConfig(k=2), labelled=False)
    assert store[0]["track"] is None
    assert not {"track", "pid", "noise"} & set(collate_sequences(store, [0, 1], k=2))


def test_neighbours_that_are_not_stored_are_found_in_the_batch(tmp_path):
    config, targets = SerializationConfig(), TargetConfig(k=5)
    stored = build(tmp_path / "stored", make_events(6), config, targets)
    table, edges = tmp_path / "stored.parquet", tmp_path / "stored/edges.json"
    (tmp_path / "loader").mkdir()
    write_part(table, edges, tmp_path / "loader/part0.arrow", config, targets, stored=False)
    write_manifest(tmp_path / "loader", name="toy", edges=edges)
    loader = PreparedStore(tmp_path / "loader")
    assert all(loader.value(row, "neighbour") is None for row in range(6))
    assert loader.settings == stored.settings, "one cache, whichever way it is made"
    for k in (5, 2):
        first, second = (collate_sequences(store, [0, 3, 5], k) for store in (stored, loader))
        assert first.keys() == second.keys()
        for name in first:
            np.testing.assert_array_equal(np.asarray(first[name]), np.asarray(second[name]))
