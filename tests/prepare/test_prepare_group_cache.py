"""Guarantees of the groups cache: cached groups equal fresh ones, batches are packed right, the verbs report errors."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import event_tables
import tokenizer_twins as twins
from event_tables import PILARNET
from tpcfm import backends
from tpcfm.cli.prepare import app
from tpcfm.errors import ConfigError, DataError, MachineError
from tpcfm.files import key64, read_json
from tpcfm.prepare.cache import rejected_path, write_manifest
from tpcfm.prepare.groups.batches import collate_groups
from tpcfm.prepare.groups.cache import group_statistics, write_part
from tpcfm.prepare.groups.settings import TokenizerConfig
from tpcfm.prepare.groups.tokenizer import cut, tokenize
from tpcfm.prepare.store import PreparedStore

CONFIG = TokenizerConfig(max_points=8, min_points=20)


def make_event(row, seed):
    rng = np.random.default_rng([seed, row])
    n = (10, 60, 400, 250)[row % 4]
    points = twins.lattice_event(n, 10 * seed + row)
    n = len(points)
    return {
        "event_id": f"made/file{seed}/{row}",
        "split": ("train", "validation", "test")[row % 3],
        "n_points": n,
        **{name: points[:, axis].astype(np.int16) for axis, name in enumerate("xyz")},
        "energy": rng.exponential(1.0, n).astype(np.float32),
        "semantic": rng.integers(0, 5, n).astype(np.int8),
    }


def write_table(path, events):
    event_tables.write_table(path, PILARNET, events)


@pytest.fixture
def tables(tmp_path):
    events = []
    for seed in range(2):
        made = [make_event(row, seed) for row in range(7)]
        write_table(tmp_path / f"events{seed}.parquet", made)
        events += made
    return tmp_path, events


@pytest.fixture
def store(tables):
    folder, _ = tables
    for seed in range(2):
        write_part(folder / f"events{seed}.parquet", folder / "cache" / f"part{seed}.arrow", CONFIG)
    write_manifest(folder / "cache", name="groups", statistics={"groups": group_statistics})
    return PreparedStore(folder / "cache")


def fresh(events):
    for event in events:
        kept = cut(event, PILARNET)
        if len(kept.xyz) >= CONFIG.min_points:
            yield event, kept, tokenize(kept, CONFIG)


def test_cached_groups_equal_fresh_groups(store, tables):
    expected = list(fresh(tables[1]))
    assert len(store) == len(expected)
    for row, (event, kept, groups) in enumerate(expected):
        cached = store[row]
        assert (cached["event_id"], cached["split"], cached["n_points"]) == (
            event["event_id"],
            event["split"],
            len(kept.xyz),
        )
        np.testing.assert_array_equal(np.stack([cached[axis] for axis in "xyz"], 1), kept.xyz)
        np.testing.assert_array_equal(cached["energy"], kept.signal)
        np.testing.assert_array_equal(cached["row"], kept.rows)
        np.testing.assert_array_equal(cached["semantic"], event["semantic"][kept.rows])
        for name, value in (("centre", groups.centre), ("group_offset", groups.offset), ("member", groups.member)):
            np.testing.assert_array_equal(cached[name], value)
        np.testing.assert_array_equal(cached["centre_xyz"].reshape(-1, 3), kept.xyz[groups.centre])
        np.testing.assert_array_equal(cached["group_size"], groups.size)
        assert (cached["n_missed"], cached["n_capped"]) == (groups.n_missed, groups.n_capped)


def test_rejected_events_are_listed_with_the_reason(store, tables):
    folder, events = tables
    expected = [e["event_id"] for e in events if len(cut(e, PILARNET).xyz) < CONFIG.min_points]
    assert expected
    found = [
        row
        for seed in range(2)
        for row in pq.read_table(rejected_path(folder / "cache" / f"part{seed}.arrow")).to_pylist()
    ]
    assert [row["event_id"] for row in found] == expected
    assert all("min_points is 20" in row["reason"] for row in found)
    assert store.manifest["rejected"] == len(expected)


def test_statistics_of_the_manifest_are_those_of_the_groups(store, tables):
    made = [groups for _, _, groups in fresh(tables[1])]
    statistics = store.manifest["statistics"]
    points = sum(len(g.covered) for g in made)
    assert store.manifest["points"] == points
    assert statistics["tokens"] == sum(len(g.centre) for g in made)
    assert statistics["missed_share"] == pytest.approx(sum(g.n_missed for g in made) / points)
    assert statistics["capped_share"] == pytest.approx(sum(g.n_capped for g in made) / points)
    assert statistics["capped_share"] > 0
    assert statistics["duplicated_share"] == pytest.approx(sum(g.duplicated(capped=True) for g in made) / points)
    sizes = np.concatenate([g.size for g in made])
    assert statistics["group_size"]["histogram"] == np.bincount(sizes, minlength=257).tolist()
    assert sum(statistics["tokens_per_event"]["histogram"]) == len(made)


def test_a_batch_holds_its_events_one_after_another(store):
    rows = [5, 0, 3]
    batch = collate_groups(store, rows)
    assert {name: value.dtype.name for name, value in batch.items()} == {
        "offsets": "int64",
        "event_key": "uint64",
        "xyz": "float32",
        "signal": "float32",
        "semantic": "int64",
        "token_offsets": "int64",
        "centre": "float32",
        "member": "int64",
    }
    assert batch["member"].shape == (batch["token_offsets"][-1], 8)
    for at, row in enumerate(rows):
        event = store[row]
        a, b = batch["offsets"][at : at + 2]
        s, t = batch["token_offsets"][at : at + 2]
        assert batch["event_key"][at] == key64(event["event_id"])
        np.testing.assert_array_equal(batch["xyz"][a:b], np.stack([event[axis] for axis in "xyz"], 1))
        np.testing.assert_array_equal(batch["signal"][a:b], event["energy"])
        np.testing.assert_array_equal(batch["centre"][s:t].ravel(), event["centre_xyz"])
        for token in range(t - s):
            found = batch["member"][s + token]
            expected = event["member"][event["group_offset"][token] : event["group_offset"][token + 1]]
            np.testing.assert_array_equal(found[: len(expected)], expected + a)
            assert (found[len(expected) :] == -1).all()


def test_a_batch_equals_its_events_alone(store):
    together = collate_groups(store, range(4))
    for row in range(4):
        alone = collate_groups(store, [row])
        s, t = together["token_offsets"][row : row + 2]
        member = together["member"][s:t]
        np.testing.assert_array_equal(np.where(member < 0, -1, member - together["offsets"][row]), alone["member"])


def test_equal_input_gives_equal_bytes(tables):
    folder, _ = tables
    for name in ("a", "b"):
        write_part(folder / "events0.parquet", folder / name / "part.arrow", CONFIG)
    assert (folder / "a/part.arrow").read_bytes() == (folder / "b/part.arrow").read_bytes()


def test_the_verbs_make_a_cache(tables):
    folder, _ = tables
    run = CliRunner()
    chosen = '{"max_points": 8, "min_points": 20}'
    out = folder / "cli" / "part.arrow"
    made = run.invoke(app, ["groups", str(folder / "events0.parquet"), "--out", str(out), "--config", chosen])
    assert made.exit_code == 0, made.output
    (folder / "settings.json").write_text(chosen)
    arguments = ["manifest", "--cache", "demo", "--folder", str(out.parent), "--config", str(folder / "settings.json")]
    assert run.invoke(app, [*arguments, "--out", str(out.parent / "manifest.json")]).exit_code == 0
    manifest = read_json(out.parent / "manifest.json")
    assert manifest["name"] == "demo"
    assert manifest["settings"] == CONFIG.model_dump(mode="json")
    assert len(PreparedStore(out.parent)) == manifest["events"] == 5
    assert run.invoke(app, ["verify", str(out.parent)]).exit_code == 0


@pytest.mark.parametrize(("radius", "warned"), [(0.5, True), (5.0, False)])
def test_tokens_of_a_single_point_are_warned_of(tables, radius, warned):
    folder, _ = tables
    chosen, out, run = json.dumps({"radius": radius, "min_points": 1}), folder / "small" / "part.arrow", CliRunner()
    run.invoke(app, ["groups", str(folder / "events0.parquet"), "--out", str(out), "--config", chosen])
    said = run.invoke(app, ["manifest", "--cache", "small", "--folder", str(out.parent)]).output
    assert "points per token in the mean" in said
    assert ("a larger `pitch`" in said) is warned


def test_groups_made_on_a_device_are_the_same_part(tables):
    folder, _ = tables
    table, chosen = str(folder / "events0.parquet"), '{"max_points": 8, "min_points": 20}'
    parts = [folder / f"device{index}" / "part.arrow" for index in range(2)]
    for device, out in zip(
        ("cpu", "cpu:0"), parts, strict=True
    ):  # an index: PyTorch's searches in place of the kernels
        made = CliRunner().invoke(app, ["groups", table, "--out", str(out), "--config", chosen, "--device", device])
        assert made.exit_code == 0, made.output
    assert backends.used()["neighbour_search/cpu"] == "torch"
    assert parts[0].read_bytes() == parts[1].read_bytes()


@pytest.mark.parametrize(
    ("device", "error", "message"),
    [("gpu0", ConfigError, "allowed: cpu, cuda, cuda:N"), ("cuda:99", MachineError, "CUDA devices here; use cpu")],
)
def test_a_device_that_is_not_there_is_named(tables, device, error, message):
    folder, _ = tables
    out = folder / "nowhere.arrow"
    result = CliRunner().invoke(app, ["groups", str(folder / "events0.parquet"), "--out", str(out), "--device", device])
    assert isinstance(result.exception, error)
    assert message in str(result.exception)
    assert not out.exists()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_table_with_flipped_bytes_is_read_or_refused_with_its_name(tables, data):
    folder, _ = tables
    content = bytearray((folder / "events0.parquet").read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    (folder / "flipped.parquet").write_bytes(content)
    try:
        write_part(folder / "flipped.parquet", folder / "flipped.arrow", CONFIG)
    except DataError as error:
        assert "flipped.parquet" in str(error)  # noqa: PT017 - most flips are harmless to reading, so nothing need be raised
        assert not (folder / "flipped.arrow").exists()
    else:
        (folder / "flipped.arrow").unlink()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"energy": None}, "no values for energy"),
        ({"split": "val"}, "split 'val'; allowed: train, validation, test"),
        ({"y": np.zeros(3, np.int16)}, "3 values of y, n_points is 400"),
        ({"semantic": np.zeros(3, np.int8)}, "3 values of semantic, n_points is 400"),
        ({"energy": np.full(400, np.nan, np.float32)}, "values of energy that are not finite"),
    ],
)
def test_a_bad_event_is_rejected_with_the_reason_and_the_others_pass(tmp_path, change, reason):
    events = [make_event(1, 0), make_event(2, 0) | change]
    write_table(tmp_path / "events.parquet", events)
    counts = write_part(tmp_path / "events.parquet", tmp_path / "part.arrow", CONFIG)
    assert (counts["events"], counts["rejected"]) == (1, 1)
    (row,) = pq.read_table(rejected_path(tmp_path / "part.arrow")).to_pylist()
    assert row == {"event_id": events[1]["event_id"], "file": "events.parquet", "row": 1, "reason": reason}


@pytest.mark.parametrize(
    ("given_settings", "message"),
    [
        ('{"radius": -1}', "radius = -1"),
        ('{"radus": 5}', "radus = 5"),
        ("{", "not valid JSON"),
    ],
)
def test_wrong_settings_are_named(tables, given_settings, message):
    folder, _ = tables
    arguments = [
        "groups",
        str(folder / "events0.parquet"),
        "--out",
        str(folder / "x.arrow"),
        "--config",
        given_settings,
    ]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)
    assert not (folder / "x.arrow").exists()


def test_parts_made_otherwise_do_not_join(store):
    other = TokenizerConfig(max_points=9, min_points=20).model_dump(mode="json")
    with pytest.raises(DataError, match=r"max_points = 8 \| 9"):
        write_manifest(store.folder, name="groups", settings=other)


def test_damaged_and_foreign_tables_are_named(tables):
    folder, _ = tables
    (folder / "bad.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match=r"bad\.parquet: not a readable Parquet file"):
        write_part(folder / "bad.parquet", folder / "bad.arrow", CONFIG)
    pq.write_table(pa.table({"event_id": ["a"]}), folder / "foreign.parquet")
    with pytest.raises(DataError, match=r"foreign\.parquet: not an event table of this version"):
        write_part(folder / "foreign.parquet", folder / "foreign.arrow", CONFIG)
    table = pq.read_table(folder / "events0.parquet")
    pq.write_table(
        table.set_column(3, "x", table["x"].cast(pa.list_(pa.int8()), safe=False)), folder / "narrow.parquet"
    )
    with pytest.raises(DataError, match=r"narrow\.parquet: column 'x' is list<.*int8>, expected list<.*int16"):
        write_part(folder / "narrow.parquet", folder / "narrow.arrow", CONFIG)
    assert not list(folder.glob("*.arrow"))
