"""PoLAr-MAE networks: published parameter counts, batch invariance, rotation, gradients, golden losses."""

import numpy as np
import pytest
import torch

from tpcfm.models.polar_mae.autoencoder import PolarMAE, make_masked_autoencoder
from tpcfm.models.polar_mae.parameters import parameter_table
from tpcfm.models.polar_mae.point_mae import PointMAE
from tpcfm.models.polar_mae.segmentation import SegmentationModel
from tpcfm.models.polar_mae.settings import PolarMaeModel
from tpcfm.models.polar_mae.tokens import Tokens
from tpcfm.nn.packed import Packing

MODEL = PolarMaeModel(width=24, depth=3, heads=2, decoder_depth=2, embed_hidden=8)
SLOTS = 6


def make_tokens(lengths: tuple[int, ...] = (9, 5, 12), seed: int = 0) -> Tokens:
    """Random groups of one to six points; empty slots hold zeros."""
    generator = torch.Generator().manual_seed(seed)
    total = sum(lengths)
    counts = torch.randint(1, SLOTS + 1, (total, 1), generator=generator)
    valid = torch.arange(SLOTS)[None] < counts
    points = torch.randn(total, SLOTS, 4, generator=generator) * valid[..., None] / 2
    centre = torch.rand(total, 3, generator=generator) - 0.5
    return Tokens(Packing(lengths, torch.device("cpu")), centre, points, valid)


def event_of(tokens: Tokens, event: int) -> Tokens:
    """One event of a batch, as a batch of its own."""
    start = sum(tokens.packing.lengths[:event])
    rows = slice(start, start + tokens.packing.lengths[event])
    packing = Packing((tokens.packing.lengths[event],), torch.device("cpu"))
    return Tokens(packing, tokens.centre[rows], tokens.points[rows], tokens.valid[rows])


def mask_of(tokens: Tokens) -> torch.Tensor:
    """Every token masked but each third."""
    return torch.arange(tokens.packing.total) % 3 != 0


@pytest.fixture
def model() -> PolarMAE:
    torch.manual_seed(0)
    return PolarMAE(MODEL, SLOTS)


@pytest.mark.parametrize("row", parameter_table(), ids=lambda row: row["part"])
def test_parameter_counts_are_the_published_ones(row: dict) -> None:
    assert row["ours"] == row["published"]


