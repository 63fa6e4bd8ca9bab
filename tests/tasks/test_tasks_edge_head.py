"""The head of edge convolutions: blind to the order of points, steps turned in training only, and runs of both families that predict what was scored."""

import numpy as np
import pandas as pd
import pytest
import torch

import polar_mae_toys
from fm4npp_toys import toy_cache
from plans import planned
from tpcfm.inference.predict import predict_event
from tpcfm.models.fm4npp.settings import AdapterConfig
from tpcfm.models.heads.edge_head import EdgeHeadNetwork
from tpcfm.models.heads.settings import EdgeHead
from tpcfm.plan.run import Run
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.fm4npp import classify_points, find_tracks
from tpcfm.systems.polar_mae import segment
from tpcfm.tasks.edge_head import class_weights, geometry_sizes
from tpcfm.tasks.geometry import Geometry
from tpcfm.train import StepInfo, to_device
from tpcfm.workspace import Workspace

HEAD = {"width": 16, "layers": 2, "neighbours": 8, "pairs": 8, "tuning_events": 3}
TRAIN = {"steps": 40, "batch_size": 2, "learning_rate": 1e-2, "evaluate_every": 20}
BACKBONE = {"width": 64, "depth": 2, "dropout": 0.0}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    torch.set_num_threads(1)
    space = Workspace(tmp_path_factory.mktemp("heads"))
    for detector in ("sphenix", "pilarnet"):
        toy_cache(space.cache(detector), detector=detector, k=1)
    polar_mae_toys.toy_cache(space.cache("toy"), 12)
    return space


def batch_of(store: PreparedStore, training: bool = False) -> dict[str, np.ndarray]:
    return Geometry(8, 8)(store, store.rows("test")[:2], StepInfo(step=0, epoch=3, seed=1, training=training))


@pytest.mark.parametrize("classes", [0, 3])
def test_the_order_of_points_and_of_pair_ends_does_not_matter(workspace: Workspace, classes: int) -> None:
    store = PreparedStore(workspace.cache("sphenix"))
    torch.manual_seed(0)
    network = EdgeHeadNetwork(0, *geometry_sizes(store.detector), {"a": classes}, EdgeHead.model_validate(HEAD)).eval()
    batch = to_device(batch_of(store), CPU)
    order = torch.randperm(len(batch["xyz"]), generator=torch.Generator().manual_seed(0))
    place = order.argsort()
    near = batch["near"][order]
    turned = {
        **batch, "geometry": batch["geometry"][order], "place": batch["place"][order],
        "near": torch.where(near >= 0, place[near], -1), "edges": place[batch["edges"]].flip(0),
    }  # fmt: skip
    first, second = network(None, batch), network(None, turned)
    if classes:
        torch.testing.assert_close(second["a"], first["a"][order])
    else:
        torch.testing.assert_close(second[1], first[1])


def test_steps_are_turned_in_training_only_and_about_the_axis_in_a_cylinder(workspace: Workspace) -> None:
    for detector in ("sphenix", "pilarnet"):
        store = PreparedStore(workspace.cache(detector))
        still, turned = batch_of(store), batch_of(store, training=True)
        np.testing.assert_allclose(still["place"], still["xyz"] / store.detector.pitch, rtol=1e-6)
        assert not np.allclose(still["place"], turned["place"], atol=0.1)
        lengths = [np.linalg.norm(b["place"][:-1] - b["place"][1:], axis=1)[:50] for b in (still, turned)]
        np.testing.assert_allclose(*lengths, rtol=1e-3, atol=1e-3)
        if detector == "sphenix":
            np.testing.assert_allclose(still["place"][:, 2], turned["place"][:, 2], atol=1e-4)
        np.testing.assert_array_equal(turned["place"], batch_of(store, training=True)["place"])


