"""Imported FM4NPP weights are a frozen backbone like any other: events in their order, adapters of their size, predictions shown."""

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from fm4npp_toys import write_events
from tpcfm.cli.main import _register, app
from tpcfm.errors import CheckpointError
from tpcfm.evaluate.table import read_metrics
from tpcfm.files import read_json
from tpcfm.models.fm4npp.backbone import Fm4npp
from tpcfm.models.fm4npp.settings import AdapterConfig, Fm4nppModel
from tpcfm.plan.run import Run
from tpcfm.prepare.sequences.cache import fit_edges
from tpcfm.prepare.sequences.settings import RELEASED_SERIALIZATION
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.fm4npp import find_tracks
from tpcfm.systems.fm4npp.adapter import adapter_labels, load_adapter
from tpcfm.systems.fm4npp.released_weights import to_released
from tpcfm.workspace import Workspace

ADAPTER = {
    "outputs": {"track": 0},
    "start": "imported",
    "n_labels": 6,
    "width": 64,
    "queries": 20,
    "train": {"steps": 4, "batch_size": 4, "learning_rate": 1e-3, "clip": 1.0, "evaluate_every": 2},
}


def tpcfm(*arguments: object) -> str:
    if not app.registered_commands:
        _register()
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A published checkpoint imported as `Released`, and events prepared with the edges it carries, as the workflow does it."""
    torch.set_num_threads(1)
    space = Workspace(Path(tmp_path_factory.mktemp("imported_fm4npp")))
    torch.manual_seed(0)
    model = Fm4npp(Fm4nppModel(width=64, depth=2), 30)
    torch.save({"state_dict": to_released(model.state_dict())}, space.root / "pp.ckpt")
    table, edges = space.root / "events.parquet", space.root / "theirs.json"
    write_events(table, {"train": 12, "validation": 4, "test": 4})
    fit_edges([table], edges, RELEASED_SERIALIZATION)
    tpcfm("import-fm4npp", space.root / "pp.ckpt", edges, space.run("Released"))
    ours, cache = space.root / "edges.json", space.cache("toy")
    tpcfm("prepare", "model-edges", space.run("Released"), "--out", ours)
    assert read_json(ours) == read_json(edges)
    # All events take part: the cut of the published training is one on events, not on how a point is seen.
    whole = RELEASED_SERIALIZATION.model_copy(update={"max_points": 0})
    settings = json.dumps({"serialization": whole.model_dump(mode="json")})
    tpcfm("prepare", "sequences", table, "--edges", ours, "--out", cache / "a.arrow", "--config", settings)
    tpcfm("prepare", "manifest", "--folder", cache, "--cache", "toy", "--config", settings, "--edges", ours)
    return space


def entry(**changes: object) -> Run:
    block = AdapterConfig.model_validate(ADAPTER | changes)
    return Run(
        slug=f"tracks-released-{block.start}",
        stage="finetune",
        family="fm4npp",
        recipe="fm4npp.find_tracks",
        task="track",
        config=block.model_dump(mode="json"),
        dataset="toy",
        cache="toy",
        pretrained="Released",
        n_labels=6,
    )


def test_an_adapter_takes_the_backbone_that_the_weights_are(workspace: Workspace) -> None:
    run = entry()
    assert AdapterConfig.model_validate(run.config).model.depth == 12  # what the plan cannot know
    find_tracks.run(run, workspace, device="cpu")
    config = read_json(workspace.run(run.id) / "config.json")
    assert config["adapter"]["model"]["depth"] == 2
    assert config["pretrained"] == "Released"
    assert "imported weights `Released`" in (workspace.run(run.id) / "README.md").read_text()
    assert "ari" in set(read_metrics([workspace.run(run.id) / "metrics.parquet"])["metric"])
    store = PreparedStore(workspace.cache("toy"))
    assert config["detector"]["name"] == "sphenix"
    found = adapter_labels(load_adapter(workspace.run(run.id), store), "track", store, 0)
    assert len(found) == store.lengths[0]


def test_events_prepared_with_other_edges_are_refused(workspace: Workspace) -> None:
    config = read_json(workspace.run("Released") / "config.json")
    other = workspace.run("Other")
    other.mkdir()
    (other / "model.safetensors").write_bytes((workspace.run("Released") / "model.safetensors").read_bytes())
    config["edges"]["axes"]["eta"][1] += 1e-6
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="other box edges"):
        find_tracks.run(entry().model_copy(update={"pretrained": "Other"}), workspace, device="cpu")


def test_a_directory_without_edges_gives_none(workspace: Workspace) -> None:
    (workspace.run("Empty")).mkdir()
    (workspace.run("Empty") / "config.json").write_text('{"architecture": "polar_mae"}')
    result = CliRunner().invoke(
        app, ["prepare", "model-edges", str(workspace.run("Empty")), "--out", str(workspace.root / "none.json")]
    )
    assert isinstance(result.exception, CheckpointError)
    assert "holds no box edges" in str(result.exception)
    assert not (workspace.root / "none.json").exists()
