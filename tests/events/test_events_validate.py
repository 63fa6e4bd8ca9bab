"""`tpcfm validate` names file, event and column of every deviation of raw files and event tables, and passes good ones."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from rawfiles import collider_shard, lartpc_event, write_pilarnet, write_tpcpp
from tpcfm.cli.main import _register, app
from tpcfm.errors import DataError
from tpcfm.events.job import ingest_file
from tpcfm.events.manifest import collect_events
from tpcfm.events.validate import about, validate_file
from tpcfm.readers.registry import recognise


@pytest.fixture
def table(tmp_path):
    events = [lartpc_event(np.random.default_rng(i)) for i in range(6)]
    out = tmp_path / "e" / "p.parquet"
    path = write_pilarnet(tmp_path / "a.h5", events, 6, 5)
    ingest_file(path, "pilarnet", "set", out, out.with_name("p.rejected.parquet"), lambda _: "train")
    return out


@pytest.fixture
def tpcfm():
    if not app.registered_commands:
        _register()
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def change(path, name, event, edit):
    """Rewrite one column of an event table."""
    table = pq.read_table(path)
    rows = table[name].to_pylist()
    rows[event] = edit(rows[event])
    place = table.schema.get_field_index(name)
    column = pa.array(rows, table.schema.field(name).type)
    pq.write_table(table.set_column(place, table.schema.field(name), column), path)


def test_good_files_have_no_findings(tmp_path, table):
    shard = write_tpcpp(tmp_path, collider_shard(np.random.default_rng(0)))
    collect_events("set", table.parent, table.with_name("manifest.json"))
    for path in (tmp_path / "a.h5", shard, table, table.with_name("p.rejected.parquet")):
        assert list(validate_file(path)) == []
    assert [recognise(path).name for path in (tmp_path / "a.h5", shard)] == ["pilarnet", "sphenix"]
    with pytest.raises(DataError, match="no raw file that is known by itself"):
        recognise(table)


def test_every_deviation_of_a_raw_file_is_named(tmp_path):
    events = [lartpc_event(np.random.default_rng(i)) for i in range(5)]
    events[1]["point"][4, 3] = np.nan
    events[1]["cluster"][2, 4] = 9
    events[3]["point"][4, 0] = 900
    found = list(validate_file(write_pilarnet(tmp_path / "a.h5", events, 6)))
    assert sorted((item.event, item.column) for item in found) == [
        ("1", "cluster.semantic"),
        ("1", "point.energy"),
        ("3", "point.xyz"),
    ]
    assert all(str(item).startswith(f"{tmp_path / 'a.h5'}: event ") for item in found)


@pytest.mark.parametrize(
    ("column", "edit", "text"),
    [
        ("x", lambda x: [768, *x[1:]], "not from 0 to 767; the first is (768) at 0"),
        ("energy", lambda x: [float("nan"), *x[1:]], "the first is (nan) at 0"),
        ("semantic", lambda x: [5, *x[1:]], "outside 0 to 4; the first is (5)"),
        ("y", lambda x: x[:-1], "values, expected 320"),
        ("n_points", lambda x: x + 1, "values, expected 321"),
        ("cluster_size", lambda x: [x[0] + 1, *x[1:]], "adds up to 321, n_points is 320"),
        ("cluster_vertex", lambda x: x[:-2], "values, expected 21"),
        ("split", lambda _: "dev", "'dev', allowed: train, validation, test"),
        ("event_id", lambda _: "set/p/0", "occurs twice"),
    ],
)
def test_every_deviation_of_a_table_is_named(table, column, edit, text):
    change(table, column, 2, edit)
    found = list(validate_file(table))
    assert any(text in item.reason for item in found)
    assert {item.event for item in found} == {"set/p/0" if column == "event_id" else "set/p/2"}


def test_partly_null_columns_and_foreign_tables(table):
    change(table, "pid", 2, lambda _: None)
    assert [item.reason for item in validate_file(table)] == ["null in 1 of 6 events, not in all"]
    pq.write_table(pq.read_table(table).drop_columns(["group"]), table)
    assert "lacks the column 'group'" in str(next(validate_file(table)))
    pq.write_table(pa.table({"a": [1]}), table)
    assert "not an event table" in str(next(validate_file(table)))


def test_a_table_that_differs_from_the_manifest(table):
    collect_events("set", table.parent, table.with_name("manifest.json"))
    change(table, "energy", 0, lambda x: [x[0] + 1, *x[1:]])
    (found,) = validate_file(table)
    assert "differs from its checksum" in found.reason


def test_damaged_files_give_one_finding_each(tmp_path, table):
    content = bytearray(table.read_bytes())
    content[200:400] = bytes(200)
    table.write_bytes(content)
    assert any("cannot be read" in item.reason for item in validate_file(table))
    for name, start in (
        ("a.h5", b"\x89HDF\r\n\x1a\n"),
        ("b.npz", b"PK\x03\x04"),
        ("c.parquet", b"PAR1"),
        ("d.txt", b"text"),
    ):
        (tmp_path / name).write_bytes(start + json.dumps({}).encode() * 50)
        (found,) = validate_file(tmp_path / name)
        assert found.file == str(tmp_path / name)
    (found,) = validate_file(tmp_path / "missing.h5")
    assert found.reason == "no such file"


def test_companions_are_named_as_what_they_are(tmp_path, table, tpcfm):
    shard = write_tpcpp(tmp_path, collider_shard(np.random.default_rng(0)))
    np.save(tmp_path / "a_points.npy", np.zeros((6, 1)))
    collect_events("set", table.parent, table.with_name("manifest.json"))
    table.with_name("p.statistics.json").write_text("{}")
    said = {
        tmp_path / "track_ids.npz": "labels of spacepoints.npz",
        tmp_path / "a_points.npy": "point counts of a.h5",
        table.with_name("manifest.json"): "manifest of its folder",
        table.with_name("p.statistics.json"): "statistics of p.parquet",
        table.with_name("p.rejected.parquet"): "table of rejected events: empty, none was rejected",
    }
    for path, text in said.items():
        assert list(validate_file(path)) == []
        assert text in about(path)
    assert about(shard) == about(table) == ""
    result = tpcfm("validate", *map(str, said))
    assert result.exit_code == 0
    assert "deviation" not in result.stdout
    assert result.stdout.count(": ok (") == len(said)


def test_a_companion_alone_is_a_deviation_and_one_is_not_many(tmp_path, tpcfm):
    write_tpcpp(tmp_path, collider_shard(np.random.default_rng(0))).unlink()
    result = tpcfm("validate", str(tmp_path / "pid_labels.npz"))
    assert result.exit_code == 1
    assert "belongs to spacepoints.npz, which is not beside it" in result.stdout
    assert result.stdout.endswith("pid_labels.npz: 1 deviation\n")
    assert "a folder; name the files in it" in tpcfm("validate", str(tmp_path)).stdout


@pytest.mark.parametrize(
    ("detector", "other", "text"), [("sphenix", "pilarnet", "named spacepoints"), ("pilarnet", "sphenix", "HDF5")]
)
def test_ingest_names_the_format_that_a_detector_needs(tmp_path, tpcfm, detector, other, text):
    raw = {"pilarnet": write_pilarnet(tmp_path / "a.h5", [lartpc_event(np.random.default_rng(0))], 6)}
    raw["sphenix"] = write_tpcpp(tmp_path, collider_shard(np.random.default_rng(0)))
    outputs = ["--out", str(tmp_path / "o.parquet"), "--rejected", str(tmp_path / "o.rejected.parquet")]
    result = tpcfm("ingest", str(raw[other]), "--detector", detector, "--dataset", "d", *outputs)
    assert raw[other].name in str(result.exception)
    assert text in str(result.exception)
    good = tpcfm("ingest", str(raw[other]), "--detector", other, "--dataset", "d", *outputs)
    assert good.exit_code == 0
    assert "no event rejected" in good.stdout
    again = tpcfm("ingest", outputs[1], "--detector", other, "--dataset", "d", *outputs)
    assert "needed is a raw file" in str(again.exception)
