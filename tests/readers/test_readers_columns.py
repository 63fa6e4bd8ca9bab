"""The reader `columns`: one table of hits gives the same events out of every format, order, unit and kind of id."""

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from columnfiles import DETECTOR, LISTS, ROWS, SIZES, detector_for, hits, write_hits
from tpcfm.detectors.model import Detector
from tpcfm.errors import ConfigError, DataError
from tpcfm.events.job import ingest_file
from tpcfm.readers.registry import open_raw

CLASSES = {2212: 0, 211: 1, -211: 1, 11: 2, 13: 0}


def ingest(path, values, folder):
    """The rows of the event table, the rejected rows, and the summary."""
    out, rejected = folder / "p.parquet", folder / "p.rejected.parquet"
    summary = ingest_file(path, Detector.model_validate(values), "set", out, rejected, lambda _: "train")
    return pq.read_table(out).to_pylist(), pq.read_table(rejected).to_pylist(), summary


def read_ids(ids):
    """Ids as they are read: as they are if 32 bits hold all of the event, else numbered."""
    return ids.tolist() if ids.max() < 2**31 else renumbered(ids)


def renumbered(ids):
    """Ids numbered anew: 0 is noise, the others count from 1 in ascending order."""
    others = sorted({int(i) for i in ids} - {0})
    return [0 if i == 0 else others.index(int(i)) + 1 for i in ids]


def check(rows, table, labels=True):
    for row, (_, event) in zip(rows, table.groupby("event_id", sort=False), strict=True):
        for axis in "xyz":
            assert np.allclose(row[axis], event[f"hit_{axis}"] / 10, rtol=1e-6)
        assert row["charge"] == event["adc"].tolist()
        assert row["track"] == (read_ids(event["particle_id"]) if labels else None)
        assert row["pid"] == ([CLASSES[code] for code in event["pdg"]] if labels else None)


@pytest.mark.parametrize("name", [*ROWS, *LISTS, *SIZES])
def test_every_format_gives_the_same_events(tmp_path, name):
    table = hits()
    rows, rejected, summary = ingest(write_hits(tmp_path, name, table), detector_for(name), tmp_path)
    assert (len(rows), rejected) == (7, [])
    check(rows, table)
    assert summary["revision"].split()[1] == ("lists" if name in LISTS else "rows")


@pytest.mark.parametrize("name", [*ROWS, *LISTS, *SIZES])
def test_absent_labels_are_null_and_a_missing_coordinate_lists_what_there_is(tmp_path, name):
    table = hits().drop(columns=["particle_id", "pdg"])
    rows, _, _ = ingest(write_hits(tmp_path, name, table), detector_for(name), tmp_path)
    check(rows, table, labels=False)
    path = write_hits(tmp_path, name, table.rename(columns={"hit_y": "hit_why"}))
    with pytest.raises(DataError, match=r"no column 'hit_y' for y .*there are .*hit_why"):
        ingest(path, detector_for(name), tmp_path)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**16),
    name=st.sampled_from(["rows.parquet", "rows.csv", "rows.npz", "rows.h5"]),
    ids=st.sampled_from(["i2", "u8", "float", "text", "pair"]),
    shuffled=st.booleans(),
)
def test_any_order_of_rows_and_any_kind_of_event_id(tmp_path, seed, name, ids, shuffled):
    table, event = hits(seed, events=4, mean=12), "event_id"
    if ids == "text":
        table["event_id"] = [f"run{i:03d}" for i in table["event_id"]]
    elif ids == "pair":
        table["run"], table["event_id"], event = table["event_id"] // 10, table["event_id"] % 10, ["run", "event_id"]
    else:
        table["event_id"] = table["event_id"].astype(ids)
    given_rows = table.sample(frac=1, random_state=seed % 1000) if shuffled else table
    if name == "rows.h5" and ids == "text":
        name = "rows.parquet"
    rows, _, _ = ingest(write_hits(tmp_path, name, given_rows), detector_for(name, event=event), tmp_path)
    key = ["run", "event_id"] if ids == "pair" else ["event_id"]
    ordered = given_rows.sort_values(key, kind="stable")
    check(rows, ordered.assign(event_id=ordered[key].astype(str).sum(axis=1)))