def test_event_alone_or_packed_gives_the_same_reconstruction(model: PolarMAE) -> None:
    tokens, model = make_tokens(), model.eval()
    mask = mask_of(tokens)
    packed = model(tokens, mask)
    start = 9
    alone = model(event_of(tokens, 1), mask[start : start + 5])
    first = int(mask[:start].sum())
    rows = slice(first, first + int(mask[start : start + 5].sum()))
    torch.testing.assert_close(alone.points, packed.points[rows], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(alone.energy, packed.energy[rows], atol=1e-5, rtol=1e-5)


def test_content_of_masked_tokens_does_not_reach_the_points_head(model: PolarMAE) -> None:
    tokens, model = make_tokens(), model.eval()
    mask = mask_of(tokens)
    changed = Tokens(tokens.packing, tokens.centre, torch.where(mask[:, None, None], 7.0, tokens.points), tokens.valid)
    assert torch.equal(model(changed, mask).points, model(tokens, mask).points)


def test_energy_head_sees_positions_but_no_energies_of_masked_points(model: PolarMAE) -> None:
    tokens, model = make_tokens(), model.eval()
    mask = mask_of(tokens)
    energy, position = tokens.points.clone(), tokens.points.clone()
    energy[mask, :, 3] += 3
    position[mask, :, 0] += 3
    want = model(tokens, mask).energy
    assert torch.equal(model(Tokens(tokens.packing, tokens.centre, energy, tokens.valid), mask).energy, want)
    other = model(Tokens(tokens.packing, tokens.centre, position, tokens.valid), mask).energy
    assert not torch.allclose(other, want, atol=1e-3)


def test_token_order_within_an_event_only_permutes_the_encoding(model: PolarMAE) -> None:
    tokens, encoder = make_tokens((8,)), model.encoder.eval()
    order = torch.randperm(8, generator=torch.Generator().manual_seed(1))
    swapped = Tokens(tokens.packing, tokens.centre[order], tokens.points[order], tokens.valid[order])
    torch.testing.assert_close(encoder(swapped)[0], encoder(tokens)[0][order], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("preset", ["paper", "released"])
def test_gradient_reaches_every_parameter(preset: str) -> None:
    torch.manual_seed(0)
    model = PolarMAE(MODEL.model_copy(update={"preset": preset}), SLOTS)
    tokens = make_tokens()
    out = model(tokens, mask_of(tokens))
    (out.points.square().sum() + out.energy.square().sum()).backward()
    dead = [n for n, p in model.named_parameters() if p.grad is None or p.grad.abs().sum() == 0]
    assert dead == []


def test_stochastic_depth_of_an_event_does_not_touch_others(model: PolarMAE) -> None:
    tokens, model = make_tokens(), model.eval()
    mask = mask_of(tokens)
    factors = torch.ones(3, 2, 3)
    want = model(tokens, mask, factors).points
    torch.testing.assert_close(want, model(tokens, mask).points)
    factors[:, :, 2] = 0
    got = model(tokens, mask, factors).points
    kept = int(mask[:14].sum())
    torch.testing.assert_close(got[:kept], want[:kept])
    assert not torch.allclose(got[kept:], want[kept:], atol=1e-4)


def test_training_mode_without_attention_dropout_is_deterministic() -> None:
    model = PointMAE(MODEL.model_copy(update={"attention_dropout": 0.0}), SLOTS).train()
    tokens = make_tokens()
    assert torch.equal(model(tokens, mask_of(tokens)).points, model(tokens, mask_of(tokens)).points)


def test_evaluation_is_deterministic_in_spite_of_dropout(model: PolarMAE) -> None:
    tokens, model = make_tokens(), model.eval()
    assert torch.equal(model(tokens, mask_of(tokens)).energy, model(tokens, mask_of(tokens)).energy)


def test_activation_checkpointing_changes_no_gradient(model: PolarMAE) -> None:
    model = PolarMAE(MODEL.model_copy(update={"attention_dropout": 0.0}), SLOTS).train()
    tokens = make_tokens()
    grads = []
    for on in (False, True):
        model.set_activation_checkpointing(on)
        model.zero_grad()
        model(tokens, mask_of(tokens)).points.square().sum().backward()
        grads.append(model.encoder.transformer.blocks[0].attention.qkv.weight.grad.clone())
    torch.testing.assert_close(grads[0], grads[1])


def test_attention_maps_are_distributions_over_the_tokens_of_the_event(model: PolarMAE) -> None:
    maps = model.encoder.eval().attention_weights(make_tokens(), layer=1, event=2)
    assert maps.shape == (2, 12, 12)
    torch.testing.assert_close(maps.sum(-1), torch.ones(2, 12))


def segmentation_batch(lengths: tuple[int, ...] = (9, 5, 12), seed: int = 0) -> dict[str, torch.Tensor]:
    tokens = make_tokens(lengths, seed)
    generator = torch.Generator().manual_seed(seed)
    points = [3 * n for n in lengths]
    event = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(points))
    start = torch.tensor([0, *np.cumsum(lengths)])
    size = torch.tensor(lengths)[event][:, None]
    nearest = start[event][:, None] + torch.randint(0, 1000, (sum(points), 5), generator=generator) % size
    return {
        "token_offsets": start,
        "token_centre": tokens.centre,
        "token_points": tokens.points,
        "token_valid": tokens.valid,
        "nearest": nearest,
        "nearest_weight": torch.full((sum(points), 5), 0.2),
        "point_xyz": torch.rand(sum(points), 3, generator=generator) - 0.5,
        "point_event": event,
    }


def test_segmentation_of_an_event_alone_or_packed_is_the_same() -> None:
    torch.manual_seed(0)
    model, batch = SegmentationModel(MODEL, head_hidden=16), segmentation_batch()
    model(batch)  # gives the batch norms statistics
    model.eval()
    alone = event_of(make_tokens(), 1)
    mine = batch["point_event"] == 1
    single = {
        "token_offsets": torch.tensor([0, 5]),
        "token_centre": alone.centre,
        "token_points": alone.points,
        "token_valid": alone.valid,
        "nearest": batch["nearest"][mine] - 9,
        "nearest_weight": batch["nearest_weight"][mine],
        "point_xyz": batch["point_xyz"][mine],
        "point_event": torch.zeros(int(mine.sum()), dtype=torch.int64),
    }
    torch.testing.assert_close(model(single), model(batch)[mine], atol=1e-5, rtol=1e-5)


def test_frozen_encoder_stays_in_evaluation_and_without_gradient() -> None:
    torch.manual_seed(0)
    model = SegmentationModel(MODEL, frozen=True, head_hidden=16).train()
    assert not any(module.training for module in model.encoder.modules())
    before = {name: value.clone() for name, value in model.encoder.state_dict().items()}
    model(segmentation_batch()).square().sum().backward()
    assert all(p.grad is None for p in model.encoder.parameters())
    assert all(p.grad is not None for n, p in model.named_parameters() if not n.startswith("encoder."))
    assert all(torch.equal(value, before[name]) for name, value in model.encoder.state_dict().items())


def test_full_fine_tuning_reaches_the_encoder_up_to_the_last_used_block() -> None:
    torch.manual_seed(0)
    model = SegmentationModel(MODEL, head_hidden=16)
    model(segmentation_batch()).square().sum().backward()
    dead = [n for n, p in model.named_parameters() if p.grad is None or p.grad.abs().sum() == 0]
    assert dead == []


def test_hidden_states_of_the_paper() -> None:
    with torch.device("meta"):
        assert SegmentationModel(PolarMaeModel()).layers == (3, 7, 11)


def test_vit_base_width_builds() -> None:
    with torch.device("meta"):
        base = make_masked_autoencoder("point_mae", PolarMaeModel(width=768, heads=12))
    assert sum(p.numel() for p in base.encoder.transformer.parameters()) == 12 * 7_087_872


def test_hidden_widths_follow_the_width_and_are_the_papers_at_384() -> None:
    assert PolarMaeModel().pointnet_hidden == 128
    assert PolarMaeModel(width=48, heads=3).pointnet_hidden == 16
    assert PolarMaeModel(width=48, heads=3, embed_hidden=20).pointnet_hidden == 20
    with torch.device("meta"):
        assert SegmentationModel(PolarMaeModel()).head.conv1.out_features == 512
        assert SegmentationModel(PolarMaeModel(width=48, heads=3)).head.conv1.out_features == 64
