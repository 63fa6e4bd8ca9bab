"""Caps and reductions of the released tokenizer equal plain twins, and with caps nobody reaches nothing changes."""

from fractions import Fraction

import numpy as np
import pytest

import tokenizer_twins as twins
from tpcfm.errors import ConfigError
from tpcfm.prepare.groups.grouping import group
from tpcfm.prepare.groups.settings import TokenizerConfig
from tpcfm.prepare.groups.suppression import suppress


def capped_cnms(points, radius, overlap, cap):
    near = twins.closer(points, 2 * Fraction(repr(overlap)) * Fraction(repr(radius)))
    order = twins.lexicographic(points)
    rank = np.argsort(order)
    alive, centres = np.ones(len(points), bool), []
    for i in sorted(range(len(points)), key=lambda i: (-min(near[i].sum(), cap), rank[i])):
        if alive[i]:
            centres.append(i)
            alive[order[near[i][order]][:cap]] = False
    return np.array(centres)


def members(groups):
    return np.split(groups.member, groups.offset[1:-1])


@pytest.mark.parametrize("cap", [8, 40])
def test_capped_neighbour_lists_equal_their_twin(cap):
    points = twins.lattice_event(500, 11)
    found = suppress(points, 5.0, 0.73, cap)
    np.testing.assert_array_equal(found, capped_cnms(points, 5.0, 0.73, cap))
    assert len(found) > len(suppress(points, 5.0, 0.73))  # fewer are removed


def test_caps_that_nobody_reaches_change_nothing():
    points = twins.lattice_event(500, 12)
    plain = group(points, TokenizerConfig())
    capped = group(points, TokenizerConfig(neighbour_cap=10_000, ball_cap=10_000))
    for name in ("centre", "offset", "member", "size", "covered", "kept"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(capped, name))


def test_ball_cap_keeps_the_first_members_and_the_centre():
    points = twins.lattice_event(600, 13)
    groups = group(points, TokenizerConfig(ball_cap=6, max_points=6))
    plain = group(points, TokenizerConfig())
    np.testing.assert_array_equal(groups.size, plain.size)  # sizes are those before every cap
    balls = twins.balls(points, groups.centre, 5.0)
    assert max(len(ball) for ball in balls) > 6
    for found, centre, ball in zip(members(groups), groups.centre, balls, strict=True):
        assert centre in found
        assert set(found) - {centre} <= set(ball[:6])
        assert len(found) == min(6, len(ball))


def test_reduction_by_energy_keeps_the_largest():
    points = twins.lattice_event(600, 14)
    energy = np.random.default_rng(0).choice([0.2, 0.5, 1.5, 3.0], len(points)).astype(np.float32)
    groups = group(points, TokenizerConfig(max_points=5, reduction="energy"), energy)
    rank = np.argsort(twins.lexicographic(points))
    for found, ball in zip(members(groups), twins.balls(points, groups.centre, 5.0), strict=True):
        want = sorted(ball, key=lambda i: (-energy[i], rank[i]))[:5]
        assert sorted(found) == sorted(want)
        assert list(rank[found]) == sorted(rank[found])
    with pytest.raises(ConfigError, match="needs the energies"):
        group(points, TokenizerConfig(reduction="energy"))
