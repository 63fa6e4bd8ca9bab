"""FM4NPP on detectors that the paper does not know: a liquid-argon box, a cylinder in mm without signal and layers; weights carried over."""

import logging

import numpy as np
import pandas as pd
import pytest
import torch

from fm4npp_toys import EVENTS, LARGE_ID, silicon_event, toy_cache
from tpcfm.config.workflow import PicturesConfig
from tpcfm.errors import CheckpointError, DataError
from tpcfm.files import read_json
from tpcfm.losses.next_neighbours import NextNeighbours
from tpcfm.models.fm4npp.settings import AdapterConfig
from tpcfm.plan.run import Run
from tpcfm.prepare.sequences.batches import collate_sequences
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.fm4npp import classify_points, find_tracks, pictures
from tpcfm.systems.fm4npp import pretrain as pretrain_fm4npp
from tpcfm.systems.fm4npp.adapter import adapter_labels, load_adapter
from tpcfm.systems.fm4npp.adapter_task import AdapterTask
from tpcfm.systems.fm4npp.choice import Fm4nppPictures
from tpcfm.systems.fm4npp.settings import NeighbourPretraining
from tpcfm.systems.fm4npp.support import load_backbone, new_backbone
from tpcfm.tasks.labelled import labelled_events
from tpcfm.train import StepInfo, to_device
from tpcfm.workspace import Workspace

MODEL = {"width": 64, "depth": 2, "dropout": 0.0}
TRAIN = {"steps": 4, "batch_size": 4, "learning_rate": 1e-3, "clip": 1.0, "evaluate_every": 2}
LABELS = {
    "pilarnet": {"group": 0, "interaction": 0, "semantic": 4, "pid": 6},
    "silicon": {"particle": 0, "kind": 2},
}
CASES = [(detector, label) for detector, labels in LABELS.items() for label in labels]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    torch.set_num_threads(1)
    space = Workspace(tmp_path_factory.mktemp("detectors"))
    for detector in EVENTS:
        toy_cache(space.cache(detector), k=8, detector=detector)
    return space


def job(detector: str, block: NeighbourPretraining | AdapterConfig, slug: str, pretrained: str | None = None) -> Run:
    pretraining = isinstance(block, NeighbourPretraining)
    recipe = "pretrain" if pretraining else "find_tracks" if block.instances else "classify_points"
    return Run(
        slug=f"{detector}-{slug}",
        stage="pretrain" if pretraining else "finetune",
        system="mine",
        family="fm4npp",
        recipe=f"fm4npp.{recipe}",
        task="pretrain" if pretraining else "+".join(block.tasks),
        config=block.model_dump(mode="json"),
        dataset=f"{detector}-events",
        cache=detector,
        pretrained=pretrained,
    )


def pretraining(detector: str, pretrained: str | None = None, **changes: object) -> Run:
    block = NeighbourPretraining.model_validate({"model": MODEL, "targets": {"k": 8}, "train": TRAIN, **changes})
    return job(detector, block, "pretrain", pretrained)


def adapter(detector: str, outputs: dict[str, int], pretrained: str | None = None, **changes: object) -> Run:
    plain = {"outputs": outputs, "n_labels": 6, "width": 32, "queries": 12, "model": MODEL, "train": TRAIN}
    block = AdapterConfig.model_validate({**plain, "start": "pretrained" if pretrained else "none", **changes})
    return job(detector, block, "-".join(outputs), pretrained)


def metrics(workspace: Workspace, run: Run) -> pd.DataFrame:
    return pd.read_parquet(workspace.run(run.id) / "metrics.parquet")


@pytest.fixture(scope="module")
def pretrained(workspace: Workspace) -> dict[str, str]:
    """A pretrained run on every detector."""
    runs = {detector: pretraining(detector) for detector in EVENTS}
    for run in runs.values():
        pretrain_fm4npp.run(run, workspace, device="cpu")
    return {detector: run.id for detector, run in runs.items()}


@pytest.mark.parametrize("detector", LABELS)
def test_pretraining_learns(workspace: Workspace, pretrained: dict[str, str], detector: str) -> None:
    folder = workspace.run(pretrained[detector])
    frame = pd.read_parquet(folder / "metrics.parquet")
    assert set(frame["system"]) == {"mine"}
    assert set(frame["dataset"]) == {f"{detector}-events"}
    log = pd.read_parquet(folder / "log.parquet")
    curve = log[log["split"] == "validation"].sort_values("step")["loss"].to_list()
    assert curve[-1] < curve[0]
    config = read_json(folder / "config.json")
    assert config["detector"]["name"] == detector
    assert list(config["edges"]["axes"]) == list(PreparedStore(workspace.cache(detector)).detector.axes)
    load_backbone(folder, PreparedStore(workspace.cache(detector)))


