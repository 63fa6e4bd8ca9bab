"""FM4NPP backbone and adapters: published parameter counts, causality, independence of events, long events, importer."""

import re

import numpy as np
import pytest
import torch

from mixer_twins import to_fused
from tpcfm.errors import CheckpointError
from tpcfm.losses.point_classes import PointClasses
from tpcfm.losses.set_matching import SetMatching
from tpcfm.models.fm4npp import parameters
from tpcfm.models.fm4npp.adapters import make_adapter
from tpcfm.models.fm4npp.backbone import Fm4npp, width_ratio
from tpcfm.models.fm4npp.settings import WIDTHS, AdapterConfig, Fm4nppModel
from tpcfm.nn.mup import multipliers, role
from tpcfm.nn.queries import TrackSet
from tpcfm.nn.set_decision import assign_points
from tpcfm.systems.fm4npp.released_weights import from_released, infer_config, to_released, unwrap
from tpcfm.train import StepInfo

TABLE_1 = {
    "mamba1": (343_066, 1_337_306, 5_279_578, 20_979_290, 83_639_386, 187_980_378),
    "mamba2": (319_042, 1_243_178, 4_907_002, 19_496_858, 77_725_402, 174_685_722),
    "mamba3": (313_450, 1_240_058, 4_933_018, 19_677_914, 78_603_610, 176_777_178),
    "bidirectional": (320_626, 1_249_418, 4_931_770, 19_595_546, 78_119_386, 175_571_610),
}
TRACKS = {64: 2_137_806, 128: 2_154_382, 256: 2_187_534, 512: 2_253_838, 1024: 2_386_446, 1536: 2_519_054}


OUTPUTS = {"track": {"track": 0}, "pid": {"pid": 5}, "noise": {"noise": 2}, "pid+noise": {"pid": 5, "noise": 2}}


def adapter(task, width=64, **changes):
    plain = {
        "outputs": OUTPUTS[task],
        "n_labels": 1,
        "model": {"width": width, "dropout": 0.0},
        "train": {"steps": 1, "batch_size": 1},
    }
    return AdapterConfig.model_validate({**plain, **changes})


def trained(module):
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def backbone(seed=0, **changes):
    torch.manual_seed(seed)
    model = Fm4npp(Fm4nppModel.model_validate({"width": 64, "depth": 3, "dropout": 0.0, **changes}), 5)
    torch.nn.init.normal_(model.head.weight)  # starts at zero, which would hide everything
    return model.eval()


