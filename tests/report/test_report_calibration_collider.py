"""Guarantees that the simulated collisions stay near the published aggregates, and that the comparison prints and draws."""

from pathlib import Path

import numpy as np
import pytest

from tpcfm.report.published.calibration.collider import Row, aggregates, calibrate, draw, table
from tpcfm.simulate.collider.event import Event
from tpcfm.simulate.collider.files import simulate_events


def _check(rows: list[Row]) -> None:
    found = {row.name: row for row in rows}
    assert 700 < found["points per event"].ours < 1050
    assert 12.5 < found["tracks per event of at most 3200"].ours < 18.5
    assert found["share of events above 3200 points"].ours < 0.04
    for name, width in [("other", 0.04), ("pion", 0.07), ("kaon", 0.02), ("proton", 0.03), ("electron", 0.09)]:
        row = found[f"share of points: {name}"]
        assert row.ours == pytest.approx(row.published, abs=width)
    assert found["share of points: noise"].ours == pytest.approx(0.1125, abs=0.05)
    assert found["energy, mean"].ours == pytest.approx(253.1, rel=0.08)
    assert found["energy, standard deviation"].ours == pytest.approx(268.7, rel=0.15)
    assert found["energy, smallest"].ours >= 22.9
    assert found["energy, largest"].ours <= 6300.0


@pytest.fixture(scope="module")
def gun() -> list[Event]:
    return list(simulate_events("gun", 1, 0, 800))


def test_the_particle_gun_is_near_the_published_aggregates(gun: list[Event]) -> None:
    _check(aggregates(gun))


@pytest.mark.slow
def test_pythia_is_near_the_published_aggregates() -> None:
    pytest.importorskip("pythia8mc", reason="Pythia 8 is not installed")
    _check(aggregates(list(simulate_events("pythia", 1, 0, 800))))


def test_shares_are_those_of_the_points_and_errors_shrink_with_events(gun: list[Event]) -> None:
    rows = {row.name: row for row in aggregates(gun)}
    pid = np.concatenate([event.pid for event in gun])
    assert rows["share of points: pion"].ours == pytest.approx((pid == 1).mean())
    energy = np.concatenate([event.points[:, 0] for event in gun]).astype(np.float64)
    assert rows["energy, standard deviation"].ours == pytest.approx(energy.std())
    few = {row.name: row for row in aggregates(gun[:200])}
    assert 1.4 < few["points per event"].error / rows["points per event"].error < 2.8


def test_the_table_has_a_line_per_aggregate_and_the_figure_is_written(gun: list[Event], tmp_path: Path) -> None:
    rows = aggregates(gun)
    lines = table(rows).splitlines()
    assert len(lines) == len(rows) + 1
    assert all(row.name in line for row, line in zip(rows, lines[1:]))
    draw(gun, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes()[:4] == b"\x89PNG"
    assert "points per event" in calibrate("gun", 20, 3)