@pytest.mark.parametrize(("unit", "factor"), [("mm", 10), ("cm", 1), ("m", 0.01), ("um", 1e4)])
def test_units_are_converted(tmp_path, unit, factor):
    table = hits()
    for axis in "xyz":
        table[f"hit_{axis}"] *= factor / 10
    path = write_hits(tmp_path, "rows.parquet", table)
    rows, _, _ = ingest(path, detector_for("rows.parquet", unit=unit), tmp_path)
    check(rows, hits())
    one = detector_for("rows.parquet", unit="cm", units=dict.fromkeys("xyz", unit))
    assert ingest(path, one, tmp_path)[0] == rows


def test_signals_convert_scale_or_are_constant(tmp_path):
    path = write_hits(tmp_path, "rows.parquet", hits())
    values = detector_for("rows.parquet", units={"charge": 0.5})
    half = ingest(path, values, tmp_path)[0]
    assert half[0]["charge"] == (hits()["adc"][: len(half[0]["charge"])] / 2).tolist()
    values = detector_for("rows.parquet", constants={"charge": 1.0})
    assert set(ingest(path, values, tmp_path)[0][0]["charge"]) == {1.0}
    nothing = {**values, "signal": [], "read": {**values["read"], "constants": {}}}
    nothing["read"]["columns"] = {k: v for k, v in values["read"]["columns"].items() if k != "charge"}
    assert "charge" not in ingest(path, nothing, tmp_path)[0][0]
    energy = {**values, "signal": [{"name": "charge", "unit": "MeV"}]}
    energy["read"] = {**DETECTOR["read"], "units": {"charge": "keV"}}
    assert ingest(path, energy, tmp_path)[0][0]["charge"] == pytest.approx(
        [x / 1000 for x in hits()["adc"][: len(half[0]["charge"])]]
    )


def test_a_file_without_an_event_column_is_one_event(tmp_path):
    path = write_hits(tmp_path, "rows.parquet", hits().drop(columns="event_id"))
    rows, _, _ = ingest(path, detector_for("rows.parquet", event=None), tmp_path)
    assert (len(rows), rows[0]["n_points"]) == (1, len(hits()))


def test_ids_that_fit_keep_their_value_and_text_is_numbered(tmp_path):
    table = hits()
    table["particle_id"] = np.where(table["particle_id"] == 0, 0, 40 + table["particle_id"] % 7).astype(np.int64)
    path = write_hits(tmp_path, "rows.csv", table)
    rows, _, _ = ingest(path, detector_for("rows.csv"), tmp_path)
    assert rows[2]["track"] == table["particle_id"][table["event_id"] == 11].tolist()
    again = ingest(path, detector_for("rows.csv", renumber=True), tmp_path)[0]
    assert again[2]["track"] == renumbered(rows[2]["track"])
    table["particle_id"] = [f"mu{i}" if i else "noise" for i in table["particle_id"]]
    path = write_hits(tmp_path, "rows.csv", table)
    named = detector_for("rows.csv", values={**DETECTOR["read"]["values"], "track": {"noise": 0}})
    assert ingest(path, named, tmp_path)[0] == again


def test_text_classes_go_by_the_names_of_the_classes(tmp_path):
    table = hits()
    table["pdg"] = table["pdg"].map({2212: "other", 211: "pion", -211: "pion", 11: "electron", 13: "other"})
    path = write_hits(tmp_path, "rows.parquet", table)
    rows, _, _ = ingest(path, detector_for("rows.parquet", values={}), tmp_path)
    check(rows, hits())


