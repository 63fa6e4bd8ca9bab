"""The job of one raw file and the collection of a dataset: same bytes again, exact counts, mergeable statistics, the command line."""

import json
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

from rawfiles import collider_shard, lartpc_event, write_pilarnet, write_tpcpp
from tpcfm.config.splits import hash_split
from tpcfm.detectors.registry import built_in, load_detector
from tpcfm.errors import ConfigError, DataError, MachineError
from tpcfm.events.histogram import Histogram, integer_edges, octave_edges
from tpcfm.events.job import ingest_file
from tpcfm.events.manifest import collect_events
from tpcfm.events.schema import event_schema
from tpcfm.events.statistics import Statistics, columns_of, training_events
from tpcfm.files import sha256


def split(event_id: str) -> str:
    return hash_split(event_id, 0.3, 0.2)


def ingest(path, detector, folder, part, **more):
    return ingest_file(
        path,
        detector,
        "set",
        folder / f"{part}.parquet",
        folder / f"{part}.rejected.parquet",
        split,
        folder / f"{part}.statistics.json",
        **more,
    )


@pytest.fixture
def lartpc(tmp_path):
    """Two parts, of 9 and 5 events, with one rejected event each."""
    rng = np.random.default_rng(8)
    for part, count in (("a", 10), ("b", 6)):
        events = [lartpc_event(rng) for _ in range(count)]
        events[3]["point"][0, 3] = np.nan
        ingest(write_pilarnet(tmp_path / f"{part}.h5", events, 6, 5), "pilarnet", tmp_path / "events", part)
    return tmp_path / "events"


def test_the_same_file_gives_the_same_bytes(tmp_path):
    rng = np.random.default_rng(9)
    path = write_pilarnet(tmp_path / "a.h5", [lartpc_event(rng) for _ in range(20)], 6, 6)
    shard = write_tpcpp(tmp_path, collider_shard(rng))
    for source, detector in ((path, "pilarnet"), (shard, "sphenix")):
        ingest(source, detector, tmp_path / "one", "p")
        ingest(source, detector, tmp_path / "two", "p")
        for name in ("p.parquet", "p.rejected.parquet", "p.statistics.json"):
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_units_and_frames_are_in_the_field_metadata(lartpc):
    schema = pq.read_schema(lartpc / "a.parquet")
    assert schema.field("energy").metadata[b"unit"] == b"MeV"
    assert b"768" in schema.field("x").metadata[b"frame"]
    assert schema.metadata[b"tpcfm.source"] == b"a.h5"
    for name in built_in():
        assert all({b"unit", b"frame"} <= set(field.metadata) for field in event_schema(load_detector(name)))


def test_manifest_adds_up_and_is_the_same_with_and_without_summaries(lartpc):
    manifest = collect_events("set", lartpc, lartpc / "manifest.json")
    assert json.loads((lartpc / "manifest.json").read_text()) == manifest
    assert [part["part"] for part in manifest["parts"]] == ["a", "b"]
    assert (manifest["events"], manifest["rejected"]) == (14, 2)
    assert manifest["rejected_columns"] == {"point.energy": 2}
    tables = [pq.read_table(lartpc / f"{part}.parquet") for part in "ab"]
    assert manifest["points"] == sum(sum(table["n_points"].to_pylist()) for table in tables)
    drawn = [name for table in tables for name in table["split"].to_pylist()]
    assert manifest["splits"] == {name: drawn.count(name) for name in ("train", "validation", "test")}
    assert manifest["parts"][1]["sha256"] == sha256(lartpc / "b.parquet")
    for part in "ab":
        (lartpc / f"{part}.statistics.json").unlink()
    again = collect_events("set", lartpc, lartpc / "manifest.json")
    assert again["fingerprint"] == manifest["fingerprint"]
    assert again["statistics"]["classes"] == manifest["statistics"]["classes"]
    for name, histogram in manifest["statistics"]["histograms"].items():
        other = again["statistics"]["histograms"][name]
        assert (other["counts"], other["n"]) == (histogram["counts"], histogram["n"])
        assert other["mean"] == pytest.approx(histogram["mean"])


