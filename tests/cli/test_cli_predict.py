"""`tpcfm predict` and `tpcfm embed`: files in, tables out, what a person is told, and a job that is asked to end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from columnfiles import DETECTOR
from model_zoo import toy_models
from rawfiles import collider_shard, write_tpcpp
from tpcfm.cli import main as cli
from tpcfm.workspace import Workspace


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Tiny models."""
    return toy_models(tmp_path_factory.mktemp("predict"))[0]


def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    """Run a verb; return its exit status and what it prints, lines joined."""
    monkeypatch.setattr(sys, "argv", ["tpcfm", *map(str, words)])
    monkeypatch.setattr(signal, "signal", lambda *given: None)
    code = 0
    try:
        cli.main()
    except SystemExit as end:
        code = int(end.code or 0)
    said = capsys.readouterr()
    return code, " ".join((said.out + said.err).split())


def test_files_are_labelled_and_embedded(space, monkeypatch, capsys, tmp_path: Path) -> None:
    for number in range(2):
        write_tpcpp(tmp_path / "raw", collider_shard(np.random.default_rng(number), events=4), f"_{number:03}")
    where = ["--out", tmp_path / "out", "--device", "cpu", "--results", space.root]
    files = tmp_path / "raw" / "spacepoints_{000..001}.npz"
    assert call(monkeypatch, capsys, "predict", "eggn", files, *where, "--like-input", "--workers", 0)[0] == 0
    code, text = call(monkeypatch, capsys, "embed", space.run("fm4npp"), files, *where, "--batch-points", 100)
    assert (code, f"2 files in {tmp_path / 'out'}" in text) == (0, True), text
    made = sorted(path.name for path in (tmp_path / "out").iterdir())
    kinds = ("features", "objects", "predictions", "rejected")
    tables = [f"spacepoints_00{n}.{kind}.parquet" for n in range(2) for kind in kinds]
    assert made == [*tables, "track_ids_000.npz", "track_ids_001.npz"]
    found = pd.read_parquet(tmp_path / "out" / "spacepoints_000.predictions.parquet")
    assert [len(track) for track in found["track"]] == found["n_points"].tolist()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "nothing", "a.npz"], "model 'nothing': no such folder or run; in"),
        (["predict", "sage", "nothing_*.npz"], "files: 'nothing_*.npz' matches no file"),
        (["predict", "fm4npp", __file__], "predicts no label; `tpcfm embed` takes its features"),
        (["embed", "sage", __file__], "makes no picture 'features'"),
        (["predict", "sage", __file__, "--device", "gpu"], "device: 'gpu'; allowed: cpu"),
        (["predict", "sage", __file__, "--device", "cuda:99"], "device: 'cuda:99'; allowed: cpu"),
        (["predict", "sage", __file__], "read as a file of sphenix, which this model was trained on"),
        (["predict", "sage", __file__, "--detector", "pilarnet"], "--detector: detector pilarnet"),
    ],
)
def test_what_cannot_be_done_is_said(
    space, monkeypatch, capsys, tmp_path: Path, words: list[str], message: str
) -> None:
    code, text = call(monkeypatch, capsys, *words, "--out", tmp_path, "--results", space.root)
    assert code
    assert message in text
    assert not list(tmp_path.glob("*.predictions.parquet"))


def test_files_of_the_same_detector_in_another_format(space, monkeypatch, capsys, tmp_path: Path) -> None:
    """`--detector` names a file that differs in how it reads: here CSV in millimetres."""
    import yaml

    from tpcfm.detectors.registry import load_detector

    sphenix = load_detector("sphenix").model_dump(mode="json", exclude_defaults=True)
    columns = {"x": "hit_x", "y": "hit_y", "z": "hit_z", "energy": "adc"}
    sphenix["read"] = {**DETECTOR["read"], "columns": columns, "values": {}}
    (tmp_path / "csv.yaml").write_text(yaml.safe_dump(sphenix, sort_keys=False))
    shard = collider_shard(np.random.default_rng(0), events=3)
    data, size = shard["spacepoints"]
    table = pd.DataFrame({name: data[:, 1 + i] * 10.0 for i, name in enumerate(("hit_x", "hit_y", "hit_z"))})
    table = table.assign(adc=data[:, 0], event_id=np.repeat(np.arange(len(size)), size))
    table.to_csv(tmp_path / "hits.csv", index=False)
    where = ["--out", tmp_path / "out", "--results", space.root, "--device", "cpu", "--quiet"]
    words = [
        "predict",
        "noise-none",
        tmp_path / "hits.csv",
        *where,
        "--detector",
        tmp_path / "csv.yaml",
        "--like-input",
    ]
    code, text = call(monkeypatch, capsys, *words)
    assert code == 0, text
    found = pd.read_parquet(tmp_path / "out" / "hits.predictions.parquet")
    labelled = pd.read_csv(tmp_path / "out" / "hits.csv")
    np.testing.assert_array_equal(labelled["noise"], np.concatenate(found["noise"].to_list()))
    pd.testing.assert_frame_equal(labelled.drop(columns="noise"), pd.read_csv(tmp_path / "hits.csv"))


@pytest.mark.slow
def test_a_job_that_is_asked_to_end_leaves_no_part_files_and_goes_on(space: Workspace, tmp_path: Path) -> None:
    raw = write_tpcpp(tmp_path / "raw", collider_shard(np.random.default_rng(0), events=30, mean=50), "_000")
    write_tpcpp(tmp_path / "raw", collider_shard(np.random.default_rng(1), events=6000, mean=100), "_001")
    files = str(raw.parent / "spacepoints_*.npz")
    words = [
        sys.executable,
        "-m",
        "tpcfm",
        "predict",
        str(space.run("pid-pretrained")),
        files,
        "--out",
        str(tmp_path / "out"),
    ]
    job = subprocess.Popen([*words, "--device", "cpu"], env={**os.environ, "OMP_NUM_THREADS": "1"})
    first = tmp_path / "out" / "spacepoints_000.predictions.parquet"
    while not first.exists():
        assert job.poll() is None
        time.sleep(0.1)
    job.send_signal(signal.SIGTERM)
    assert job.wait(60) == 143
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"spacepoints_000.{kind}.parquet" for kind in ("objects", "predictions", "rejected")
    }
    kept = first.stat().st_mtime_ns
    write_tpcpp(tmp_path / "raw", collider_shard(np.random.default_rng(1), events=60), "_001")
    subprocess.run([*words, "--device", "cpu"], check=True)
    assert first.stat().st_mtime_ns == kept
    assert len(pd.read_parquet(tmp_path / "out" / "spacepoints_001.predictions.parquet")) == 60
