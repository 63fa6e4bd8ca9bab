"""`Model.adapt`: from raw files with labels to a model that predicts them, in a folder of its own; refused where it cannot be."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from rawfiles import collider_shard, lartpc_event, write_pilarnet, write_tpcpp
from tpcfm.errors import CheckpointError, ConfigError
from tpcfm.evaluate.table import read_metrics
from tpcfm.inference.model import Model
from tpcfm.workspace import Workspace

FEW = {"steps": 2, "batch_size": 2, "evaluate_every": 1}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A raw file of each detector."""
    rng = np.random.default_rng(1)
    packs = write_tpcpp(tmp_path / "shards", collider_shard(rng, events=24, mean=40))
    voxels = write_pilarnet(tmp_path / "voxels.h5", [lartpc_event(rng, points=120) for _ in range(24)])
    return {"fm4npp": packs, "polar_mae": voxels}


@pytest.mark.parametrize(
    ("backbone", "label", "mode"),
    [("fm4npp", "pid", "lora"), ("fm4npp", "track", "frozen"), ("polar_mae", "semantic", "lora")],
)
def test_a_head_on_own_labels(
    space: Workspace, files: dict, tmp_path: Path, backbone: str, label: str, mode: str
) -> None:
    model = Model(space.run(backbone), "cpu")
    sizes = {"tuning": {"rank": 2}} if mode == "lora" else {}
    mine = model.adapt(files[backbone], label, tmp_path / "mine", mode=mode, events=4, **sizes, **FEW)
    assert mine.labels == [label]
    assert mine.folder.parent == tmp_path / "mine" / "runs"
    rows = read_metrics([mine.folder / "metrics.parquet"])
    assert rows.loc[rows["split"] == "test", "task"].unique().tolist() == [label]
    (table,) = mine.predict_files(files[backbone], tmp_path / "out", progress=False)
    assert table.exists()
    before = (mine.folder / "model.safetensors").stat().st_mtime_ns
    again = model.adapt(files[backbone], label, tmp_path / "mine", mode=mode, events=4, **sizes, **FEW)
    assert again.folder == mine.folder
    assert (again.folder / "model.safetensors").stat().st_mtime_ns == before  # finished is left alone


def test_a_label_column_of_ones_own_detector_file(space: Workspace, files: dict, tmp_path: Path) -> None:
    model = Model(space.run("fm4npp"), "cpu")
    plain = model.detector.model_dump(mode="json", exclude_defaults=True)
    plain["labels"]["noise"] = {"kind": "classes", "classes": {0: "kept", 1: "soft"}}
    own = tmp_path / "own.yaml"
    own.write_text(yaml.safe_dump(plain))
    mine = model.adapt(files["fm4npp"], "noise", tmp_path / "mine", detector=own, events=4, **FEW)
    assert mine.detector.classes()["noise"].names == ["kept", "soft"]


@pytest.mark.parametrize(
    ("run", "label", "more", "error", "said"),
    [
        ("pid-pretrained", "pid", {}, CheckpointError, "fm4npp_adapter.* makes no picture 'features'"),
        ("fm4npp", "colour", {}, ConfigError, "label 'colour': sphenix has track, pid, noise"),
        ("fm4npp", "pid", {"mode": "half"}, ConfigError, "mode: Input should be 'frozen', 'last', 'lora' or 'full'"),
        ("fm4npp", "pid", {"tuning": {"ranks": 3}}, ConfigError, "ranks"),
        ("fm4npp", "pid", {"stepps": 3}, ConfigError, "stepps"),
    ],
)
def test_what_cannot_be_adapted_is_refused(
    space: Workspace, files: dict, tmp_path: Path, run: str, label: str, more: dict, error: type, said: str
) -> None:
    with pytest.raises(error, match=said):
        Model(space.run(run), "cpu").adapt(files["fm4npp"], label, tmp_path / "mine", **more)
    assert not (tmp_path / "mine").exists()
