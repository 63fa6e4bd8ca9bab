"""`tpcfm show`: an event of any detector, alone or as models see it; wrong requests name the runs, columns and pictures there are."""

import sys
from pathlib import Path

import numpy as np
import pytest

from event_tables import SPHENIX
from fm4npp_toys import write_events
from model_zoo import toy_models
from rawfiles import collider_shard, write_tpcpp
from tpcfm.cli import main as cli
from tpcfm.workspace import Workspace


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Tiny models and the caches they read."""
    return toy_models(tmp_path_factory.mktemp("show"))[0]


def show(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, *options: object
) -> tuple[int, str]:
    """Run the verb; return its exit status and what it prints, lines joined."""
    monkeypatch.setattr(sys, "argv", ["tpcfm", "show", *map(str, options), "--out", str(tmp_path / "event.html")])
    code = 0
    try:
        cli.main()
    except SystemExit as end:
        code = int(end.code or 0)
    said = capsys.readouterr()
    return code, " ".join((said.out + said.err).split())


def test_a_raw_file_needs_a_detector_or_a_model(space, monkeypatch, capsys, tmp_path) -> None:
    raw = write_tpcpp(tmp_path, collider_shard(np.random.default_rng(3), events=3))
    given: tuple[object, ...]
    for given in (("--detector", "sphenix"), ("--run", space.run("pid-none"))):
        code, text = show(monkeypatch, capsys, tmp_path, raw, "--event", 1, *given)
        assert (code, (tmp_path / "event.html").exists()) == (0, True), text
        (tmp_path / "event.html").unlink()
    code, text = show(monkeypatch, capsys, tmp_path, raw)
    assert code
    assert "a raw file does not say its detector: give --detector NAME" in text


def test_a_detector_of_ones_own_is_named_by_its_file(monkeypatch, capsys, tmp_path) -> None:
    mine = SPHENIX.model_copy(update={"name": "mine"})
    (tmp_path / "mine.yaml").write_text(mine.model_dump_json(exclude_defaults=True))  # JSON is YAML
    raw = write_tpcpp(tmp_path, collider_shard(np.random.default_rng(3), events=3))
    code, text = show(monkeypatch, capsys, tmp_path, raw, "--detector", tmp_path / "mine.yaml", "--color", "pid")
    assert code == 0, text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--color", "semantic"], "--color 'semantic': this event has"),
        (["--run", "RUNS/nothing"], "no such folder; there are: both-none"),
        (["--run", "RUNS/fm4npp", "--picture", "attention"], "makes no picture 'attention'; it makes: features, order"),
        (["--run", "RUNS/fm4npp", "--color", "pid"], "the picture 'features' has colours of its own"),
        (["--run", "RUNS/both-none", "--color", "track"], "not predicted by all of these runs; allowed: pid, noise"),
        (
            ["--run", "RUNS/both-none", "--color", "pid", "--color", "noise"],
            "2 given; with --run it names the one label",
        ),
        (["--run", "RUNS/polar_mae"], "sphenix ("),
        (["--run", "RUNS/fm4npp", "--detector", "pilarnet"], "--detector: detector pilarnet ("),
        (["--event", "40"], "no event 40: it has 3 (0 to 2)"),
    ],
)
def test_wrong_requests_say_what_there_is(space, monkeypatch, capsys, tmp_path, options, message) -> None:
    write_events(tmp_path / "events.parquet", {"train": 3})
    runs = str(space.run("x").parent)
    filled = [str(option).replace("RUNS", runs) for option in options]
    code, text = show(monkeypatch, capsys, tmp_path, tmp_path / "events.parquet", *filled)
    assert code
    assert message in text, text


def test_a_model_of_several_labels_shows_the_one_asked_for(space, monkeypatch, capsys, tmp_path) -> None:
    write_events(tmp_path / "events.parquet", {"train": 3})
    code, text = show(
        monkeypatch, capsys, tmp_path, tmp_path / "events.parquet", "--run", space.run("both-none"), "--color", "noise"
    )
    assert code == 0, text
    assert "prediction of toy/a/0" in text