@pytest.mark.parametrize(("detector", "label"), CASES)
def test_every_label_is_learned_and_answered(
    workspace: Workspace, pretrained: dict[str, str], detector: str, label: str
) -> None:
    count = LABELS[detector][label]
    run = adapter(detector, {label: count}, pretrained[detector])
    (classify_points if count else find_tracks).run(run, workspace, device="cpu")
    frame = metrics(workspace, run)
    assert {"accuracy", "f1_calibrated"} <= set(frame["metric"]) if count else {"ari", "purity"} <= set(frame["metric"])
    assert set(frame["task"]) == {label}
    assert set(frame["system"]) == {"mine"}
    store = PreparedStore(workspace.cache(detector))
    loaded = load_adapter(workspace.run(run.id), store)
    row = int(store.rows("test")[0])
    found = adapter_labels(loaded, label, store, row)
    shown = pd.read_parquet(workspace.run(run.id) / "predictions.parquet").iloc[0]
    assert shown["event_id"] == store.value(row, "event_id")
    table = store.detector.labels[label]
    assert shown["prediction"].tolist() == (table.decode(found) if count else found).tolist()


def test_points_of_ignored_classes_are_neither_trained_nor_scored(workspace: Workspace) -> None:
    run = adapter("pilarnet", {"pid": 6})
    classify_points.run(run, workspace, device="cpu")
    store = PreparedStore(workspace.cache("pilarnet"))
    truth = np.concatenate([store.value(row, "pid") for row in store.rows("test").tolist()])
    assert (truth == -1).any()
    scores = pd.read_parquet(workspace.run(run.id) / "event_scores.parquet")
    counted = scores[(scores["metric"] == "accuracy") & (scores["class"] == "")]
    assert counted["denominator"].sum() == (truth >= 0).sum()
    task = AdapterTask(run, workspace, "cpu")
    frame = metrics(workspace, run)
    shares = frame[frame["metric"] == "share"].set_index("class")["value"]
    assert list(shares.index) == store.detector.labels["pid"].names
    assert shares.sum() == pytest.approx(1)
    batch = task.make_batch(store, task.training[:3], StepInfo(0, 0, 0, True))
    assert {-1, 0} <= set(batch["pid"])


def test_large_ids_are_kept_apart_and_background_is_no_object(workspace: Workspace) -> None:
    store = PreparedStore(workspace.cache("silicon"))
    batch = collate_sequences(store, store.rows("train")[:2], 0)
    assert batch["particle"].max() >= LARGE_ID
    assert batch["particle"].min() == -1
    frame = metrics(workspace, _finished(workspace, adapter("silicon", {"particle": 0})))
    values = frame[(frame["class"] == "") & (frame["split"] == "test")].set_index("metric")["value"]
    true = sum(len(np.unique(store.value(row, "particle"))) - 1 for row in store.rows("test").tolist())
    assert values["true_tracks"] == true
    assert any(name.startswith("efficiency_pt_fit") for name in values.index), "a field bends tracks here"


def _finished(workspace: Workspace, run: Run) -> Run:
    find_tracks.run(run, workspace, device="cpu")
    return run


def test_without_a_field_there_are_no_momenta(workspace: Workspace) -> None:
    frame = metrics(workspace, _finished(workspace, adapter("pilarnet", {"interaction": 0})))
    assert not [name for name in frame["metric"] if "_pt_" in name or "selected" in name]


