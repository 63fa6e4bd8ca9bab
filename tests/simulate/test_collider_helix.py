"""Guarantees that a track between two cylinders follows an exact helix: closed forms, brute force, conserved momentum."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tpcfm.simulate.collider.apparatus import PT_PER_RADIUS
from tpcfm.simulate.collider.helix import advance, kick, next_edge, turning


def test_bending_radius_and_sense() -> None:
    radius, sense = turning(0.3, 0.4, 1)
    assert radius == pytest.approx(0.5 / PT_PER_RADIUS)
    assert sense == -1.0  # field along +z: positive charges turn clockwise
    assert turning(0.3, 0.4, -1)[1] == 1.0


@pytest.mark.parametrize("charge", [-1, 1])
@pytest.mark.parametrize("pt", [0.2, 0.5, 3.0])
def test_track_from_the_origin_crosses_a_cylinder_at_the_closed_form(pt: float, charge: int) -> None:
    radius, sense = turning(pt, 0.0, charge)
    rho, pz = 31.4, 0.7 * pt
    angle, side = next_edge(0.0, 0.0, pt, 0.0, radius, sense, 0.0, rho)
    assert side == 1
    assert angle == pytest.approx(2.0 * math.asin(rho / (2.0 * radius)))
    x, y, z, px, py = advance(0.0, 0.0, 3.0, pt, 0.0, pz, radius, sense, angle)
    assert math.hypot(x, y) == pytest.approx(rho)
    assert z == pytest.approx(3.0 + radius * angle * pz / pt)
    assert math.atan2(y, x) == pytest.approx(sense * angle / 2)
    assert math.hypot(px, py) == pytest.approx(pt)


def test_a_track_that_cannot_reach_the_outer_cylinder_turns_back() -> None:
    radius, sense = turning(0.1, 0.0, 1)  # diameter 47.6 cm
    x, y, z, px, py = advance(0.0, 0.0, 0.0, 0.1, 0.0, 0.0, radius, sense, 2.0 * math.asin(40.0 / (2 * radius)))
    angle, side = next_edge(x, y, px, py, radius, sense, 40.0, 60.0)
    assert side == -1
    x, y, z, px, py = advance(x, y, z, px, py, 0.0, radius, sense, angle)
    assert math.hypot(x, y) == pytest.approx(40.0)
    assert x * px + y * py < 0.0


def test_a_small_circle_inside_a_bin_reaches_no_cylinder() -> None:
    radius, sense = turning(0.004, 0.0, -1)
    assert next_edge(50.0, 0.0, 0.004, 0.0, radius, sense, 45.0, 55.0) == (2.0 * math.pi, 0)


@settings(max_examples=300, deadline=None)
@given(
    inner=st.floats(1.0, 60.0),
    width=st.floats(0.5, 20.0),
    place=st.floats(0.05, 0.95),
    pt=st.floats(0.005, 5.0),
    direction=st.floats(-math.pi, math.pi),
    charge=st.sampled_from([-1, 1]),
)
def test_next_edge_agrees_with_small_steps(
    inner: float, width: float, place: float, pt: float, direction: float, charge: int
) -> None:
    outer = inner + width
    x, y = inner + place * width, 0.0
    px, py = pt * math.cos(direction), pt * math.sin(direction)
    radius, sense = turning(px, py, charge)
    angle, side = next_edge(x, y, px, py, radius, sense, inner, outer)

    end = min(2.0 * math.pi, 400.0 / radius)
    turned = np.linspace(0.0, end, 200_001)
    cx, cy = x - sense * radius * py / pt, y + sense * radius * px / pt
    start = math.atan2(y - cy, x - cx)
    rho = np.hypot(cx + radius * np.cos(start + sense * turned), cy + radius * np.sin(start + sense * turned))
    margin = 1e-6 + 2.0 * radius * (end / 200_000) ** 2  # a graze between two steps is not decided
    if rho.max() < outer - margin and rho.min() > inner + margin:
        assert side == 0
        return
    beyond = np.flatnonzero((rho > outer + margin) | (rho < inner - margin))
    if beyond.size == 0:
        return
    expected = 1 if rho[beyond[0]] > outer else -1
    assert side == expected
    crossed = np.hypot(*advance(x, y, 0.0, px, py, 0.0, radius, sense, angle)[:2])
    assert crossed == pytest.approx(outer if side == 1 else inner, abs=1e-6)
    assert angle <= turned[beyond[0]] + 1e-9


def test_a_full_turn_returns_in_the_plane_and_advances_along_the_field() -> None:
    radius, sense = turning(0.03, 0.04, 1)
    x, y, z, px, py = advance(10.0, -4.0, 1.0, 0.03, 0.04, 0.02, radius, sense, 2.0 * math.pi)
    assert (x, y, px, py) == pytest.approx((10.0, -4.0, 0.03, 0.04))
    assert z == pytest.approx(1.0 + 2.0 * math.pi * radius * 0.02 / 0.05)


def test_a_kick_keeps_the_momentum_and_turns_by_its_angles() -> None:
    p = np.array([0.3, -0.2, 0.5])
    q = np.array(kick(*p, 1e-3, -2e-3))
    assert np.linalg.norm(q) == pytest.approx(np.linalg.norm(p))
    angle = math.acos(p @ q / (np.linalg.norm(p) * np.linalg.norm(q)))
    assert angle == pytest.approx(math.hypot(1e-3, 2e-3), rel=1e-3)
