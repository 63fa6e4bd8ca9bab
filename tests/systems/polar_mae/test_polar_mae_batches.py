"""Batches of the PoLAr-MAE recipes: masks, rotations, interpolation weights and label subsets are right and keyed."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_tables import PILARNET
from polar_mae_toys import TOKENIZER, toy_batch, toy_cache
from tpcfm.prepare.groups.batches import collate_groups
from tpcfm.prepare.store import PreparedStore
from tpcfm.systems.polar_mae.batches import draw_mask, nearest_tokens, uniform_rotation
from tpcfm.systems.polar_mae.support import some_labelled


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PreparedStore:
    return toy_cache(Path(tmp_path_factory.mktemp("cache")))


def test_groups_of_neighbours_are_scaled_by_their_own_extent_and_balls_by_the_radius(store, tmp_path) -> None:
    """Neighbours reach beyond the ball radius; either way all members lie in the unit ball, and scaling is undone exactly."""
    knn = toy_cache(tmp_path / "knn", 4, tokenizer=TOKENIZER.model_copy(update={"method": "fps_knn", "max_points": 24}))
    for prepared, ball in ((store, True), (knn, False)):
        batch, plain = toy_batch(prepared, [0, 1]), collate_groups(prepared, [0, 1])
        valid, scale = batch["token_valid"], batch["token_scale"]
        distance = np.linalg.norm(batch["token_points"][..., :3], axis=2)
        assert distance[valid].max() <= 1 + 1e-6
        assert (scale == 5.0).all() if ball else (scale > 5.0).any() and np.allclose(distance.max(1), 1)
        absolute = batch["token_points"][..., :3] * scale[:, None, None] + plain["centre"][:, None]
        np.testing.assert_allclose(absolute[valid], plain["xyz"][plain["member"]][valid], atol=1e-3)


@pytest.mark.parametrize(("tokens", "masked"), [(1, 0), (2, 1), (5, 3), (400, 240)])
@pytest.mark.parametrize("masking", ["random", "block"])
def test_exactly_floor_of_the_ratio_is_masked(tokens: int, masked: int, masking: str) -> None:
    rng = np.random.default_rng(0)
    centre = rng.random((tokens, 3)).astype(np.float32)
    assert draw_mask(rng, centre, 0.6, masking).sum() == masked


@given(st.integers(1, 600), st.integers(1, 99))
def test_mask_count_is_exact_arithmetic(tokens: int, percent: int) -> None:
    centre = np.zeros((tokens, 3), np.float32)
    mask = draw_mask(np.random.default_rng(0), centre, percent / 100, "random")
    assert mask.sum() == tokens * percent // 100 < tokens


def test_block_mask_is_one_neighbourhood() -> None:
    centre = np.arange(30, dtype=np.float32)[:, None] * np.ones(3, np.float32)
    for seed in range(5):
        masked = np.flatnonzero(draw_mask(np.random.default_rng(seed), centre, 0.4, "block"))
        assert len(masked) == 12
        assert masked[-1] - masked[0] == 11


def test_random_mask_is_uniform_over_tokens() -> None:
    centre = np.zeros((5, 3), np.float32)
    share = np.mean([draw_mask(np.random.default_rng(s), centre, 0.6, "random") for s in range(2000)], axis=0)
    np.testing.assert_allclose(share, 0.6, atol=0.05)


def test_rotations_are_proper_and_uniform() -> None:
    matrices = np.stack([uniform_rotation(np.random.default_rng(s)) for s in range(3000)])
    np.testing.assert_allclose(matrices @ matrices.transpose(0, 2, 1), np.eye(3)[None].repeat(3000, 0), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(matrices), 1)
    # On SO(3) every entry has mean 0 and variance 1/3, and the trace has mean 0 and variance 1.
    np.testing.assert_allclose(matrices.mean(0), 0, atol=0.05)
    np.testing.assert_allclose((matrices**2).mean(0), 1 / 3, atol=0.03)
    assert np.trace(matrices, axis1=1, axis2=2).var() == pytest.approx(1, abs=0.1)


def test_rotation_keeps_lengths_energies_and_turns_everything_alike(store: PreparedStore) -> None:
    still = toy_batch(store, [0, 1], training=False, points=True)
    turned = toy_batch(store, [0, 1], training=True, points=True)
    for name in ("token_centre", "point_xyz"):
        np.testing.assert_allclose(np.linalg.norm(still[name], axis=1), np.linalg.norm(turned[name], axis=1), atol=1e-6)
    np.testing.assert_array_equal(still["token_points"][..., 3], turned["token_points"][..., 3])
    split = still["token_offsets"][1]
    matrix, *_ = np.linalg.lstsq(still["token_centre"][:split], turned["token_centre"][:split], rcond=None)
    assert np.abs(matrix - np.eye(3)).max() > 0.1
    relative = still["token_points"][:split, :, :3] @ matrix
    np.testing.assert_allclose(relative, turned["token_points"][:split, :, :3], atol=1e-4)
    points = still["point_event"] == 0
    np.testing.assert_allclose(still["point_xyz"][points] @ matrix, turned["point_xyz"][points], atol=1e-5)


def test_groups_lie_in_the_unit_ball(store: PreparedStore) -> None:
    batch = toy_batch(store, list(range(8)))
    assert np.linalg.norm(batch["token_points"][..., :3], axis=-1).max() < 1
    assert batch["token_valid"][:, 0].all()
    assert np.abs(batch["token_points"][~batch["token_valid"]]).max(initial=0) == 0


def test_draws_belong_to_the_event_not_to_the_batch(store: PreparedStore) -> None:
    options = {"training": True, "mask_ratio": 0.6, "drop_path": 0.3, "depth": 4, "decoder_depth": 2}
    alone, packed = toy_batch(store, [5], **options), toy_batch(store, [3, 5], **options)
    rows = slice(packed["token_offsets"][1], None)
    np.testing.assert_array_equal(alone["masked"], packed["masked"][rows])
    np.testing.assert_allclose(alone["token_points"], packed["token_points"][rows], atol=1e-6)
    for part in ("encoder", "decoder"):
        np.testing.assert_array_equal(alone[f"{part}_factors"][..., 0], packed[f"{part}_factors"][..., 1])
    assert not np.array_equal(packed["encoder_factors"][..., 0], packed["encoder_factors"][..., 1])


def test_stochastic_depth_keeps_the_expected_value() -> None:
    from tpcfm.nn.drop_path import drop_path_factors

    factors = drop_path_factors([np.random.default_rng(s) for s in range(4000)], 4, 0.25)
    assert factors is not None
    np.testing.assert_allclose(factors.mean(-1), 1, atol=0.03)
    np.testing.assert_allclose((factors == 0).mean(-1), np.linspace(0, 0.25, 4)[:, None].repeat(2, 1), atol=0.02)


def test_interpolation_takes_the_nearest_five_and_is_exact_on_a_centre() -> None:
    rng = np.random.default_rng(0)
    xyz, centre = rng.uniform(0, 99, (40, 3)).astype(np.float32), rng.uniform(0, 99, (12, 3)).astype(np.float32)
    xyz[0] = centre[3]
    found = nearest_tokens(xyz, np.array([0, 40]), centre, np.array([0, 12]), PILARNET.half_diagonal)
    square = ((xyz[:, None] - centre[None]) ** 2).sum(-1)
    np.testing.assert_array_equal(found["nearest"], np.argsort(square, axis=1)[:, :5])
    np.testing.assert_allclose(found["nearest_weight"].sum(1), 1, rtol=1e-5)
    assert found["nearest"][0, 0] == 3
    assert found["nearest_weight"][0, 0] > 0.99


def test_interpolation_with_fewer_than_five_tokens_uses_those_there_are() -> None:
    rng = np.random.default_rng(0)
    xyz, centre = rng.uniform(0, 9, (14, 3)).astype(np.float32), rng.uniform(0, 9, (5, 3)).astype(np.float32)
    found = nearest_tokens(xyz, np.array([0, 4, 14]), centre, np.array([0, 1, 5]), PILARNET.half_diagonal)
    assert (found["nearest"][:4] == 0).all()
    assert (found["nearest"][4:] >= 1).all()
    np.testing.assert_array_equal(found["nearest_weight"][:4], [[1, 0, 0, 0, 0]] * 4)
    np.testing.assert_array_equal(found["nearest_weight"][4:, 4], 0)


def test_label_subsets_are_nested_and_seeded(store: PreparedStore) -> None:
    rows = store.rows("train")
    small, large = (set(some_labelled(store, "semantic", n, 0).tolist()) for n in (3, 9))
    assert len(small) == 3
    assert small < large < set(rows.tolist())
    assert small != set(some_labelled(store, "semantic", 3, 1).tolist())
