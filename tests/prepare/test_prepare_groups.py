"""Guarantees of the tokenizer: groups equal their twins, cover what they say, and depend on nothing but the points."""

import numpy as np
import pytest

import tokenizer_twins as twins
from event_tables import PILARNET
from tpcfm.prepare.groups.grouping import group
from tpcfm.prepare.groups.settings import TokenizerConfig
from tpcfm.prepare.groups.tokenizer import cut, tokenize

METHODS = ["cnms", "fps_cnms", "fps_ball", "fps_knn"]


def config(method="cnms", **changes):
    return TokenizerConfig(method=method, **{"seeds": 60, **changes})


def members(groups):
    return np.split(groups.member, groups.offset[1:-1])


@pytest.mark.parametrize("kind", [np.int16, np.float32])
@pytest.mark.parametrize("cap", [4, 32])
def test_cnms_groups_equal_their_twins(kind, cap):
    points = twins.lattice_event(500, 1).astype(kind)
    groups = group(points, config(max_points=cap))
    centres = twins.cnms(points.astype(np.int64), 5.0, 0.73)
    np.testing.assert_array_equal(groups.centre, centres)
    balls = twins.balls(points.astype(np.int64), centres, 5.0)
    np.testing.assert_array_equal(groups.size, [len(ball) for ball in balls])
    for found, centre, ball in zip(members(groups), centres, balls, strict=True):
        np.testing.assert_array_equal(found, twins.reduced(points.astype(np.int64), centre, ball, cap))


def test_seeded_and_sampled_methods_equal_their_twins():
    points = twins.lattice_event(500, 2)
    order = twins.lexicographic(points)
    seeds = order[twins.fps(points[order], 60, 0)]
    np.testing.assert_array_equal(group(points, config("fps_cnms")).centre, seeds[twins.cnms(points[seeds], 5.0, 0.73)])
    centres = order[twins.fps(points[order], 32, 0)]  # 500 / 16, rounded up
    ball = group(points, config("fps_ball"))
    np.testing.assert_array_equal(ball.centre, centres)
    np.testing.assert_array_equal(ball.size, [len(found) for found in twins.balls(points, centres, 5.0)])
    knn = group(points, config("fps_knn", max_points=8))
    np.testing.assert_array_equal(knn.centre, centres)
    rank = np.argsort(order)
    for found, centre in zip(members(knn), centres, strict=True):
        assert set(found) == set(np.lexsort((rank, twins.squared(points)[centre]))[:8])


@pytest.mark.parametrize("method", METHODS)
def test_counts_say_what_the_groups_hold(method):
    points = twins.lattice_event(700, 3)
    groups = group(points, config(method, max_points=6, radius=4.0))
    held = np.zeros(len(points), int)
    for found in members(groups):
        assert len(found) <= 6
        held[found] += 1
    np.testing.assert_array_equal(groups.kept, held)
    assert groups.size.sum() == groups.covered.sum()
    assert groups.n_missed + groups.n_capped == (held == 0).sum()
    assert groups.duplicated(capped=True) == (held >= 2).sum()
    assert (groups.covered >= groups.kept).all()


@pytest.mark.parametrize("method", METHODS)
def test_storage_order_and_translation_change_nothing(method):
    points = twins.lattice_event(600, 4)
    shuffle = np.random.default_rng(0).permutation(len(points))
    first, second = (
        group(points, config(method, max_points=8)),
        group(points[shuffle] + [100, 3, 50], config(method, max_points=8)),
    )
    np.testing.assert_array_equal(points[first.centre] + [100, 3, 50], points[shuffle][second.centre] + [100, 3, 50])
    np.testing.assert_array_equal(first.offset, second.offset)
    np.testing.assert_array_equal(first.member, shuffle[second.member])


