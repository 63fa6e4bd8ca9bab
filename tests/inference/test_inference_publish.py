"""Publishing and loading by `hf:`: a published model answers as the one it was made of, against a local stand-in of the hub."""

import hashlib
import json
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
import yaml
from typer.testing import CliRunner

import tpcfm
from fm4npp_toys import toy_event
from model_zoo import events_of
from tpcfm.cli import predict
from tpcfm.errors import CheckpointError, ConfigError, DataError, MachineError
from tpcfm.inference.share.publish import publish
from tpcfm.release import http
from tpcfm.workspace import Workspace
from webserver import Site, serving

COMMIT = "c0ffee" * 6 + "abcd"
NAME = "hf:lab/tpc.pid"
API = "/api/models/lab/tpc.pid"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A hub without models, and a cache of one's own."""
    monkeypatch.setenv("TPCFM_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(http, "WAIT_S", 0.0)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with serving() as site:
        monkeypatch.setenv("HF_ENDPOINT", site.url)
        yield site


def offer(site: Site, folder: Path, **changed: bytes) -> None:
    """Serve a folder as the repository at one commit; ``changed``: other bytes than the listing says."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    entries: list[dict[str, object]] = [{"type": "directory", "path": "backbone", "oid": "0" * 40}]
    for path in paths:
        name, content = path.relative_to(folder).as_posix(), path.read_bytes()
        entry: dict[str, object] = {"type": "file", "path": name, "size": len(content), "oid": "1" * 40}
        if path.suffix in (".safetensors", ".parquet"):
            entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content)}
        entries.append(entry)
        site.files[f"/lab/tpc.pid/resolve/{COMMIT}/{name}"] = changed.get(path.stem, content)
    site.files[f"{API}/revision/main"] = site.files[f"{API}/revision/v1"] = json.dumps({"sha": COMMIT}).encode()
    site.files[f"{API}/tree/{COMMIT}?recursive=true"] = json.dumps(entries).encode()


@pytest.fixture(scope="module")
def event() -> pd.DataFrame:
    """One collider event."""
    made = toy_event(np.random.default_rng(8), 4)
    return pd.DataFrame({name: made[name] for name in ("x", "y", "z", "energy")})


def test_a_published_model_answers_alike_and_is_fetched_once(
    space: Workspace, hub: Site, tmp_path: Path, event: pd.DataFrame
) -> None:
    out = tmp_path / "public"
    publish(space.run("pid-pretrained"), str(out))
    (out / "pytorch_model.bin").write_bytes(b"a pickle")
    offer(hub, out)
    known = tpcfm.load(space.run("pid-pretrained"), device="cpu")
    for name in (str(out), NAME, f"{NAME}@v1"):
        model = tpcfm.load(name, device="cpu")
        assert model.fingerprint == known.fingerprint
        np.testing.assert_array_equal(model.predict(event)["pid"], known.predict(event)["pid"])
    fetched = [path for path, _ in hub.requests if "/resolve/" in path]
    assert len(fetched) == len(set(fetched)), "once for both names"
    assert not any("pytorch_model" in path for path in fetched)
    hub.files.clear()  # the hub has lost it
    with pytest.raises(MachineError, match="HTTP 404"):
        tpcfm.load(NAME)


def test_without_a_connection_what_was_fetched_is_taken(
    space: Workspace, hub: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    publish(space.run("sage"), str(tmp_path / "public"))
    offer(hub, tmp_path / "public")
    folder = tpcfm.load(NAME, device="cpu").folder
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert tpcfm.load(NAME, device="cpu").folder == folder
    assert "no connection" in caplog.text
    with pytest.raises(MachineError, match="no connection"):
        tpcfm.load(f"{NAME}@v2")


def test_the_command_line_predicts_with_it(space: Workspace, hub: Site, tmp_path: Path) -> None:
    publish(space.run("sage"), str(tmp_path / "public"))
    offer(hub, tmp_path / "public")
    table = str(events_of(space, "sage"))
    app = typer.Typer()
    app.command()(predict.command)
    done = CliRunner().invoke(app, [NAME, table, "--out", str(tmp_path / "out"), "--quiet"])
    assert done.exit_code == 0, done.output
    (made,) = (tmp_path / "out").glob("*.predictions.parquet")
    assert pd.read_parquet(made)["pid"].map(len).sum() > 0


def test_what_is_damaged_or_no_model_is_refused(space: Workspace, hub: Site, tmp_path: Path) -> None:
    publish(space.run("sage"), str(tmp_path / "public"))
    good = (tmp_path / "public" / "model.safetensors").read_bytes()
    offer(hub, tmp_path / "public", model=good[:-1] + b"!")
    with pytest.raises(DataError, match="SHA-256"):
        tpcfm.load(NAME)
    (tmp_path / "public" / "config.json").unlink()
    offer(hub, tmp_path / "public")
    with pytest.raises(DataError, match="holds no model directory"):
        tpcfm.load(NAME)
    for name in ("hf:lab", "hf:lab/../x", "hf:a/b/c"):
        with pytest.raises(ConfigError, match="hf:<owner>/<name>"):
            tpcfm.load(name)


def test_the_card_says_what_a_user_must_know(space: Workspace, tmp_path: Path) -> None:
    folder = space.run("pid-pretrained")
    row = {
        "task": "pid",
        "split": "test",
        "metric": "f1",
        "class": "",
        "seed": 0,
        "value": 0.5,
        "low": 0.4,
        "high": 0.61,
    }
    tuned = row | {"split": "validation", "value": 0.77}
    pd.DataFrame([row, tuned]).to_parquet(folder / "metrics.parquet")
    (folder / "README.md").write_text("# PID head\n\nMade so. Method: arXiv 2508.14087.\n\n| value | |\n|---|---|\n")
    (folder / "run.json").write_text(
        json.dumps({"command": ["/home/me/x"], "run": {"dataset": "d-1", "cache": "c-1", "n_labels": 7}})
    )
    try:
        publish(folder, str(tmp_path / "p"), name="hf:lab/pid", licence="cc-by-4.0")
    finally:
        for name in ("metrics.parquet", "README.md", "run.json"):
            (folder / name).unlink()
    card = (tmp_path / "p" / "README.md").read_text()
    _, header, text = card.split("---\n", 2)
    assert yaml.safe_load(header)["license"] == "cc-by-4.0"
    assert "arxiv:2508.14087" in yaml.safe_load(header)["tags"]
    for said in (
        'tpcfm.load("hf:lab/pid")',
        "Labelled events trained on: 7",
        "| pid | f1 | all | 0.5 | 0.4 to 0.61 |",
        "## Limits",
    ):
        assert said in text
    assert "0.77" not in text, "of the validation events it was chosen on"
    assert "command" not in (tmp_path / "p" / "run.json").read_text()


def test_where_it_may_not_be_written(space: Workspace, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(ConfigError, match="no model directory"):
        publish(space.run("sage"), str(tmp_path / "mine"))
    with pytest.raises(ConfigError, match="is the model itself"):
        publish(space.run("sage"), str(space.run("sage")))
    alone = tmp_path / "alone" / "adapter"
    alone.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (alone / name).write_bytes((space.run("pid-pretrained") / name).read_bytes())
    with pytest.raises(CheckpointError, match="its backbone is the run fm4npp"):
        publish(alone, str(tmp_path / "out"))


def test_an_upload_sends_the_whole_folder(space: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MachineError, match=r"tpcfm\[hub\]"):
        publish(space.run("sage"), NAME)
    sent: dict[str, object] = {}

    class HfApi:
        def __init__(self, endpoint: str) -> None:
            sent["endpoint"] = endpoint

        def create_repo(self, repo_id: str, private: bool, exist_ok: bool) -> None:
            sent["private"] = private

        def upload_folder(self, *, repo_id: str, folder_path: str, revision: str, commit_message: str) -> None:
            sent["to"] = (repo_id, revision)
            sent["files"] = sorted(
                p.relative_to(folder_path).as_posix() for p in Path(folder_path).rglob("*") if p.is_file()
            )

    module = types.ModuleType("huggingface_hub")
    module.HfApi = HfApi  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example")
    assert publish(space.run("pid-pretrained"), NAME, private=True) == NAME
    assert sent["to"] == ("lab/tpc.pid", "main")
    assert (sent["endpoint"], sent["private"]) == ("https://hub.example", True)
    files = sent["files"]
    assert isinstance(files, list)
    assert {"README.md", "config.json", "model.safetensors", "backbone/model.safetensors", ".gitattributes"} <= set(
        files
    )
