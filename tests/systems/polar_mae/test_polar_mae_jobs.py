"""PoLAr-MAE recipes end to end on toy events: they learn, resume to the same bits, and write what the report reads."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from polar_mae_toys import MODEL, TRAIN, toy_batch, toy_run, toy_workspace
from tpcfm.errors import CheckpointError, ConfigError, DataError, Interrupted
from tpcfm.evaluate.table import read_metrics
from tpcfm.models.polar_mae.autoencoder import make_masked_autoencoder
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.baselines import sparse_unet
from tpcfm.systems.polar_mae import pretrain as pretrain_polar_mae
from tpcfm.systems.polar_mae import probe as probe_tokens
from tpcfm.systems.polar_mae import segment
from tpcfm.systems.polar_mae.attention_map import attention_maps, typical_queries
from tpcfm.systems.polar_mae.batches import GroupBatches
from tpcfm.systems.polar_mae.objective import MaskedObjective
from tpcfm.tasks.support import evaluation_batches
from tpcfm.train import StepInfo, evaluate_objective, to_device
from tpcfm.workspace import Workspace

PRETRAIN = {"model": MODEL.model_dump(), "train": TRAIN | {"steps": 40, "evaluate_every": 20}, "seed": 0}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    torch.set_num_threads(1)
    return toy_workspace(Path(tmp_path_factory.mktemp("polar")))


@pytest.fixture(scope="module")
def pretrained(workspace: Workspace) -> str:
    run = toy_run("polar_mae.pretrain", PRETRAIN)
    pretrain_polar_mae.run(run, workspace)
    return run.id


def metrics(workspace: Workspace, run_id: str) -> pd.DataFrame:
    return read_metrics([workspace.run(run_id) / "metrics.parquet"])


def test_pretraining_lowers_both_losses_and_writes_the_model_directory(workspace: Workspace, pretrained: str) -> None:
    folder = workspace.run(pretrained)
    for name in ("model.safetensors", "config.json", "README.md", "run.json"):
        assert (folder / name).stat().st_size > 0
    log = pd.read_parquet(folder / "log.parquet").query("split == 'validation'")
    for part in ("loss", "chamfer", "energy"):
        assert log[part].iloc[-1] < 0.6 * log[part].iloc[0]
    whole = metrics(workspace, pretrained)
    table = whole[whole["task"] == "pretrain"].set_index("metric")["value"]
    assert table["loss"] == pytest.approx(table["chamfer"] + table["energy"])
    assert table["best_loss"] <= table["loss"]
    assert set(table.index) == {f"{b}{n}" for b in ("", "best_") for n in ("loss", "chamfer", "energy")}


def test_pretraining_probes_its_tokens_as_it_goes(workspace: Workspace, pretrained: str) -> None:
    log = pd.read_parquet(workspace.run(pretrained) / "log.parquet").query("split == 'validation'")
    assert log["probe_f1"].iloc[-1] > log["probe_f1"].iloc[0]  # above the random weights of step 0
    rows = metrics(workspace, pretrained).query("task == 'probe_curve'").set_index(["metric", "class"])["value"]
    assert rows["probe_f1", ""] == pytest.approx(log["probe_f1"].iloc[-1])
    assert rows["probe_f1", "track"] == pytest.approx(log["probe_f1_track"].iloc[-1])


def test_reconstructions_hold_each_group_once(workspace: Workspace, pretrained: str) -> None:
    events = pd.read_parquet(workspace.run(pretrained) / "reconstruction.parquet")
    store = PreparedStore(workspace.cache("toy"))
    assert len(events) == 4
    for _, event in events.iterrows():
        row = store.event_ids(range(len(store))).index(event["event_id"])
        found = np.stack([np.concatenate([event[f"{k}_{a}"] for k in ("visible", "masked")]) for a in "xyz"], axis=1)
        raw = store[row]
        want = np.stack([raw[a][raw["member"]] for a in "xyz"], axis=1)
        np.testing.assert_allclose(np.sort(found.round(), axis=0), np.sort(want, axis=0), atol=1e-3)
        assert len(event["predicted_x"]) == len(event["masked_x"]) == len(event["masked_energy_predicted"])
        near = np.abs(event["predicted_x"].mean() - event["masked_x"].mean())
        assert near < 5  # predictions lie at their groups


def test_autoencoding_visible_groups_is_one_more_term(workspace: Workspace) -> None:
    store = PreparedStore(workspace.cache("toy"))
    torch.manual_seed(0)
    model = make_masked_autoencoder("polar_mae", MODEL)
    batch = toy_batch(store, [0, 1], mask_ratio=0.6)
    plain = evaluate_objective(model, MaskedObjective(energy=True), [batch], "cpu")
    more = evaluate_objective(model, MaskedObjective(energy=True, autoencode=0.5), [batch], "cpu")
    assert more["chamfer"] == plain["chamfer"]
    assert more["loss"] == pytest.approx(plain["loss"] + 0.5 * more["autoencode"])


def test_a_chamfer_of_positions_leaves_the_energies_out(workspace: Workspace) -> None:
    torch.manual_seed(0)
    model = make_masked_autoencoder("point_mae", MODEL.model_copy(update={"position_layers": 3}))
    batch = toy_batch(PreparedStore(workspace.cache("toy")), [0, 1], mask_ratio=0.6)
    objective = MaskedObjective(energy=False, positions_only=True)
    with torch.no_grad():
        model.points_head.bias.view(-1, 4)[:, 3] += 5.0  # predicted energies, far off
    both = {
        only: evaluate_objective(model, MaskedObjective(False, positions_only=only), [batch], "cpu") for only in (0, 1)
    }
    assert both[0]["chamfer"] > 2 * 5**2 - 10 > both[1]["chamfer"]
    step = StepInfo(step=0, epoch=0, seed=0, training=True)
    objective.sums(model, to_device(batch, "cpu"), step)["chamfer"].backward()
    assert model.points_head.bias.grad.view(-1, 4)[:, 3].abs().max() == 0
    assert model.encoder.position[2].weight.grad.abs().sum() > 0  # the third linear map of the positions


def test_interrupted_pretraining_ends_with_the_same_bits(workspace: Workspace, pretrained: str) -> None:
    run = toy_run("polar_mae.pretrain", PRETRAIN | {"train": PRETRAIN["train"] | {"checkpoint_every": 7}})
    assert run.id != pretrained
    attempts = 0
    while True:
        attempts += 1
        try:
            pretrain_polar_mae.run(run, workspace, max_seconds=0.4 if attempts < 4 else None)
            break
        except Interrupted:
            continue
    assert attempts > 1
    one, other = (load_file(workspace.run(r) / "model.safetensors") for r in (pretrained, run.id))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_validation_loss_does_not_depend_on_how_events_are_packed(workspace: Workspace) -> None:
    store = PreparedStore(workspace.cache("toy"))
    torch.manual_seed(0)
    model = make_masked_autoencoder("polar_mae", MODEL)
    values = [
        evaluate_objective(
            model,
            MaskedObjective(energy=True),
            evaluation_batches(store, store.rows("validation"), GroupBatches(mask_ratio=0.6), points, 0),
            "cpu",
        )
        for points in (1, 700, 10**6)
    ]
    assert values[1] == pytest.approx(values[0], rel=1e-5)
    assert values[2] == pytest.approx(values[0], rel=1e-5)


def test_an_event_of_one_token_is_harmless(workspace: Workspace) -> None:
    store = PreparedStore(workspace.cache("toy"))
    model = make_masked_autoencoder("polar_mae", MODEL)
    batch = toy_batch(store, [0, 1], mask_ratio=0.01)  # floor(0.01 n) masks nothing
    objective = MaskedObjective(energy=True)
    assert objective.counts(batch, None) == {"chamfer": 0.0, "energy": 0.0}
    tensors = {key: torch.from_numpy(value) for key, value in batch.items()}
    assert {name: value.item() for name, value in objective.sums(model, tensors, None).items()} == {
        "chamfer": 0.0,
        "energy": 0.0,
    }


@pytest.mark.parametrize(("mode", "start"), [("peft", "pretrained"), ("full", "pretrained"), ("full", "random")])
def test_segmentation_writes_scores_predictions_and_confusion(
    workspace: Workspace, pretrained: str, mode: str, start: str
) -> None:
    train = TRAIN | {"steps": 30, "evaluate_every": 15}
    config = {
        "mode": mode,
        "start": start,
        "n_labels": 6,
        "head_hidden": 16,
        "model": MODEL.model_dump(),
        "train": train,
    }
    run = toy_run("polar_mae.segment", config, n_labels=6, pretrained=pretrained if start == "pretrained" else None)
    segment.run(run, workspace)
    check_segmentation_outputs(workspace, run.id)
    weights = load_file(workspace.run(run.id) / "model.safetensors")
    if mode == "peft":
        source = load_file(workspace.run(pretrained) / "model.safetensors")
        frozen = [name for name in weights if name.startswith("encoder.")]
        assert frozen
        assert all(torch.equal(weights[name], source[name]) for name in frozen)


def check_segmentation_outputs(workspace: Workspace, run_id: str) -> None:
    """The rows the report needs are there and consistent with each other."""
    table = metrics(workspace, run_id)
    assert (table["n_labels"] == 6).all()
    costs = table[table["split"] == ""].set_index("metric")["value"]
    assert {"parameters", "training_seconds", "training_megabytes", "events_per_second"} <= set(costs.index)
    assert (table.loc[~table["metric"].isin(costs.index), "split"] == "test").all()
    for suffix in ("", "_calibrated"):
        for metric in ("f1", "precision", "recall", "iou"):
            rows = table[table["metric"] == metric + suffix].set_index("class")
            assert list(rows.index) == ["", "shower", "track", "Michel", "delta"]
            assert rows.loc["", "value"] == pytest.approx(rows["value"].iloc[1:].mean())
            assert (rows["low"] <= rows["high"]).all()
    cells = table[table["metric"] == "confusion"].set_index("class")["value"]
    store = PreparedStore(workspace.cache("toy"))
    assert cells.sum() == store.lengths[store.rows("test")].sum()
    truth = np.concatenate([store[int(r)]["semantic"] for r in store.rows("test")])
    michel = sum(value for name, value in cells.items() if name.startswith("Michel>"))
    assert michel == (truth == 2).sum()
    hit, predicted = cells["track>track"], sum(v for n, v in cells.items() if n.endswith(">track"))
    precision = table[(table["metric"] == "precision") & (table["class"] == "track")]["value"].item()
    assert precision == pytest.approx(hit / predicted if predicted else 0.0)
    events = pd.read_parquet(workspace.run(run_id) / "predictions.parquet")
    assert 0 < len(events) <= 8
    assert list(events.columns) == ["event_id", "x", "y", "z", "energy", "truth", "prediction"]
    assert events["prediction"].map(len).equals(events["x"].map(len))


def test_sparse_unet_recipe(workspace: Workspace) -> None:
    train = TRAIN | {"steps": 12, "evaluate_every": 6}
    run = toy_run(
        "baselines.sparse_unet", {"n_labels": 6, "filters": 4, "depth": 3, "repetitions": 1, "train": train}, n_labels=6
    )
    sparse_unet.run(run, workspace)
    check_segmentation_outputs(workspace, run.id)
    log = pd.read_parquet(workspace.run(run.id) / "log.parquet").query("split == 'train'")
    assert log["loss"].iloc[-1] < log["loss"].iloc[0]


def test_probe_of_pretrained_tokens_beats_random_weights(workspace: Workspace, pretrained: str) -> None:
    means = {}
    for start in (None, pretrained):
        config = {"model": MODEL.model_dump(), "seeds": [0, 1], "train_events": 10, "test_events": 6}
        run = toy_run("polar_mae.probe", config, pretrained=start)
        probe_tokens.run(run, workspace)
        whole = metrics(workspace, run.id)
        assert set(whole["task"]) == {"probe"}
        table = whole.set_index("class")
        assert list(table.index) == ["", "shower", "track", "Michel", "delta"]
        assert (table["low"] <= table["value"]).all()
        means[start] = table.loc["", "value"]
        tokens = pd.read_parquet(workspace.run(run.id) / "tokens.parquet")
        assert tokens["event_id"].nunique() == 4
        assert tokens[["r", "g", "b"]].min().min() >= 0
        assert tokens[["r", "g", "b"]].max().max() <= 1
    assert means[pretrained] > means[None] + 0.05
    scores = pd.read_parquet(workspace.run(run.id) / "event_scores.parquet")
    sums = scores[(scores["metric"] == "f1") & (scores["class"] == "track")]
    each = sums.groupby("repeat")[["numerator", "denominator"]].sum()
    assert (each["numerator"] / each["denominator"]).mean() == pytest.approx(table.loc["track", "value"])


def test_more_labels_than_events_is_an_error(workspace: Workspace) -> None:
    run = toy_run("baselines.sparse_unet", {"n_labels": 13, "train": TRAIN}, n_labels=13)
    with pytest.raises(DataError, match=r"13 labelled events asked for, the training split holds 12"):
        sparse_unet.run(run, workspace)


def test_start_and_pretrained_run_must_agree(workspace: Workspace) -> None:
    run = toy_run("polar_mae.segment", {"start": "pretrained", "n_labels": 2, "train": TRAIN}, n_labels=2)
    with pytest.raises(ConfigError, match="start is 'pretrained' but pretrained is None"):
        segment.run(run, workspace)


def test_a_segmentation_run_is_no_pretrained_encoder(workspace: Workspace, tmp_path: Path) -> None:
    from tpcfm.systems.polar_mae.support import pretrained_model_config

    (tmp_path / "config.json").write_text('{"architecture": "sparse_unet"}')
    with pytest.raises(CheckpointError, match="'sparse_unet'; needed is polar_mae or point_mae"):
        pretrained_model_config(tmp_path, PreparedStore(workspace.cache("toy")))


def test_attention_maps_are_distributions_over_the_tokens(workspace: Workspace, pretrained: str) -> None:
    store, folder = PreparedStore(workspace.cache("toy")), workspace.run(pretrained)
    tokens = len(store.value(3, "group_offset")) - 1
    found = attention_maps(folder, store, 3, queries=[4, 7])
    assert found["weight"].shape == (2, MODEL.depth, MODEL.heads, tokens)
    np.testing.assert_allclose(found["weight"].sum(-1), 1, rtol=1e-5)
    one = attention_maps(folder, store, 3, queries=[7], layers=[2], heads=[1])
    np.testing.assert_array_equal(one["weight"][0, 0, 0], found["weight"][1, 2, 1])
    assert np.abs(found["weight"][0] - found["weight"][1]).max() > 1e-6
    with pytest.raises(ConfigError, match=r"layer: 3; allowed: 0 to 2"):
        attention_maps(folder, store, 3, queries=[0], layers=[3])
    with pytest.raises(ConfigError, match=rf"token: {tokens}; allowed"):
        attention_maps(folder, store, 3, queries=[tokens])


def test_typical_queries_lie_in_their_class(workspace: Workspace) -> None:
    store = PreparedStore(workspace.cache("toy"))
    event, found = store[3], typical_queries(store, 3)
    assert {"shower", "track"} <= set(found)
    for label, name in enumerate(("shower", "track", "Michel", "delta")):
        if name in found:
            a, b = event["group_offset"][found[name] : found[name] + 2]
            assert (event["semantic"][event["member"][a:b]] == label).mean() > 0.5


def test_how_a_job_runs_changes_neither_its_id_nor_its_weights(tmp_path: Path) -> None:
    config = PRETRAIN | {"train": {"steps": 6, "batch_size": 3, "learning_rate": 2e-3, "evaluate_every": 3}}
    found = {}
    for number, knobs in enumerate(({}, {"log_every": 1, "checkpoint_every": 2, "workers": 2})):
        space = toy_workspace(tmp_path / str(number))
        run = toy_run("polar_mae.pretrain", config, execution=knobs)
        pretrain_polar_mae.run(run, space, device="cpu")
        found[run.id, number] = (space.run(run.id) / "model.safetensors").read_bytes()
    assert len({run for run, _ in found}) == 1
    assert len(set(found.values())) == 1


def test_a_run_under_way_takes_up_how_it_is_to_run_when_it_is_resumed(tmp_path: Path) -> None:
    space = toy_workspace(tmp_path)
    config = PRETRAIN | {"train": {"steps": 30, "batch_size": 3, "learning_rate": 2e-3, "evaluate_every": 10}}
    run = toy_run("polar_mae.pretrain", config, execution={"checkpoint_every": 1})
    with pytest.raises(Interrupted):
        pretrain_polar_mae.run(run, space, max_seconds=0.01, device="cpu")
    other = run.model_copy(update={"execution": {"log_every": 1, "checkpoint_every": 5}})
    pretrain_polar_mae.run(other, space, device="cpu")
    log = pd.read_parquet(space.run(run.id) / "log.parquet").query("split == 'train'")
    assert set(range(25, 31)) <= set(log["step"])
