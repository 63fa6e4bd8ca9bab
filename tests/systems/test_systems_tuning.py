"""Backbones trained with their heads, in both families: what is trained, resume to the same bits, predictions, refusals, the plan."""

from collections.abc import Callable

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from fm4npp_toys import toy_cache as toy_sequences
from polar_mae_toys import MODEL as POLAR
from polar_mae_toys import toy_cache as toy_groups
from polar_mae_toys import toy_run
from tpcfm.errors import Interrupted
from tpcfm.inference.predict import predict_event
from tpcfm.models.fm4npp.settings import AdapterConfig
from tpcfm.nn.low_rank import merge_low_rank
from tpcfm.plan.run import Run
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.fm4npp import classify_points, find_tracks
from tpcfm.systems.fm4npp import pretrain as pretrain_fm4npp
from tpcfm.systems.polar_mae import pretrain as pretrain_polar_mae
from tpcfm.systems.polar_mae import segment
from tpcfm.systems.trained import load_model
from tpcfm.train.signals import StopRequest
from tpcfm.workspace import Workspace

TRAIN = {"steps": 4, "batch_size": 3, "learning_rate": 2e-3, "evaluate_every": 2, "checkpoint_every": 2}
BACKBONE = {"width": 64, "depth": 3, "dropout": 0.1}
Recipe = Callable[..., None]


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with a cache and a pretrained backbone of each family."""
    torch.set_num_threads(1)
    space = Workspace(tmp_path_factory.mktemp("tuning"))
    toy_sequences(space.cache("sequences"))
    toy_groups(space.cache("toy"))
    pretrain_fm4npp.run(fm4npp("pretrain", {"model": BACKBONE, "train": TRAIN}), space, device="cpu")
    pretrain_polar_mae.run(polar("polar_mae.pretrain"), space, device="cpu")
    return space


def fm4npp(task: str, config: dict, **more: object) -> Run:
    recipe = {"pretrain": "fm4npp.pretrain", "track": "fm4npp.find_tracks"}.get(task, "fm4npp.classify_points")
    names = {"slug": task, "stage": "finetune", "family": "fm4npp", "recipe": recipe, "task": task}
    return Run(**names, dataset="toy", cache="sequences", config=config, seed=0, **more)


def polar(recipe: str, **config: object) -> Run:
    more = {} if recipe.endswith("pretrain") else {"pretrained": polar("polar_mae.pretrain").id}
    return toy_run(recipe, {"model": POLAR.model_dump(), "train": TRAIN, "seed": 0, **config}, **more)


def of_family(family: str, mode: str, label: str = "", **changes: object) -> tuple[Run, Recipe]:
    """A run that trains a backbone in a mode, and its recipe."""
    tuning = {"blocks": 1, "rank": 2}
    if family == "polar_mae":
        run = polar("polar_mae.segment", mode=mode, n_labels=6, classes=4, tuning=tuning, **changes)
        return run, segment.run
    label = label or "pid"
    block = {
        "outputs": {label: 0 if label == "track" else 5}, "n_labels": 6, "width": 16, "queries": 8, "model": BACKBONE, "train": TRAIN,
        "mode": mode, "tuning": tuning, **changes,
    }  # fmt: skip
    config = AdapterConfig.model_validate(block).model_dump(mode="json")
    pretrained = fm4npp("pretrain", {"model": BACKBONE, "train": TRAIN}).id
    return fm4npp(label, config, pretrained=pretrained), (find_tracks if label == "track" else classify_points).run


def blocks(weights: dict[str, torch.Tensor]) -> set[str]:
    """Which blocks of a backbone have these weights."""
    words = {name.partition("blocks.")[2].partition(".")[0] for name in weights if "blocks." in name}
    return words - {""}


@pytest.mark.parametrize("mode", ["last", "lora", "full"])
@pytest.mark.parametrize("family", ["fm4npp", "polar_mae"])
def test_what_is_trained_changes_and_nothing_else(space: Workspace, family: str, mode: str) -> None:
    run, recipe = of_family(family, mode)
    recipe(run, space, device="cpu")
    found = load_file(space.run(run.id) / "model.safetensors")
    before = load_file(space.run(str(run.pretrained)) / "model.safetensors")
    backbone = {name.replace(".parametrizations.weight.original", ".weight"): v for name, v in found.items()}
    kept = {name.removeprefix("backbone."): value for name, value in backbone.items()}
    moved = {name for name, value in before.items() if name in kept and not torch.equal(kept[name], value)}
    depth = {str(i) for i in range(3)}
    assert blocks(dict.fromkeys(moved)) == {"last": {"2"}, "lora": set(), "full": depth}[mode]
    ups = {name: value for name, value in found.items() if name.endswith(".0.up")}
    assert (blocks(ups) == depth) == (mode == "lora")
    assert mode != "lora" or all(value.abs().max() > 0 for value in ups.values())
    frame = pd.read_parquet(space.metrics(run.id)).set_index("metric")["value"]
    trained = sum(p.numel() for p in load_model(space.run(run.id)).parameters() if p.requires_grad)
    assert frame["parameters"] == trained
    assert frame["training_megabytes"] > trained * 16 / 1e6


def test_a_frozen_backbone_keeps_less_in_memory_and_trains_least(space: Workspace) -> None:
    values = {}
    for mode in ("frozen", "lora", "full"):
        run, recipe = of_family("fm4npp", mode)
        recipe(run, space, device="cpu")
        values[mode] = pd.read_parquet(space.metrics(run.id)).set_index("metric")["value"]
    for metric in ("parameters", "training_megabytes"):
        assert values["frozen"][metric] < values["lora"][metric] < values["full"][metric]


@pytest.mark.parametrize(("family", "label"), [("fm4npp", "track"), ("polar_mae", "semantic")])
def test_stopped_and_continued_it_ends_with_the_same_bits(
    space: Workspace, monkeypatch: pytest.MonkeyPatch, family: str, label: str
) -> None:
    run, recipe = of_family(family, "lora", label)
    twin = run.model_copy(update={"slug": f"{run.slug}-twin"})
    recipe(run, space, device="cpu")
    calls = iter(range(100))
    with monkeypatch.context() as patch:
        patch.setattr(StopRequest, "reason", lambda self, needed: "a test" if next(calls) == 3 else None)
        with pytest.raises(Interrupted):
            recipe(twin, space, device="cpu")
    recipe(twin, space, device="cpu")
    known = load_file(space.run(run.id) / "model.safetensors")
    again = load_file(space.run(twin.id) / "model.safetensors")
    assert known.keys() == again.keys()
    assert all(torch.equal(known[name], again[name]) for name in known)


@pytest.mark.parametrize("family", ["fm4npp", "polar_mae"])
def test_a_model_directory_keeps_the_changes_apart_and_predicts_with_them_merged(space: Workspace, family: str) -> None:
    run, recipe = of_family(family, "lora")
    if not space.metrics(run.id).exists():
        recipe(run, space, device="cpu")
    folder, store = space.run(run.id), PreparedStore(space.cache(run.cache))
    model = load_model(folder)
    names = set(dict(model.named_modules()))
    merge_low_rank(model)
    assert any("parametrizations" in name for name in names)
    assert not any("parametrizations" in name for name in dict(model.named_modules()))
    found = predict_event(folder, store, int(store.rows("test")[0]))
    assert len(found["prediction"]) == len(found["x"])


def test_a_backbone_cannot_be_trained_where_there_is_none() -> None:
    with pytest.raises(ValueError, match="mode: lora trains a backbone; start: none has none"):
        of_family("fm4npp", "lora", start="none")