def adapter(label: str, classes: int, start: str, cache: str) -> Run:
    plain = {
        "outputs": {label: classes},
        "start": start,
        "n_labels": 6,
        "width": 16,
        "model": BACKBONE,
        "edge_head": HEAD,
        "train": TRAIN,
    }
    block = AdapterConfig.model_validate({**plain, "mix_embedding": start != "none"})
    recipe = "fm4npp.classify_points" if classes else "fm4npp.find_tracks"
    return Run(
        slug=f"{cache}-{label}-{start}", stage="finetune", system="mine", family="fm4npp", recipe=recipe, task=label,
        config=block.model_dump(mode="json"), dataset="events", cache=cache,
    )  # fmt: skip


@pytest.mark.parametrize("start", ["random", "none"])
@pytest.mark.parametrize(
    ("cache", "label", "classes"), [("sphenix", "pid", 5), ("sphenix", "track", 0), ("pilarnet", "group", 0)]
)
def test_on_sequences(workspace: Workspace, cache: str, label: str, classes: int, start: str) -> None:
    run = adapter(label, classes, start, cache)
    (classify_points if classes else find_tracks).run(run, workspace, device="cpu")
    check(workspace, run)


@pytest.mark.parametrize("start", ["random", "none"])
def test_on_tokens(workspace: Workspace, start: str) -> None:
    config = {
        "label": "semantic", "start": start, "n_labels": 6, "edge_head": HEAD, "train": TRAIN, "model": polar_mae_toys.MODEL.model_dump(),
    }  # fmt: skip
    run = polar_mae_toys.toy_run("polar_mae.segment", config, n_labels=6)
    segment.run(run, workspace, device="cpu")
    check(workspace, run)


def check(workspace: Workspace, run: Run) -> None:
    """It has learned, and the model directory alone says of an event what was scored."""
    folder, store = workspace.run(run.id), PreparedStore(workspace.cache(run.cache))
    frame = pd.read_parquet(folder / "metrics.parquet")
    whole = frame[(frame["split"] == "test") & (frame["class"] == "")].set_index("metric")["value"]
    assert whole["f1"] > 0.3 if "f1" in whole else whole["ari"] > 0.3
    shown = pd.read_parquet(folder / "predictions.parquet").set_index("event_id")
    row = int(store.rows("test")[0])
    found = predict_event(folder, store, row)
    said = shown.loc[found["event_id"], "prediction"]
    assert np.mean(found["prediction"] == said) > 0.999  # features are kept in half precision


def test_weights_of_classes_have_mean_one_over_points(workspace: Workspace) -> None:
    run = adapter("pid", 5, "none", "sphenix")
    from tpcfm.systems.fm4npp.adapter_task import AdapterTask

    task = AdapterTask(run, workspace, "cpu")
    numbers = np.concatenate([task.store.value(int(row), "pid") for row in task.training])
    counts = np.bincount(numbers, minlength=5)
    weights = np.array(class_weights(task, "pid", 0.5))
    assert (weights * counts).sum() / counts.sum() == pytest.approx(1)
    present = counts > 0
    np.testing.assert_allclose((weights * np.sqrt(counts))[present], (weights * np.sqrt(counts))[present][0])


def test_the_plan_holds_published_heads_and_edge_heads_side_by_side() -> None:
    before = planned(scale="tiny")
    systems = {"polar_mae": {"heads": {"modes": ["peft", "edges"], "starts": ["polar_mae", "none"]}}}
    systems["fm4npp"] = {"adapters": {"heads": ["published", "edges"]}}
    plan = planned({"systems": systems}, "tiny")
    heads = [run for run in plan.runs.values() if run.config.get("edge_head")]
    assert {run.family for run in heads} == {"polar_mae", "fm4npp"}
    published = {n for n, run in before.runs.items() if run.stage == "finetune" and run.family == "fm4npp"}
    assert published <= set(plan.runs)
    values = {
        point.value for study in plan.studies.values() if study.name.startswith("heads_") for point in study.points
    }
    assert {"polar_mae/peft", "polar_mae/edges", "none/edges", "edge head, geometry only", "adapter only"} <= values
    assert "none/peft" not in values
