"""Every PoLAr-MAE job runs on any detector and label: a cylinder in cm, a lattice that is no cube, no signal, no labels."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from event_tables import PILARNET, SPHENIX
from fm4npp_toys import toy_event as collider_event
from polar_mae_toys import MODEL, TRAIN, toy_cache, toy_event, toy_run
from tpcfm.detectors.model import Detector
from tpcfm.detectors.registry import load_detector
from tpcfm.errors import ConfigError, DataError
from tpcfm.evaluate.table import read_metrics
from tpcfm.files import read_json
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.baselines import sparse_unet
from tpcfm.systems.baselines.sparse_unet import VoxelBatches
from tpcfm.systems.polar_mae import pretrain, probe, segment
from tpcfm.systems.polar_mae.choice import PolarMaePictures
from tpcfm.systems.polar_mae.class_head import class_weights
from tpcfm.systems.polar_mae.pictures import write_pictures
from tpcfm.train import StepInfo
from tpcfm.workspace import Workspace

ADC = load_detector(str(Path(__file__).resolve().parents[3] / "examples" / "liquid_argon_adc" / "detector.yaml"))
PRETRAIN = {"model": MODEL.model_dump(), "train": TRAIN | {"steps": 10, "evaluate_every": 5}, "probe_events": 6}
HEAD = {"model": MODEL.model_dump(), "train": TRAIN | {"steps": 12, "evaluate_every": 6}, "n_labels": 6}


def changed(detector: Detector, **labels: dict) -> Detector:
    """A detector of another name without signal, with changes of its labels."""
    plain = detector.model_dump(mode="json") | {"name": "mute", "signal": []}
    for name, change in labels.items():
        plain["labels"][name] |= change
    return Detector.model_validate(plain)


MUTE = changed(SPHENIX, pid={"ignored": [0]})


def adc_event(rng: np.random.Generator) -> dict[str, np.ndarray]:
    event = toy_event(rng)
    shrunk = {axis: event[axis] * side // 768 for axis, side in zip("xyz", (512, 256, 1024))}
    xyz, first = np.unique(np.stack(list(shrunk.values()), 1), axis=0, return_index=True)
    return {**dict(zip("xyz", xyz.T)), "adc": 40 * event["energy"][first]}


def few_tracks(rng: np.random.Generator) -> dict[str, np.ndarray]:
    return collider_event(rng, 4)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    torch.set_num_threads(1)
    workspace = Workspace(Path(tmp_path_factory.mktemp("detectors")))
    toy_cache(workspace.cache("toy"))
    toy_cache(workspace.cache("collider"), detector=SPHENIX, make=few_tracks)
    toy_cache(workspace.cache("mute"), detector=MUTE, make=few_tracks)
    toy_cache(workspace.cache("adc"), detector=ADC, make=adc_event)
    return workspace


def pretrained(workspace: Workspace, cache: str, start: str | None = None, **changes: object) -> Path:
    run = toy_run("polar_mae.pretrain", PRETRAIN | changes, cache=cache, pretrained=start)
    if not workspace.run(run.id).exists():
        pretrain.run(run, workspace)
    return workspace.run(run.id)


def metrics(folder: Path) -> pd.DataFrame:
    return read_metrics([folder / "metrics.parquet"])


def test_pretraining_on_a_cylinder_in_cm_is_judged_by_its_first_classes(workspace: Workspace) -> None:
    folder = pretrained(workspace, "collider")
    config = read_json(folder / "config.json")
    assert config["architecture"] == "polar_mae"
    assert Detector.model_validate(config["detector"]).hash == SPHENIX.hash
    log = pd.read_parquet(folder / "log.parquet").query("split == 'validation'")
    assert log["loss"].iloc[-1] < log["loss"].iloc[0]
    curve = metrics(folder).query("task == 'probe_curve' and metric == 'probe_f1'")
    assert list(curve["class"]) == ["", "other", "pion", "kaon", "proton", "electron"]
    event = pd.read_parquet(folder / "reconstruction.parquet").iloc[0]
    assert np.hypot(event["visible_x"], event["visible_y"]).max() < 78
    assert event["masked_energy_predicted"].mean() > 0


@pytest.mark.parametrize("label", ["pid", "noise"])
def test_classes_of_a_collider_by_probe_head_and_unet(workspace: Workspace, label: str) -> None:
    names = SPHENIX.classes()[label].names
    source = pretrained(workspace, "collider").name
    settings = {"label": label, "model": MODEL.model_dump(), "seeds": [0], "train_events": 6, "test_events": 6}
    probed = toy_run("polar_mae.probe", settings, cache="collider", pretrained=source)
    probe.run(probed, workspace)
    table = metrics(workspace.run(probed.id)).query("task == 'probe'")
    assert list(table["class"]) == ["", *names]
    more = {"label": label, "classes": len(names)}
    tuned = toy_run("polar_mae.segment", HEAD | more, cache="collider", n_labels=6, pretrained=source)
    segment.run(tuned, workspace)
    unet = {"filters": 4, "depth": 3, "repetitions": 1, "train": HEAD["train"], "n_labels": 6, **more}
    baseline = toy_run("baselines.sparse_unet", unet, cache="collider", n_labels=6)
    sparse_unet.run(baseline, workspace)
    store = PreparedStore(workspace.cache("collider"))
    for run, architecture in ((tuned, "polar_mae_head"), (baseline, "sparse_unet")):
        folder = workspace.run(run.id)
        table = metrics(folder)
        assert set(table["task"]) == {label}
        assert list(table.query("metric == 'f1'")["class"]) == ["", *names]
        assert table.query("metric == 'confusion'")["value"].sum() == store.lengths[store.rows("test")].sum()
        config = read_json(folder / "config.json")
        assert (config["architecture"], config["label"], config["classes"]) == (architecture, label, names)
        shown = pd.read_parquet(folder / "predictions.parquet")
        assert set(np.concatenate(shown["prediction"])) <= set(SPHENIX.classes()[label].values)
        assert set(pd.read_parquet(folder / "event_scores.parquet")["task"]) == {label}


@pytest.mark.parametrize("mode", ["peft", "full"])
def test_tracks_of_a_collider_are_found_by_the_set_decoder(workspace: Workspace, mode: str) -> None:
    source = pretrained(workspace, "collider").name
    settings = HEAD | {"label": "track", "classes": 0, "queries": 8, "mode": mode}
    run = toy_run("polar_mae.segment", settings, cache="collider", n_labels=6, pretrained=source)
    segment.run(run, workspace)
    folder = workspace.run(run.id)
    table = metrics(folder)
    tested = table.query("split == 'test'").set_index("metric")["value"]
    assert {"ari", "ari_calibrated", "efficiency", "purity"} <= set(tested.index)
    assert tested["test_events"] == 6
    assert {"decision_threshold", "decision_power"} <= set(table.query("split == ''")["metric"])
    log = pd.read_parquet(folder / "log.parquet").query("split == 'validation'")
    assert log["loss"].min() < log["loss"].iloc[0]
    config = read_json(folder / "config.json")
    assert (config["label"], config["classes"], config["queries"]) == ("track", [], 8)
    shown = pd.read_parquet(folder / "predictions.parquet")
    assert np.concatenate(shown["prediction"]).max() < 8
    weights, before = load_file(folder / "model.safetensors"), load_file(workspace.run(source) / "model.safetensors")
    kept = [torch.equal(weights[n], before[n]) for n in weights if n.startswith("encoder.")]
    assert all(kept) == (mode == "peft")


def test_particles_of_liquid_argon_are_found_too(workspace: Workspace) -> None:
    cache = "instances"

    def with_groups(rng: np.random.Generator) -> dict[str, np.ndarray]:
        event = toy_event(rng)
        return {**event, "group": np.where(event["semantic"] == 0, -1, event["semantic"])}

    toy_cache(workspace.cache(cache), detector=PILARNET, make=with_groups)
    settings = HEAD | {"label": "group", "classes": 0, "queries": 5, "start": "random", "mode": "full"}
    run = toy_run("polar_mae.segment", settings, cache=cache, n_labels=6)
    segment.run(run, workspace)
    found = metrics(workspace.run(run.id)).query("split == 'test'").set_index("metric")["value"]
    assert found["true_tracks"] == 18  # three per test event; showers are background here


def test_weights_of_one_detector_start_the_pretraining_on_another(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    first = pretrained(workspace, "toy")
    with caplog.at_level(logging.INFO):
        folder = pretrained(workspace, "adc", first.name)
    assert "nothing new" in caplog.text
    assert Detector.model_validate(read_json(folder / "config.json")["detector"]).main_signal.scaling != "auto"  # type: ignore[union-attr]
    scratch = pretrained(workspace, "adc")
    logs = [pd.read_parquet(f / "log.parquet").query("split == 'validation'")["loss"] for f in (folder, scratch)]
    assert logs[0].iloc[0] < logs[1].iloc[0]
    table = metrics(folder)
    assert set(table["task"]) == {"pretrain"}  # no labels, so no probe
    assert first.name in (folder / "README.md").read_text()
    event = pd.read_parquet(folder / "reconstruction.parquet").iloc[0]
    assert {"visible_adc", "masked_adc_predicted"} <= set(event.index)


def test_a_probe_without_labels_says_so_and_a_head_refuses(workspace: Workspace) -> None:
    settings = {"model": MODEL.model_dump(), "seeds": [0]}
    run = toy_run("polar_mae.probe", settings, cache="adc")
    probe.run(run, workspace)
    folder = workspace.run(run.id)
    assert metrics(folder).empty
    assert "Nothing probed: the events carry no label with classes" in (folder / "README.md").read_text()
    assert (folder / "tokens.parquet").exists()
    with pytest.raises(DataError, match=r"liquid_argon_adc has no label 'semantic'; it has: none"):
        segment.run(toy_run("polar_mae.segment", HEAD | {"start": "random"}, cache="adc", n_labels=6), workspace)


def test_unlabelled_files_of_a_detector_with_labels_pretrain_without_a_probe(workspace: Workspace) -> None:
    def bare(rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {name: values for name, values in toy_event(rng).items() if name != "semantic"}

    toy_cache(workspace.cache("bare"), events=12, make=bare)
    assert set(metrics(pretrained(workspace, "bare"))["task"]) == {"pretrain"}
    run = toy_run("polar_mae.probe", {"model": MODEL.model_dump(), "label": "semantic"}, cache="bare")
    probe.run(run, workspace)
    assert metrics(workspace.run(run.id)).empty


def test_pictures_of_events_without_labels_show_the_largest(workspace: Workspace, tmp_path: Path) -> None:
    folder = pretrained(workspace, "adc")
    write_pictures(PolarMaePictures("adc", {"polar_mae": folder.name}), None, workspace, tmp_path)  # type: ignore[arg-type]
    store = PreparedStore(workspace.cache("adc"))
    largest = max(store.rows("test"), key=lambda row: store.lengths[row])
    tokens = pd.read_parquet(tmp_path / "attention_tokens.parquet")
    assert set(tokens["event_id"]) == set(store.event_ids([largest]))
    assert pd.read_parquet(tmp_path / "attention.parquet")["query"].nunique() == 1


def test_without_a_signal_the_energy_task_is_left_out(workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        folder = pretrained(workspace, "mute")
    assert "trained without the energy task" in caplog.text
    assert "trained without the energy task" in (folder / "README.md").read_text()
    assert read_json(folder / "config.json")["architecture"] == "point_mae"
    assert "energy" not in set(metrics(folder)["metric"])
    assert not [c for c in pd.read_parquet(folder / "reconstruction.parquet") if "energy" in c]
    weights = load_file(pretrained(workspace, "mute", pretrained(workspace, "collider").name) / "model.safetensors")
    assert not [
        name for name in weights if name.startswith("energy_head")
    ]  # of weights with the task, the rest is taken


def test_ignored_classes_are_neither_trained_nor_scored(workspace: Workspace) -> None:
    store = PreparedStore(workspace.cache("mute"))
    settings = HEAD | {"label": "pid", "classes": 4, "start": "random"}
    run = toy_run("polar_mae.segment", settings, cache="mute", n_labels=6)
    segment.run(run, workspace)
    table = metrics(workspace.run(run.id))
    truth = np.concatenate([store.value(int(row), "pid") for row in store.rows("test")])
    assert 0 < (truth != 0).sum() < len(truth)
    assert table.query("metric == 'confusion'")["value"].sum() == (truth != 0).sum()
    assert list(table.query("metric == 'f1'")["class"]) == ["", "pion", "kaon", "proton", "electron"]
    training = store.rows("train")
    counted = np.concatenate([store.value(int(row), "pid") for row in training])
    sizes = np.array([(counted == value).sum() for value in (1, 2, 3, 4)])
    np.testing.assert_allclose(class_weights(store, "pid", training, "subset"), sizes.sum() / sizes)
    shown = pd.read_parquet(workspace.run(run.id) / "predictions.parquet")
    assert set(np.concatenate(shown["truth"])) >= {-1}


def test_published_weights_need_published_counts(workspace: Workspace) -> None:
    store = PreparedStore(workspace.cache("collider"))
    with pytest.raises(ConfigError, match=r"published\.points\.pid in the detector sphenix"):
        class_weights(store, "pid", store.rows("train"), "published")


def test_classes_of_the_settings_must_be_those_of_the_detector(workspace: Workspace) -> None:
    run = toy_run("polar_mae.segment", HEAD | {"label": "pid", "start": "random"}, cache="collider", n_labels=6)
    with pytest.raises(ConfigError, match=r"classes: 4, but 'pid' of sphenix has 5"):
        segment.run(run, workspace)


@pytest.mark.parametrize("cache", ["toy", "collider", "adc", "mute"])
def test_symmetries_keep_the_box_and_every_voxel_occurs_once(workspace: Workspace, cache: str) -> None:
    store = PreparedStore(workspace.cache(cache))
    rows, detector = store.rows("train"), store.detector
    cells = np.ceil((detector.volume.high - detector.volume.low) / detector.pitch).astype(int)
    seen = set()
    for epoch in range(12):
        batch = VoxelBatches()(store, rows, StepInfo(step=0, epoch=epoch, seed=0, training=True))
        assert (batch["voxel"] >= 0).all()
        assert (batch["voxel"] < cells).all()
        together = np.column_stack([batch["voxel_event"], batch["voxel"]])
        assert len(np.unique(together, axis=0)) == len(together)
        still = VoxelBatches(augment=False)(store, rows, StepInfo(step=0, epoch=epoch, seed=0, training=True))
        spread, moved = (np.ptp(b["voxel"][b["voxel_event"] == 0], axis=0) for b in (still, batch))
        seen.add(tuple(np.argsort(np.argsort(moved))))
        assert sorted(moved) == sorted(spread)
        if len(set(cells)) == 3:
            assert (moved == spread).all()  # no axis of this box may take the place of another
        if cells[0] == cells[1] != cells[2]:
            assert moved[2] == spread[2]
    assert cache in ("adc",) or len(seen) > 1


def test_points_of_one_voxel_share_it() -> None:
    from tpcfm.systems.baselines.sparse_unet import distinct

    place = np.array([[3, 1, 0], [2, 2, 2], [3, 1, 0], [3, 1, 0], [2, 2, 2]])
    first, voxel, count = distinct(place, np.array([0, 0, 0, 1, 1]), np.array([4, 4, 4]))
    assert first.tolist() == [0, 1, 3, 4]
    assert voxel.tolist() == [0, 1, 0, 2, 3]
    assert count.tolist() == [2, 1, 1, 1]
