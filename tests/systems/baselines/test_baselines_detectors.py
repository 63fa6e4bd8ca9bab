"""Baselines on detectors that the papers do not know: any label of a liquid-argon box, and of a cylinder in mm without signal."""

from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from event_tables import PILARNET
from fm4npp_toys import toy_cache
from tpcfm.errors import ConfigError
from tpcfm.files import read_json
from tpcfm.models.baselines.settings import GraphNetConfig, VoxelUNetConfig
from tpcfm.plan.run import Run
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.baselines import classify_points, find_tracks
from tpcfm.systems.baselines.plan import plan_baselines
from tpcfm.systems.baselines.settings import BaselinesStudy, PointBaselineConfig
from tpcfm.systems.baselines.track_settings import TrackBaselineConfig
from tpcfm.workspace import Workspace

TRAIN = {"steps": 2, "batch_size": 2, "learning_rate": 1e-3, "evaluate_every": 1}
GRAPH = GraphNetConfig(width=16, layers=2, neighbours=8).model_dump()
VOXEL = VoxelUNetConfig(filters=4, depth=2, width=16, decoder_layers=1, heads=2).model_dump()
TRACKERS = {
    "eggnet": {"width": 8, "iterations": 1, "passings": 1, "embedding": 4, "eps": [1.0, 0.05]},
    "exatrkx": {"embedding_width": 16, "embedding_layers": 1, "embedding": 4, "filter_width": 8, "filter_layers": 1, "width": 8, "passings": 1},
    "hept": {"width": 8, "heads": 2, "layers": 1, "block": 50, "output_width": 16, "output_layers": 1, "min_cluster": [12, 5], "min_samples": [3]},
    "kalman": {"gate": [40.0], "min_points": [4], "pick_up": [1.5], "merge": [0.0]},
}  # fmt: skip


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    torch.set_num_threads(1)
    space = Workspace(tmp_path_factory.mktemp("detectors"))
    for detector in ("pilarnet", "silicon"):
        toy_cache(space.cache(detector), detector=detector)
    return space


def job(detector: str, block: PointBaselineConfig | TrackBaselineConfig) -> Run:
    points = isinstance(block, PointBaselineConfig)
    return Run(
        slug=f"{detector}-{block.label}-{block.model}",
        stage="baseline",
        system="mine",
        family="fm4npp",
        recipe=f"baselines.{'classify_points' if points else 'find_tracks'}",
        task=block.label,
        config=block.model_dump(mode="json"),
        dataset="events",
        cache=detector,
    )


@pytest.mark.parametrize(
    ("detector", "label", "classes", "model"),
    [("pilarnet", "pid", 6, "sage"), ("pilarnet", "semantic", 4, "voxel_unet"), ("silicon", "kind", 2, "gat")],
)
def test_classes(workspace: Workspace, detector: str, label: str, classes: int, model: str) -> None:
    network = {"voxel": VOXEL} if model == "voxel_unet" else {"graph": GRAPH}
    plain = {"model": model, "label": label, "classes": classes, "n_labels": 4, "train": TRAIN}
    run = job(detector, PointBaselineConfig.model_validate(plain | network))
    classify_points.run(run, workspace, device="cpu")
    folder = workspace.run(run.id)
    frame = pd.read_parquet(folder / "metrics.parquet")
    assert set(frame["task"]) == {label}
    assert {"accuracy", "majority", "parameters"} <= set(frame["metric"])
    names = PreparedStore(workspace.cache(detector)).detector.labels[label].names
    config = read_json(folder / "config.json")
    assert (config["label"], config["classes"], config["detector"]["name"]) == (label, names, detector)
    assert set(frame.loc[frame["metric"] != "particle_confusion", "class"]) == {"", *names}


@pytest.mark.parametrize(
    ("detector", "label", "model"),
    [("pilarnet", "group", "eggnet"), ("pilarnet", "interaction", "exatrkx"), ("silicon", "particle", "hept")],
)
def test_instances(workspace: Workspace, detector: str, label: str, model: str) -> None:
    plain = {"model": model, "label": label, "n_labels": 4, model: TRACKERS[model], "train": TRAIN}
    run = job(detector, TrackBaselineConfig.model_validate({**plain, "validation_events": 3, "tuning_events": 2}))
    find_tracks.run(run, workspace, device="cpu")
    frame = pd.read_parquet(workspace.run(run.id) / "metrics.parquet")
    assert set(frame["task"]) == {label}
    assert {"ari", "efficiency", "purity", "tuned_at_edge"} <= set(frame["metric"])
    config = read_json(workspace.run(run.id) / "config.json")
    assert (config["label"], config["classes"]) == (label, [])


def test_the_kalman_filter_says_what_it_needs(workspace: Workspace) -> None:
    plain = {"model": "kalman", "n_labels": 0, "kalman": TRACKERS["kalman"], "train": TRAIN}
    for detector, label, lacks in (("pilarnet", "group", "a cylindrical volume"), ("silicon", "particle", "layers")):
        run = job(detector, TrackBaselineConfig.model_validate({**plain, "label": label}))
        with pytest.raises(ConfigError, match=f"{detector} lacks {lacks}"):
            find_tracks.run(run, workspace, device="cpu")


def test_the_plan_says_so_before_anything_runs() -> None:
    study = {"models": ["kalman"], "tasks": {"group": {"labels": [4], "train": TRAIN}}}
    planner = SimpleNamespace(detector=lambda key: PILARNET, label=lambda *_: None)
    baselines = BaselinesStudy.model_validate({"instances": study})
    with pytest.raises(ConfigError, match=r"systems.mine.baselines.instances.models: kalman: .* take kalman out"):
        plan_baselines(planner, "mine", baselines, "argon", 3, {})  # type: ignore[arg-type]
