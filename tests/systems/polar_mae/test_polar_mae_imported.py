"""Imported weights are a start like any other: probed and fine-tuned under their name, and shown by `tpcfm show`."""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from polar_mae_toys import MODEL, TRAIN, toy_run, toy_workspace
from tpcfm.cli.main import _register, app
from tpcfm.evaluate.table import read_metrics
from tpcfm.files import read_json
from tpcfm.models.polar_mae.autoencoder import make_masked_autoencoder
from tpcfm.models.polar_mae.segmentation import SegmentationModel
from tpcfm.models.polar_mae.settings import PolarMaeModel
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.polar_mae import probe as probe_tokens
from tpcfm.systems.polar_mae import segment
from tpcfm.workspace import Workspace

# Parts are told apart by their sizes, so that these must differ.
RELEASED = PolarMaeModel(width=24, depth=3, heads=2, decoder_depth=1, embed_hidden=10, preset="released")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    torch.set_num_threads(1)
    return toy_workspace(Path(tmp_path_factory.mktemp("imported")))


def imported(workspace: Workspace, name: str, model: torch.nn.Module) -> Path:
    """Write a model as a Lightning checkpoint, import it as a run, return its folder."""
    checkpoint = workspace.root / f"{name}.ckpt"
    torch.save({"state_dict": model.state_dict(), "epoch": 1}, checkpoint)
    if not app.registered_commands:
        _register()
    target = workspace.run(name)
    made = CliRunner().invoke(app, ["import-polar-mae", str(checkpoint), str(target), "--heads", "2"])
    assert made.exit_code == 0, made.output
    return target


def test_imported_weights_are_probed_fine_tuned_and_shown(workspace: Workspace) -> None:
    run = toy_run("polar_mae.probe", {})
    store = PreparedStore(workspace.cache(run.cache))
    torch.manual_seed(0)
    folder = imported(
        workspace, "released", make_masked_autoencoder("polar_mae", RELEASED, store.settings["max_points"])
    )
    config = {"model": MODEL.model_dump(), "seeds": [0], "train_events": 10, "test_events": 6}
    probed = toy_run("polar_mae.probe", config, pretrained="released")
    probe_tokens.run(probed, workspace)
    assert len(read_metrics([workspace.run(probed.id) / "metrics.parquet"]).query("metric == 'f1'")) == 5
    # The architecture is that of the weights, whatever the configuration says.
    config = {"mode": "peft", "n_labels": 4, "model": MODEL.model_dump(), "train": TRAIN | {"steps": 2}}
    tuned = toy_run("polar_mae.segment", config, pretrained="released", n_labels=4)
    segment.run(tuned, workspace)
    assert read_json(workspace.run(tuned.id) / "config.json")["model"]["preset"] == "released"
    for picture in ("attention", "reconstruction", "features"):
        out = workspace.root / f"{picture}.html"
        shown = ["show", str(store.folder), "--run", str(folder), "--picture", picture, "--out", str(out)]
        result = CliRunner().invoke(app, shown)
        assert result.exit_code == 0, result.output
        assert out.stat().st_size > 10_000


def test_an_imported_segmentation_is_shown(workspace: Workspace) -> None:
    store = PreparedStore(workspace.cache(toy_run("polar_mae.probe", {}).cache))
    folder = imported(workspace, "released-segmentation", SegmentationModel(RELEASED, 4))
    out = workspace.root / "segmentation.html"
    result = CliRunner().invoke(app, ["show", str(store.folder), "--run", str(folder), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "prediction of" in result.output