def test_damaged_events_are_rejected_with_their_reason(tmp_path):
    table = hits()
    starts = np.searchsorted(table["event_id"], np.unique(table["event_id"]))
    table.loc[starts[0], "hit_x"] = np.nan
    table.loc[starts[1] + 1, "hit_z"] = 1e6
    table.loc[starts[2], "adc"] = -4
    table.loc[starts[3] + 2, ["hit_x", "hit_y"]] = 1.0
    path = write_hits(tmp_path, "rows.parquet", table)
    values = detector_for("rows.parquet", values={"pid": {211: 1, -211: 1, 11: 2, 2212: 0}})
    table.loc[table["event_id"] != 17, "pdg"] = 11
    path = write_hits(tmp_path, "rows.parquet", table)
    rows, rejected, summary = ingest(path, values, tmp_path)
    assert [row["event_id"] for row in rows] == ["set/p/5", "set/p/6"]
    reasons = [row["reason"] for row in rejected]
    assert [row["row"] for row in rejected] == [0, 1, 2, 3, 4]
    for reason, text in zip(reasons, ["radius: 1 of", "z: 1 of", "charge: 1 of", "radius: 1 of", "pid: "], strict=True):
        assert reason.startswith(text)
    assert "from -260 to 260; the first is (100000) at 1" in reasons[1]
    assert "none of the values mapped" in reasons[4]
    assert summary["rejected"] == 5


def test_classes_are_constant_within_objects_but_not_within_background(tmp_path):
    values = detector_for("rows.parquet")
    values["labels"] = {**values["labels"], "pid": {**values["labels"]["pid"], "constant_in": "track"}}
    table = hits()
    table.loc[table["particle_id"] == 0, "pdg"] = np.resize([11, 211, 13], (table["particle_id"] == 0).sum())
    rows, _, _ = ingest(write_hits(tmp_path, "rows.parquet", table), values, tmp_path)
    check(rows, table)
    table.loc[table.index[table["particle_id"] == 17][0], "pdg"] = 2212
    rows, rejected, _ = ingest(write_hits(tmp_path, "rows.parquet", table), values, tmp_path)
    assert [row["row"] for row in rejected] == [0]
    assert "unlike the first point of their track" in rejected[0]["reason"]


def test_lattices_want_whole_numbers_and_no_voxel_twice(tmp_path):
    table = pd.DataFrame({"event": [0, 0, 1, 1, 2, 2], "x": [4, 8.0, 4, 4, 5, 8], "y": 4.0, "z": 2044.0, "q": 1})
    values = {
        "name": "grid",
        "coordinates": {"unit": "voxel", "voxel_cm": 0.4, "type": "int16"},
        "volume": {"shape": "box", "x": [0, 256], "y": [0, 256], "z": [0, 512]},
        "pitch": 1.0,
        "signal": [{"name": "q"}],
        "read": {"event": "event", "unit": "mm"},
    }
    table.to_parquet(tmp_path / "a.parquet")
    rows, rejected, _ = ingest(tmp_path / "a.parquet", values, tmp_path)
    assert (rows[0]["x"], rows[0]["z"]) == ([1, 2], [511, 511])
    assert [row["reason"].split(";")[0] for row in rejected] == [
        "x: 1 of 2 are in voxels that occur before in the event",
        "x: 1 of 2 are not whole numbers",
    ]
    table["z"] = 2048.0
    table.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"not one good event among 3.*not from 0 to 511"):
        ingest(tmp_path / "a.parquet", values, tmp_path)


def test_lists_of_unequal_length_are_rejected(tmp_path):
    table = pq.read_table(write_hits(tmp_path, "lists.parquet", hits()))
    ids = table["particle_id"].to_pylist()
    ids[3] = ids[3][:-1]
    pq.write_table(
        table.set_column(
            table.schema.get_field_index("particle_id"), "particle_id", pa.array(ids, pa.list_(pa.uint64()))
        ),
        tmp_path / "a.parquet",
    )
    rows, rejected, _ = ingest(tmp_path / "a.parquet", detector_for("lists.parquet"), tmp_path)
    assert len(rows) == 6
    assert [row["row"] for row in rejected] == [3]
    assert rejected[0]["reason"].startswith("track: ")