def test_a_changed_event_changes_the_fingerprint(lartpc, tmp_path):
    before = collect_events("set", lartpc, lartpc / "manifest.json")["fingerprint"]
    rng = np.random.default_rng(10)
    ingest(write_pilarnet(tmp_path / "b.h5", [lartpc_event(rng)], 6, 5), "pilarnet", lartpc, "b")
    assert collect_events("set", lartpc, lartpc / "manifest.json")["fingerprint"] != before


def test_a_stale_summary_is_not_believed(lartpc):
    expected = collect_events("set", lartpc, lartpc / "manifest.json")["statistics"]["classes"]
    summary = json.loads((lartpc / "a.statistics.json").read_text())
    summary["bytes"] += 1
    summary["statistics"]["classes"]["semantic"]["0"] += 1000
    (lartpc / "a.statistics.json").write_text(json.dumps(summary))
    assert collect_events("set", lartpc, lartpc / "manifest.json")["statistics"]["classes"] == expected


def test_folders_that_cannot_be_collected(lartpc, tmp_path):
    with pytest.raises(DataError, match="belongs to the dataset 'set', not to 'other'"):
        collect_events("other", lartpc, tmp_path / "m.json")
    with pytest.raises(DataError, match="no event tables"):
        collect_events("set", tmp_path / "nowhere", tmp_path / "m.json")
    ingest(write_tpcpp(tmp_path / "raw", collider_shard(np.random.default_rng(0))), "sphenix", lartpc, "c")
    with pytest.raises(DataError, match="different detectors: "):
        collect_events("set", lartpc, tmp_path / "m.json")
    (lartpc / "c.parquet").unlink()
    (lartpc / "b.rejected.parquet").unlink()
    with pytest.raises(DataError, match=r"b\.rejected\.parquet: missing"):
        collect_events("set", lartpc, tmp_path / "m.json")
    (lartpc / "a.parquet").write_bytes((lartpc / "a.parquet").read_bytes()[:-20])
    with pytest.raises(DataError, match=r"a\.parquet: not a readable Parquet file"):
        collect_events("set", lartpc, tmp_path / "m.json")


def test_statistics_agree_with_a_plain_count(lartpc):
    table = pq.read_table(lartpc / "a.parquet")
    statistics = Statistics(load_detector("pilarnet"))
    training = training_events(table["split"].to_pylist())
    statistics.add(columns_of(table), training)
    found = statistics.to_json()
    rows = table.to_pylist()
    energy = np.concatenate([np.float32(row["energy"]) for row in rows])
    semantic = np.concatenate([row["semantic"] for row in rows])
    assert list(found["classes"]["semantic"].values()) == np.bincount(semantic, minlength=5).tolist()
    kept = (semantic != 4) & (energy > 0.13)
    assert list(found["kept"]["semantic"].values()) == np.bincount(semantic[kept], minlength=5).tolist()
    histogram = found["histograms"]["energy"]
    assert histogram["mean"] == pytest.approx(energy.mean(dtype=np.float64))
    assert histogram["std"] == pytest.approx(energy.std(dtype=np.float64))
    assert histogram["counts"] == np.histogram(energy, histogram["edges"])[0].tolist()
    groups = [len({group for group in row["group"] if group >= 0}) for row in rows]
    assert found["histograms"]["groups_per_event"]["sum"] == sum(groups)
    assert found["histograms"]["points_per_fragment"]["sum"] == (semantic != 4).sum()
    assert found["histograms"]["kept_per_event"]["sum"] == kept.sum()
    assert found["ranges"]["z"] == [min(min(row["z"]) for row in rows), max(max(row["z"]) for row in rows)]
    trained = np.concatenate([np.float32(row["energy"]) for row in rows if row["split"] == "train"]).astype(np.float64)
    assert 0 < len(trained) < len(energy)
    assert found["training"]["energy"]["n"] == len(trained)
    assert found["training"]["energy"]["sum"] == pytest.approx(trained.sum())
    assert found["training"]["energy"]["squares"] == pytest.approx((trained**2).sum())


