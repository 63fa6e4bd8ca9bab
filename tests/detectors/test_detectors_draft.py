"""`tpcfm detector init` drafts a file that loads, passes `check` and ingests the data unchanged, whatever their format."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from columnfiles import LISTS, ROWS, SIZES, hits, write_hits
from rawfiles import collider_shard, lartpc_event, write_pilarnet, write_tpcpp
from tpcfm.cli.main import _register, app
from tpcfm.detectors.registry import load_detector
from tpcfm.events.job import ingest_file


@pytest.fixture
def tpcfm(monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    if not app.registered_commands:
        _register()
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))


def draft(tpcfm, tmp_path, path):
    """Draft, check and ingest; the detector and the summary."""
    mine = tmp_path / "mine.yaml"
    made = tpcfm("detector", "init", path, "--out", mine, "--force")
    assert made.exit_code == 0, made.exception
    checked = tpcfm("detector", "check", mine, path, "--picture", tmp_path / "event.png")
    assert checked.exit_code == 0, (checked.output, checked.exception)
    assert (tmp_path / "event.png").stat().st_size > 1000
    detector = load_detector(str(mine))
    summary = ingest_file(
        path, detector, "d", tmp_path / "e.parquet", tmp_path / "e.rejected.parquet", lambda _: "train"
    )
    return detector, summary, checked.output


@pytest.mark.parametrize("name", [*ROWS, *LISTS, *SIZES])
def test_every_format_is_drafted_and_read_unchanged(tmp_path, tpcfm, name):
    table = hits(mean=200)
    detector, summary, said = draft(tpcfm, tmp_path, write_hits(tmp_path, name, table))
    assert (summary["events"], summary["points"], summary["rejected"]) == (7, len(table), 0)
    assert f"7 events, {len(table)} points, 0 rejected" in said
    assert (detector.name, detector.coordinates.unit, detector.cylindrical) == ("mine", "mm", True)
    assert detector.volume.r[0] < 855
    assert 2495 < detector.volume.r[1] < 2700
    assert [signal.name for signal in detector.signal] == ["adc"]
    assert {n: label.kind for n, label in detector.labels.items()} == {"particle": "instances", "pdg": "classes"}
    assert detector.labels["particle"].background == [0]
    assert detector.labels["pdg"].names == ["other", "electron", "muon", "pion", "proton"]
    assert summary["statistics"]["histograms"]["particles_per_event"]["max"] == 4
    assert summary["statistics"]["classes"]["pdg"]["3"] == (table["pdg"].abs() == 211).sum()


def test_a_lattice_is_recognised(tmp_path, tpcfm):
    rng = np.random.default_rng(0)
    keys = [rng.choice(300 * 200 * 900, 500, replace=False) for _ in range(3)]
    voxels = np.concatenate([np.stack(np.unravel_index(key, (300, 200, 900)), axis=1) for key in keys])
    table = pd.DataFrame(voxels, columns=["vx_x", "vx_y", "vx_z"]).assign(
        evt=np.repeat([3, 4, 9], 500), value=rng.gamma(2, 1, 1500)
    )
    table["semantic"] = rng.integers(0, 4, 1500)
    table["is_noise"] = table["semantic"] == 3
    table.to_parquet(tmp_path / "a.parquet")
    detector, summary, _ = draft(tpcfm, tmp_path, tmp_path / "a.parquet")
    assert (summary["events"], detector.lattice, detector.pitch) == (3, True, 1.0)
    assert (detector.volume.x, detector.volume.y, detector.volume.z) == ((0, 384), (0, 256), (0, 1024))
    assert list(detector.classes()) == ["semantic", "is_noise"]
    doubled = pd.concat([table, table[:1]])
    doubled.to_parquet(tmp_path / "a.parquet")
    detector, summary, _ = draft(tpcfm, tmp_path, tmp_path / "a.parquet")
    assert (detector.lattice, summary["rejected"]) == (False, 0)


def test_a_box_of_text_labels_without_signal(tmp_path, tpcfm):
    rng = np.random.default_rng(1)
    table = pd.DataFrame(rng.uniform(0, 30, (4000, 3)), columns=["pos.X", "pos.Y", "pos.Z"])
    table["px"], table["py"], table["pz"] = 1.5, 2.5, 3.5
    table["eventID"], table["track_id"] = rng.integers(0, 5, 4000), rng.integers(0, 30, 4000)
    table["hit_id"], table["process"] = np.arange(4000), rng.choice(["ion", "delta ray", "no: idea"], 4000)
    table.to_csv(tmp_path / "a.csv.gz", index=False)
    detector, summary, _ = draft(tpcfm, tmp_path, tmp_path / "a.csv.gz")
    assert (summary["events"], summary["points"]) == (5, 4000)
    assert (detector.volume.shape, detector.coordinates.unit, detector.signal) == ("box", "cm", [])
    assert detector.labels["process"].names == ["delta ray", "ion", "no: idea"]
    assert 0.2 < detector.pitch < 5
    text = (tmp_path / "mine.yaml").read_text()
    assert "hit_id: looks like an index" in text
    assert yaml.safe_load(text)["read"]["columns"]["track"] == "track_id"


def test_init_says_what_it_needs(tmp_path, tpcfm):
    pd.DataFrame({"a": [1.0], "b": [2]}).to_parquet(tmp_path / "a.parquet")
    said = tpcfm("detector", "init", tmp_path / "a.parquet", "--out", tmp_path / "m.yaml")
    assert "no three columns that differ only in x, y, z; there are a, b" in str(said.exception)
    (tmp_path / "m.yaml").write_text("")
    assert "exists already" in str(
        tpcfm("detector", "init", tmp_path / "a.parquet", "--out", tmp_path / "m.yaml").exception
    )
    (tmp_path / "text.dat").write_text("hello")
    assert "neither Parquet" in str(
        tpcfm("detector", "init", tmp_path / "text.dat", "--out", tmp_path / "n.yaml").exception
    )


def test_check_counts_reasons_and_fails_where_nothing_is_good(tmp_path, tpcfm):
    events = [lartpc_event(np.random.default_rng(i)) for i in range(4)]
    events[2]["point"][0, 0] = 900
    path = write_pilarnet(tmp_path / "a.h5", events, 6)
    said = tpcfm("detector", "check", "pilarnet", path, "--picture", tmp_path / "a.png")
    assert said.exit_code == 0
    assert "3 events, 960 points, 1 rejected" in said.output
    assert "rejected for point.xyz: 1 events, the first: a.h5 event 2" in said.output
    assert "label pid: -1 low energy: 60" in said.output
    for event in events:
        event["point"][0, 3] = -1
    said = tpcfm("detector", "check", "pilarnet", write_pilarnet(tmp_path / "b.h5", events, 6))
    assert said.exit_code == 1
    assert "0 events, 0 points, 4 rejected" in said.output


def test_list_and_show(tmp_path, tpcfm):
    said = tpcfm("detector", "list").output
    assert "pilarnet" in said
    assert "track (instances), pid (classes), noise (classes)" in said
    shown = tpcfm("detector", "show", "sphenix").output
    (tmp_path / "copy.yaml").write_text(shown)
    assert load_detector(str(tmp_path / "copy.yaml")).hash == load_detector("sphenix").hash
    assert "unknown; there are pilarnet, sphenix" in str(tpcfm("detector", "show", "nothing").exception)


def test_validate_takes_the_detector_of_a_file_that_no_reader_knows(tmp_path, tpcfm):
    path = write_hits(tmp_path, "rows.parquet", hits())
    tpcfm("detector", "init", path, "--out", tmp_path / "mine.yaml")
    assert tpcfm("validate", path, "--detector", tmp_path / "mine.yaml").exit_code == 0
    alone = tpcfm("validate", path)
    assert alone.exit_code == 1
    assert "does not say its detector" in alone.output
    csv = write_hits(tmp_path, "rows.csv", hits())
    assert "say which: --detector NAME or FILE.yaml" in tpcfm("validate", csv).output
    shard = write_tpcpp(tmp_path, collider_shard(np.random.default_rng(0)))
    assert tpcfm("validate", shard).exit_code == 0


def test_the_detector_of_the_guide_reads_its_file(tmp_path, tpcfm):
    guide = (Path(__file__).parents[2] / "docs" / "how-to" / "new-detector.md").read_text(encoding="utf-8")
    (tmp_path / "mydetector.yaml").write_text(re.findall(r"```yaml\n(.*?)```", guide, re.S)[0])
    said = tpcfm("detector", "check", tmp_path / "mydetector.yaml", write_hits(tmp_path, "rows.parquet", hits()))
    assert "7 events" in said.output
    assert "0 rejected" in said.output


def test_columns_that_cannot_be_had_are_named(tmp_path, tpcfm):
    path = tmp_path / "a.csv"
    path.write_text("x,y,z,energy,track,track\n" + "".join(f"{i},{i * i},{i}.5,1.5,{i % 3},0\n" for i in range(60)))
    detector, summary, _ = draft(tpcfm, tmp_path, path)
    assert (summary["points"], list(detector.labels)) == (60, [])
    assert "#   several columns are named 'track'" in (tmp_path / "mine.yaml").read_text()