def points(lengths, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(sum(lengths), 4, generator=rng), torch.tensor([0, *np.cumsum(lengths)])


@pytest.mark.parametrize("mixer", TABLE_1)
@pytest.mark.parametrize("size", WIDTHS)
def test_backbone_has_the_counted_parameters(mixer, size):
    config = Fm4nppModel(width=WIDTHS[size], mixer=mixer)
    expected = TABLE_1[mixer][list(WIDTHS).index(size)]
    assert parameters.backbone(config) == expected
    if WIDTHS[size] <= 512:
        with torch.device("meta"):
            model = Fm4npp(config.model_copy(update={"parameterization": "standard"}), 30)
        assert trained(model) == expected


@pytest.mark.parametrize("mixer", ["mamba3", "bidirectional"])
def test_further_mixers_have_as_many_parameters_as_mamba2(mixer):
    for ours, reference in zip(TABLE_1[mixer], TABLE_1["mamba2"], strict=True):
        assert abs(ours / reference - 1) < 0.02


def test_mamba1_counts_round_to_the_published_table():
    printed = ("0.34", "1.3", "5.3", "21", "84", "188")
    for count, text in zip(TABLE_1["mamba1"], printed, strict=True):
        assert f"{count / 1e6:.{len(text.partition('.')[2])}f}" == text


@pytest.mark.parametrize("width", TRACKS)
def test_adapters_have_the_published_parameters(width):
    with torch.device("meta"):
        assert (
            trained(make_adapter(adapter("track", width)))
            == TRACKS[width]
            == parameters.adapter(adapter("track", width))
        )
        # The published counts of the classifiers contain 4.5 numbers per channel of an embedder that they do not use.
        for task, published in {"pid": {256: 399_249, 1536: 736_529}, "noise": {256: 398_478, 1536: 735_758}}.items():
            count = trained(make_adapter(adapter(task, width)))
            assert count == parameters.adapter(adapter(task, width))
            if width in published:
                assert count + 9 * width // 2 == published[width]


@pytest.mark.parametrize(("layers", "published"), [(0, 564_241), (1, 1_091_345), (2, 1_618_449), (4, 2_672_657)])
def test_depth_sweep_has_the_published_parameters(layers, published):
    config = adapter("pid", 1536, attention_layers=layers, feed_forward=True)
    with torch.device("meta"):
        count = trained(make_adapter(config))
    assert count + parameters.embedding(config.model) == published  # counted there with the frozen point embedding


def test_parameter_table_prints_ours_beside_published():
    rows = parameters.parameter_table()
    assert {"part", "ours", "published"} == set(rows[0])
    assert all(
        row["ours"] == row["published"] for row in rows if "adapter" in row["part"] or "checkpoint" in row["part"]
    )


@pytest.mark.parametrize("mixer", ["mamba2", "mamba1", "mamba3"])
def test_a_later_point_changes_nothing_before_it(mixer):
    model = backbone(mixer=mixer)
    features, offsets = points([150])
    changed = features.clone()
    changed[100] += 0.3
    first, second = model(features, offsets), model(changed, offsets)
    assert torch.equal(first[:100], second[:100])
    assert (first[100:] - second[100:]).abs().amax((1, 2)).min() > 0


def test_the_bidirectional_backbone_sees_later_points_of_the_event_and_no_other_event():
    model = backbone(mixer="bidirectional")
    features, offsets = points([150, 30])
    changed = features.clone()
    changed[100] += 0.3
    moved = (model(features, offsets) - model(changed, offsets)).abs().amax((1, 2))
    assert moved[:150].min() > 0
    assert moved[150:].max() < 1e-5  # decays are summed over a chunk, which rounds them
    with pytest.raises(ValueError, match="must be even"):
        Fm4nppModel(width=80, mixer="bidirectional", head_size=32)


@pytest.mark.parametrize("mixer", ["mamba3", "bidirectional"])
def test_further_mixers_give_an_event_the_same_alone_and_in_any_batch(mixer):
    lengths = [40, 1, 200, 63, 65]
    features, offsets = points(lengths)
    model = backbone(mixer=mixer)
    alone = [model(part, torch.tensor([0, len(part)])) for part in features.split(lengths)]
    torch.testing.assert_close(model(features, offsets), torch.cat(alone), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("task", [None, "track", "pid+noise"])
def test_an_event_gives_the_same_alone_and_in_any_batch(task):
    lengths = [40, 1, 200, 63, 65]
    features, offsets = points(lengths)
    model = backbone()
    if task is None:
        run = lambda f, o: [model(f, o)]  # noqa: E731
    else:
        torch.manual_seed(1)
        head = make_adapter(adapter(task, model={"width": 64, "depth": 3, "dropout": 0.0})).eval()

        def run(f, o):
            out = head(model.branches(f, o), o)
            return list(out.values()) if task != "track" else [torch.cat(out[-1].masks, dim=1).t(), out[-1].classes]

    together = run(features, offsets)
    for event in range(len(lengths)):
        part = slice(int(offsets[event]), int(offsets[event + 1]))
        alone = run(features[part], torch.tensor([0, lengths[event]]))
        for whole, own in zip(together, alone, strict=True):
            expected = whole[event : event + 1] if whole.dim() == 3 and task == "track" else whole[part]
            torch.testing.assert_close(own, expected, rtol=1e-4, atol=1e-4)


def test_activation_checkpointing_changes_no_gradient():
    features, offsets = points([90, 30])
    grads = []
    for on in (False, True):
        model = backbone()
        model.set_activation_checkpointing(on)
        model(features, offsets).square().sum().backward()
        grads.append([p.grad for p in model.parameters() if p.requires_grad])
    for plain, recomputed in zip(*grads, strict=True):
        torch.testing.assert_close(plain, recomputed, rtol=1e-5, atol=1e-6)


def test_only_batches_above_the_limit_are_recomputed(monkeypatch):
    from tpcfm.models.fm4npp import backbone as module

    seen = []
    monkeypatch.setattr(module, "checkpoint", lambda block, x, where, **_: seen.append(where.n_rows) or block(x, where))
    model = backbone()
    model.set_activation_checkpointing(True, above=100)
    for lengths in ([90], [90, 30]):
        model(*points(lengths))
    assert set(seen) == {120}
    with torch.no_grad():
        model(*points([90, 30]))
    assert len(seen) == len(model.blocks)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["track", "pid"])
def test_a_very_long_event_passes_in_bounded_memory(task):
    import resource

    features, offsets = points([20_000])
    model = Fm4npp(Fm4nppModel(width=256, dropout=0.0), 30).eval()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with torch.no_grad():
        branches = model.branches(features, offsets).half()
        out = make_adapter(adapter(task, 256)).eval()(branches, offsets)
    labels = assign_points(out[-1]) if task == "track" else out[task].argmax(1)
    assert labels.shape == (20_000,)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20 < 2.0  # GiB; a full matrix alone has 6


@pytest.mark.slow
@pytest.mark.parametrize("task", ["track", "pid"])
def test_training_on_a_very_long_event_needs_memory_in_proportion_to_its_points(task):
    import resource

    features, offsets = points([20_000])
    info = StepInfo(0, 0, 0, True)
    batch = {
        "features": features,
        "offsets": offsets,
        "track": torch.arange(20_000) % 2000,
        "pid": torch.zeros(20_000, dtype=torch.int64),
    }
    loss = SetMatching("features", "track") if task == "track" else PointClasses("features", {"pid": 1.0})
    model = make_adapter(adapter(task, 256, start="none")).train()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sum(loss.sums(model, batch, info).values()).backward()
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20 < 2.0  # GiB; found: 1.2 and 0.7


def test_decoding_takes_track_queries_only():
    classes = torch.tensor([[[0.0, 3.0], [2.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]])
    masks = [torch.tensor([[5.0, -5.0, 0.0], [9.0, 9.0, 9.0], [-5.0, 5.0, 0.0]]), torch.ones(3, 2)]
    assert assign_points(TrackSet(classes, masks)).tolist() == [0, 2, 0, -1, -1]


def test_published_layout_round_trip_and_fused_mixers():
    model = backbone()
    state = model.state_dict()
    released = to_released(state)
    assert "embedder.embed.projection" in released
    assert "mamba_layers.2.1.lin_B.weight" in released
    fused = {k: v for k, v in released.items() if not re.match(r"mamba_layers\.\d+\.1\.", k)}
    for i in range(3):
        prefix = f"mamba_layers.{i}.1."
        own = {k.removeprefix(prefix): v for k, v in released.items() if k.startswith(prefix)}
        fused |= {prefix + k: v for k, v in to_fused(own).items()}
    for layout in (released, fused, {f"module.{k}": v for k, v in released.items()}):
        back = from_released(unwrap({"state_dict": layout, "epoch": 3}))
        assert back.keys() == state.keys()
        assert all(torch.equal(back[k], state[k]) for k in state)
    config, slots = infer_config(state)
    assert (config.width, config.depth, config.head_size, config.state_divisor, slots) == (64, 3, 64, 16, 5)
    with pytest.raises(CheckpointError, match="not of the published"):
        from_released({"transformer.weight": torch.zeros(1)})
    with pytest.raises(CheckpointError, match="incomplete"):
        infer_config({"norm.weight": torch.zeros(64)})


def test_every_parameter_has_its_place_in_the_parameterization():
    model = backbone(width=128)
    roles = {role(name) for name, _ in model.named_parameters()}
    assert roles == {"embedding", "matrix", "state_in", "state_out", "vector", "head"}
    scale = multipliers(width_ratio(Fm4nppModel(width=512)))
    expected = {"embedding": 1, "matrix": 0.5, "state_in": 2**0.5, "state_out": 0.5 / 2**0.5}
    assert scale == pytest.approx({**expected, "state_gain": 0.5, "vector": 1, "head": 0.5})
    assert set(multipliers(width_ratio(Fm4nppModel(width=256))).values()) == {1.0}
    for group in model.parameter_groups(0.1):
        assert group["lr_scale"] * group["weight_decay"] == pytest.approx(0.1)


def test_mamba3_carries_the_factor_of_the_state_in_gain_and_bias_of_c():
    model = backbone(width=128, mixer="mamba3")  # half of the base width and state
    named = dict(model.named_parameters())
    assert {n.partition("mixer.")[2] for n in named if role(n) == "state_gain"} == {"C_norm.weight", "C_bias"}
    assert {role(n) for n in named if "_proj" in n} == {"matrix"}
    assert all((value == 2).all() for n, value in named.items() if role(n) == "state_gain")
    assert (named["blocks.0.mixer.B_bias"] == 1).all()
    assert {g["name"]: g["lr_scale"] for g in model.parameter_groups(0.1)}["state_gain"] == 2