@pytest.mark.parametrize("method", ["cnms", "fps_cnms", "fps_ball"])
def test_every_point_in_reach_of_a_centre_is_grouped_and_relative_positions_stay_below_one(method):
    points = twins.lattice_event(600, 5)
    groups = group(points, config(method, max_points=10_000))
    near = (twins.squared(points)[:, groups.centre] < 25).any(axis=1)
    np.testing.assert_array_equal(groups.kept > 0, near)
    assert groups.n_capped == 0
    owner = np.repeat(groups.centre, np.diff(groups.offset))
    assert (np.linalg.norm((points[groups.member] - points[owner]) / 5.0, axis=1) < 1).all()


def test_the_centre_is_always_kept_by_the_cap():
    points = twins.lattice_event(800, 6, extent=25)
    groups = group(points, config(max_points=3))
    assert groups.size.max() > 3
    for centre, found in zip(groups.centre, members(groups), strict=True):
        assert centre in found


def test_fewer_tokens_keep_the_most_central_and_count_the_rest():
    points = twins.lattice_event(600, 7)
    full, few = group(points, config()), group(points, config(max_tokens=5))
    np.testing.assert_array_equal(few.centre, full.centre[:5])
    assert few.n_cut == len(full.centre) - 5


def test_one_point_and_no_point():
    assert group(np.array([[5, 5, 5]]), config()).member.tolist() == [0]
    empty = group(np.zeros((0, 3), np.int16), config())
    assert (len(empty.centre), empty.offset.tolist(), empty.n_missed) == (0, [0], 0)


def test_cuts_drop_low_energy_deposits_and_the_threshold_itself():
    event = {axis: np.arange(4, dtype=np.int16) for axis in "xyz"}
    event["energy"] = np.array([0.13, 0.14, 5.0, 1.0], np.float32)
    event["semantic"] = np.array([0, 1, 4, 3], np.int8)
    kept = cut(event, PILARNET, TokenizerConfig(energy_threshold=float(np.float32(0.13))))
    assert kept.xyz[:, 0].tolist() == kept.rows.tolist() == [1, 3]
    assert cut({**event, "semantic": None}, PILARNET).rows.tolist() == [1, 2, 3]  # unlabelled: only the threshold


def test_scatter_is_what_lies_in_no_cluster():
    """A track with its voxels side by side stays whole; single points and a pair far from it go, labelled or not."""
    track = np.stack([np.arange(100, 160), np.full(60, 300), np.full(60, 300)], axis=1)
    scatter = np.array([[50, 50, 50], [200, 700, 20], [200, 701, 20]])
    xyz = np.concatenate([scatter, track]).astype(np.int16)
    event = dict(zip("xyz", xyz.T, strict=True)) | {"energy": np.ones(63, np.float32), "semantic": None}
    assert len(cut(event, PILARNET).rows) == 63
    assert cut(event, PILARNET, TokenizerConfig(scatter="dbscan")).rows.tolist() == list(range(3, 63))
    assert not len(cut(event, PILARNET, TokenizerConfig(scatter="dbscan", energy_threshold=2.0)).rows)


def test_scatter_of_the_real_event_is_its_low_energy_deposits():
    raw = twins.real_event()
    unlabelled, low = {**raw, "semantic": None}, raw["semantic"] == 4
    kept = np.zeros(len(low), bool)
    kept[cut(unlabelled, PILARNET, TokenizerConfig(scatter="dbscan")).rows] = True
    above = raw["energy"] > 0.13
    assert kept[above & low].mean() < 0.5
    assert kept[above & ~low].mean() > 0.95


@pytest.mark.parametrize("overlap", [0.72, 0.73])
def test_the_real_event_gives_the_known_points_and_groups(overlap):
    raw = twins.real_event()
    event = cut(raw, PILARNET)
    assert len(event.xyz) == 1141
    assert np.bincount(raw["semantic"][event.rows]).tolist() == [39, 964, 18, 120]
    groups = tokenize(event, TokenizerConfig(overlap=overlap))
    assert 94 <= len(groups.centre) <= 98
    np.testing.assert_array_equal(groups.centre, twins.cnms(event.xyz, 5.0, overlap))