@pytest.mark.parametrize(
    ("detector", "outputs"), [("pilarnet", {"semantic": 4, "pid": 6}), ("silicon", {"particle": 0})]
)
def test_an_event_alone_equals_the_same_event_in_a_batch(
    workspace: Workspace, pretrained: dict[str, str], detector: str, outputs: dict[str, int]
) -> None:
    task = AdapterTask(adapter(detector, outputs, pretrained[detector]), workspace, "cpu")
    task.model.eval()
    info = StepInfo(0, 0, 0, False)

    @torch.no_grad()
    def answer(rows: np.ndarray) -> list[torch.Tensor]:
        batch = task.make_batch(task.store, rows, info)
        found = task.output(batch)
        if isinstance(found, dict):
            parts = [values.split(np.diff(batch["offsets"]).tolist()) for values in found.values()]
            return [torch.cat(event, 1) for event in zip(*parts, strict=True)]
        return list(found[-1].masks)

    together = answer(task.test)
    for row, whole in zip(task.test, together, strict=True):
        torch.testing.assert_close(answer(np.array([row]))[0], whole, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("k", [8, 5])
def test_weights_of_another_detector_are_the_beginning(
    workspace: Workspace, pretrained: dict[str, str], k: int, caplog: pytest.LogCaptureFixture
) -> None:
    other = pretrained["sphenix"]
    still = {**TRAIN, "steps": 1, "learning_rate": 1e-30, "weight_decay": 0.0}
    run = pretraining("silicon", other, targets={"k": k}, train=still)
    assert run.id != pretraining("silicon", targets={"k": k}, train=still).id
    with caplog.at_level(logging.INFO):
        pretrain_fm4npp.run(run, workspace, device="cpu")
    theirs, mine = (load_backbone(workspace.run(name)).state_dict() for name in (other, run.id))
    kept = [name for name in mine if k == 8 or not name.startswith("head.")]
    assert all(torch.equal(theirs[name], mine[name]) for name in kept)
    assert mine["head.weight"].shape[0] == 3 * k
    assert ("head.weight" in caplog.text) == (k != 8)


def test_weights_that_do_not_fit_are_refused(workspace: Workspace, pretrained: dict[str, str]) -> None:
    wider = pretraining("silicon", pretrained["sphenix"], model={**MODEL, "width": 128})
    with pytest.raises(CheckpointError, match="shapes differ"):
        pretrain_fm4npp.run(wider, workspace, device="cpu")
    with pytest.raises(CheckpointError, match=r"otherwise .*ranges"):
        load_backbone(workspace.run(pretrained["sphenix"]), PreparedStore(workspace.cache("silicon")))


def test_one_step_lowers_the_loss_of_its_batch(workspace: Workspace) -> None:
    """The bridge from a prepared cache to the loss, without a job around it."""
    for detector in LABELS:
        store = PreparedStore(workspace.cache(detector))
        batch = collate_sequences(store, store.rows("train")[:2], 8)
        block = NeighbourPretraining.model_validate({"model": MODEL, "targets": {"k": 8}, "train": TRAIN})
        model, loss = new_backbone(block.model, block.targets, 0), NextNeighbours(block.targets)
        info, tensors = StepInfo(0, 0, 0, True), to_device(batch, torch.device("cpu"))
        optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
        before = loss.sums(model, tensors, info)["squared_distance"]
        before.backward()
        optimizer.step()
        assert loss.sums(model, tensors, info)["squared_distance"] < before


def test_labels_that_are_not_there_are_named(workspace: Workspace) -> None:
    store = PreparedStore(workspace.cache("pilarnet"))
    with pytest.raises(DataError, match="pilarnet has no label 'track'; it has: fragment, group"):
        find_tracks.run(adapter("pilarnet", {"track": 0}), workspace, device="cpu")
    with pytest.raises(DataError, match="no event of the split 'train' carries labels fragment"):
        labelled_events(store, ["fragment"], 1, 0)
    with pytest.raises(DataError, match=r"'semantic' has 4 classes .* planned for 5"):
        classify_points.run(adapter("pilarnet", {"semantic": 5}), workspace, device="cpu")


@pytest.mark.parametrize("detector", LABELS)
def test_pictures_follow_the_labels(workspace: Workspace, pretrained: dict[str, str], detector: str, tmp_path) -> None:
    instances, classes = next(iter(LABELS[detector])), list(LABELS[detector])[-1]
    outputs = {name: LABELS[detector][name] for name in (instances, classes)}
    runs = {name: adapter(detector, {name: n}, pretrained[detector], seed=1) for name, n in outputs.items()}
    control = adapter(detector, {instances: 0}, seed=1)
    for run in (*runs.values(), control):
        (classify_points if classes in run.task else find_tracks).run(run, workspace, device="cpu")
    shown = Fm4nppPictures(
        dataset=f"{detector}-events", cache=detector, backbone=pretrained[detector],
        adapters={name: run.id for name, run in runs.items()},
        compared={"adapter only": control.id, "pretrained": runs[instances].id}, instances=instances,
    )  # fmt: skip
    pictures.write_pictures(shown, PicturesConfig(events=2, points=40, tsne_dims=[2]), workspace, tmp_path)
    features = pd.read_parquet(tmp_path / pictures.FEATURES)
    assert {instances, classes} <= set(features["label"])
    assert {"before", "after"} <= set(features["stage"])
    assert set(pd.read_parquet(tmp_path / pictures.BOXES)["axis"]) == set(EVENTS[detector][0].axes)
    assert set(pd.read_parquet(tmp_path / pictures.PATHS)["order"]) == {"raster", "hilbert", "morton", "radial"}
    assert (tmp_path / pictures.PAIRS).exists()


def test_the_toys_are_what_they_say() -> None:
    event = silicon_event(np.random.default_rng(0), 4)
    assert (event["particle"][event["kind"] == -1] == 0).any()
    assert event["particle"].max() > np.iinfo(np.int32).max