def test_events_without_points_are_rejected_and_shift_nothing(tmp_path):
    table = hits()
    sizes = table.groupby("event_id").size().to_numpy()
    arrays = {name: table[name].to_numpy() for name in table.columns if name != "event_id"}
    np.savez(tmp_path / "a.npz", size=np.insert(sizes, [2, 7], 0), **arrays)
    rows, rejected, _ = ingest(tmp_path / "a.npz", detector_for("sizes.npz"), tmp_path)
    assert [row["row"] for row in rejected] == [2, 8]
    assert [int(row["event_id"].split("/")[-1]) for row in rows] == [0, 1, 3, 4, 5, 6, 7]
    check(rows, table)
    np.savez(tmp_path / "a.npz", size=sizes[:-1], **arrays)
    with pytest.raises(DataError, match=r"'size' adds up to \d+ points, there are"):
        ingest(tmp_path / "a.npz", detector_for("sizes.npz"), tmp_path)


def test_companions_hold_further_columns_of_the_same_rows(tmp_path):
    table = hits()
    table.drop(columns=["particle_id", "pdg"]).to_csv(tmp_path / "run1-hits.csv", index=False)
    values = detector_for("rows.csv", companions=[{"replace": "-hits", "by": "-truth"}])
    check(ingest(tmp_path / "run1-hits.csv", values, tmp_path)[0], table, labels=False)
    table[["particle_id", "pdg"]].to_csv(tmp_path / "run1-truth.csv", index=False)
    check(ingest(tmp_path / "run1-hits.csv", values, tmp_path)[0], table)
    shuffled = table.sample(frac=1, random_state=1)
    shuffled.drop(columns=["particle_id", "pdg"]).to_csv(tmp_path / "run1-hits.csv", index=False)
    shuffled[["particle_id", "pdg"]].to_csv(tmp_path / "run1-truth.csv", index=False)
    check(ingest(tmp_path / "run1-hits.csv", values, tmp_path)[0], shuffled.sort_values("event_id", kind="stable"))
    table[["particle_id", "pdg"]][:-1].to_csv(tmp_path / "run1-truth.csv", index=False)
    with pytest.raises(DataError, match=r"companion .* has fewer rows"):
        ingest(tmp_path / "run1-hits.csv", values, tmp_path)


def test_tables_of_objects(tmp_path):
    table = hits()
    particles = table.loc[table["particle_id"] != 0, ["event_id", "particle_id"]].drop_duplicates()
    particles["px"] = np.arange(len(particles)) / 8
    values = detector_for("rows.h5", table="hits", objects={"particle": {"table": "particles"}})
    values["read"]["columns"] = {**values["read"]["columns"], "particle_id": "particle_id", "particle_px": "px"}
    values["objects"] = {
        "particle": {"instances": "track", "columns": {"id": {"type": "int32"}, "px": {"unit": "GeV/c"}}}
    }
    path = write_hits(tmp_path, "rows.h5", table)
    with h5py.File(path, "a") as file:
        for name in particles:
            file[f"particles/{name}"] = particles[name].sample(frac=1, random_state=3).to_numpy()
    rows, _, _ = ingest(path, values, tmp_path)
    for row, (_, event), (_, truth) in zip(rows, table.groupby("event_id"), particles.groupby("event_id"), strict=True):
        known = dict(zip(renumbered(event["particle_id"]), event["particle_id"]))
        found = {int(known[i]): p for i, p in zip(row["particle_id"], row["particle_px"])}
        assert found == dict(zip(map(int, truth["particle_id"]), truth["px"]))


@pytest.mark.parametrize(
    ("read", "text"),
    [
        ({"unit": "inch"}, "'inch' cannot be converted to 'cm'; known are mm, cm"),
        ({"units": {"charge": "keV"}}, "'keV' cannot be converted to 'ADC'"),
        ({"units": {"energy": 2.0}}, "read.units.energy: no such column of the detector"),
        ({"colums": {}}, "colums: unknown key; allowed here: columns, companions"),
        ({"sizes": "a", "event": "b"}, "give one of event, sizes and offsets"),
        ({"constants": {"track": 1}}, "read.constants.track: no such column"),
    ],
)
def test_mistakes_in_the_mapping_name_the_key(tmp_path, read, text):
    path = write_hits(tmp_path, "rows.parquet", hits())
    with pytest.raises(ConfigError) as caught:
        ingest(path, {**DETECTOR, "read": read}, tmp_path)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("read", "text"),
    [
        ({"event": "evt"}, "no column 'evt', which tells the events apart; there are event_id, hit_x"),
        ({"table": "hits"}, "Parquet and Feather hold one table"),
        ({"layout": "lists"}, "column 'hit_x' (x) holds one value per row, expected lists"),
    ],
)
def test_mistakes_about_the_file_name_what_there_is(tmp_path, read, text):
    path = write_hits(tmp_path, "rows.parquet", hits())
    with pytest.raises(DataError) as caught:
        ingest(path, detector_for("rows.parquet", **read), tmp_path)
    assert text in str(caught.value)