def test_collider_statistics_agree_with_a_plain_count(tmp_path):
    shard = collider_shard(np.random.default_rng(3))
    found = ingest(write_tpcpp(tmp_path, shard), "sphenix", tmp_path / "e", "p")["statistics"]
    event = np.repeat(np.arange(12), shard["track_ids"][1])
    pairs, sizes = np.unique(np.stack([event, shard["track_ids"][0]]), axis=1, return_counts=True)
    assert found["histograms"]["tracks_per_event"]["sum"] == pairs.shape[1]
    assert found["histograms"]["points_per_track"]["max"] == sizes.max()
    assert list(found["classes"]["pid"].values()) == np.bincount(shard["pid_labels"][0], minlength=5).tolist()
    assert found["classes"]["noise"]["1"] == shard["noise_tags"][0].sum()
    assert found["histograms"]["energy"]["mean"] == pytest.approx(shard["spacepoints"][0][:, 0].mean(dtype=np.float64))
    radius = np.hypot(*shard["spacepoints"][0][:, 1:3].T.astype(np.float64))
    histogram = found["histograms"]["radius"]
    assert histogram["counts"] == np.histogram(radius, histogram["edges"])[0].tolist()
    assert histogram["std"] == pytest.approx(radius.std())


def test_histograms_merge_and_count_what_lies_outside():
    values = np.float32([0.0, 1e-30, 0.5, 1.0, 1.124, 1.125, 7.99, 8.0, 1e9])
    whole, parts = Histogram(octave_edges(-2, 3)), Histogram(octave_edges(-2, 3))
    whole.add(values)
    fast = Histogram(octave_edges(-2, 3))
    chosen = fast.add_float32(values, np.array([0, 4, 9]), np.array([False, True]))
    assert chosen == pytest.approx((5, values[4:].sum(dtype=float), (values[4:].astype(float) ** 2).sum()))
    for piece in (values[:4], values[4:], values[:0]):
        one = Histogram(octave_edges(-2, 3))
        one.add(piece)
        parts.merge_json(json.loads(json.dumps(one.to_json())))
    assert whole.to_json() == fast.to_json() == parts.to_json()
    assert (whole.to_json()["below"], whole.to_json()["above"], whole.to_json()["n"]) == (2, 2, 9)
    with pytest.raises(DataError, match="different bins"):
        whole.merge_json(Histogram(integer_edges(3)).to_json())


def test_a_folder_that_cannot_be_written_is_a_machine_error(tmp_path):
    path = write_pilarnet(tmp_path / "a.h5", [lartpc_event(np.random.default_rng(0))], 6)
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="cannot write here"):
        ingest(path, "pilarnet", tmp_path / "file", "p")
    with pytest.raises(ConfigError, match="detector 'root': unknown; there are pilarnet, sphenix"):
        ingest(path, "root", tmp_path, "p")


def test_command_line(tmp_path, capsys, monkeypatch):
    from tpcfm.cli.main import main

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["tpcfm", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        return caught.value.code, capsys.readouterr()

    path = write_pilarnet(tmp_path / "val" / "a.h5", [lartpc_event(np.random.default_rng(i)) for i in range(3)], 6)
    out = tmp_path / "events"
    ask = ["ingest", path, "--detector", "pilarnet", "--dataset", "real", "--out", out / "a.parquet"]
    ask += ["--rejected", out / "a.rejected.parquet"]
    code, said = run(*ask, "--split-by", "published", "--statistics", out / "a.json")
    assert code == 0
    assert "3 events (0 train, 3 validation, 0 test)" in said.out
    code, said = run("collect", "events", "--dataset", "real", "--folder", out, "--out", out / "manifest.json")
    assert code == 0
    assert "1 parts, 3 events" in said.out
    code, said = run("validate", path, out / "a.parquet", out / "a.rejected.parquet")
    assert (code, said.out.count(": ok")) == (0, 3)
    assert run(*ask, "--validation", 0.9, "--test", 0.2)[0] == 2
    path.write_bytes(path.read_bytes()[:5000])
    code, said = run(*ask)
    assert code == 2
    assert "a.h5" in said.err
    assert "Traceback" not in said.err
    assert run("validate", path)[0] == 1