@pytest.mark.parametrize("name", [*ROWS, *LISTS, *SIZES])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_file_cut_short_names_itself(tmp_path, name, share):
    """CSV keeps no mark of its end: there the last event may be short."""
    path = write_hits(tmp_path, name, hits())
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    if name == "rows.csv" and share:
        return
    with pytest.raises(DataError, match=name):
        ingest(path, detector_for(name), tmp_path / "out")
    assert not list((tmp_path / "out").glob("*"))


def test_python_objects_in_npz_are_never_loaded(tmp_path):
    table = hits()
    arrays = {name: table[name].to_numpy() for name in table.columns}
    np.savez(tmp_path / "a.npz", **{**arrays, "event_id": np.array([{"a": 1}] * len(table), object)})
    with pytest.raises(DataError, match=r"'event_id'.*holds Python objects"):
        ingest(tmp_path / "a.npz", detector_for("rows.npz"), tmp_path)


def test_a_changed_name_in_the_directory_of_an_npz_is_found(tmp_path):
    """No checksum covers it, and a label of another name would be read as no label."""
    path = write_hits(tmp_path, "rows.npz", hits())
    content = path.read_bytes()
    at = content.rindex(b"particle_id.npy")
    path.write_bytes(content[:at] + b"particle_ie.npy" + content[at + 15 :])
    with pytest.raises(DataError, match=r"rows\.npz: not a readable npz .*particle_i"):
        ingest(path, detector_for("rows.npz"), tmp_path)


def test_reading_streams_where_events_lie_together(tmp_path, monkeypatch):
    """The sorted reading is not touched, and blocks are bounded."""
    monkeypatch.setattr("tpcfm.readers.columns.reader.in_order", None)
    monkeypatch.setattr("tpcfm.readers.columns.arrow.ROWS", 50)
    path = write_hits(tmp_path, "rows.parquet", hits(events=40))
    with open_raw(path, Detector.model_validate(detector_for("rows.parquet"))) as reader:
        blocks = list(reader.blocks())
        assert reader.events == 40
    assert len(blocks) > 15
    assert [int(row) for block in blocks for row in block.rows] == list(range(40))
    check(ingest(path, detector_for("rows.parquet"), tmp_path)[0], hits(events=40))


@pytest.mark.parametrize(("name", "form"), [("a.csv", "csv"), ("a.parquet", "parquet")])
@pytest.mark.parametrize("column", ["hit_x", "pdg"])
def test_a_name_that_two_columns_have_is_refused_where_it_is_wanted(tmp_path, name, form, column):
    """Which of the two is meant cannot be known; a repeated column that nobody asks for does no harm."""
    table = hits()
    twice = pa.table(
        [*pa.Table.from_pandas(table, preserve_index=False).columns, pa.array(table["adc"])], [*table.columns, column]
    )
    for names, good in [(twice.column_names, False), ([*table.columns[:-1], "spare", "spare"], True)]:
        renamed = twice.rename_columns(names)
        pq.write_table(renamed, tmp_path / name) if form == "parquet" else csv.write_csv(renamed, tmp_path / name)
        if good:
            assert len(ingest(tmp_path / name, detector_for("rows.parquet"), tmp_path)[0]) == 7
            continue
        with pytest.raises(DataError, match=rf"{name}: several columns are named '{column}'"):
            ingest(tmp_path / name, detector_for("rows.parquet"), tmp_path)
