"""Guarantees that the liquid-argon simulation stays near the published aggregates and near the real event at hand."""

import os
from pathlib import Path

import numpy as np
import pytest

from tpcfm.errors import DataError
from tpcfm.report.published.calibration.figure import calibrate
from tpcfm.report.published.calibration.lartpc import aggregates, group_sizes, simulate_events
from tpcfm.report.published.calibration.tracks import compare_tracks
from tpcfm.simulate.lartpc import simulate_file

DATA = os.environ.get("TPCFM_TEST_DATA")


@pytest.mark.slow
def test_aggregates_are_near_the_published_ones() -> None:
    table = aggregates(simulate_events(800, 7)).set_index("quantity")
    # Half-widths: three standard errors of 800 events plus what the calibration leaves, relative.
    for quantity, tolerance in (
        ("points per event", 0.12),
        ("trajectories per event", 0.12),
        ("shower share (%)", 0.12),
        ("track share (%)", 0.12),
        ("Michel share (%)", 0.25),
        ("delta share (%)", 0.25),
        ("low-energy share of all (%)", 0.15),
        ("events with 1,024 points after the cuts (%)", 0.05),
    ):
        row = table.loc[quantity]
        assert row.simulated == pytest.approx(row.published, rel=tolerance), quantity


def test_groups_hold_every_kept_point() -> None:
    for event in simulate_events(5, 3):
        kept = ((event.point_semantic != 4) & (event.energy > 0.13)).sum()
        sizes = group_sizes(event)
        assert sizes.min(initial=1) >= 1
        assert sizes.sum() >= 0.9 * kept


def test_report_prints_both_columns_and_draws(tmp_path) -> None:
    text = calibrate(12, 1, figure=tmp_path / "figure.png")
    assert "trajectories per event" in text
    assert "23.35" in text
    assert (tmp_path / "figure.png").stat().st_size > 10_000


@pytest.mark.skipif(not DATA, reason="TPCFM_TEST_DATA names no folder with the real PILArNet-M event")
def test_muon_tracks_look_like_the_real_ones() -> None:
    found = list(Path(str(DATA)).rglob("generic_v2_1_v2.h5"))
    if not found:
        pytest.skip(f"no generic_v2_1_v2.h5 under {DATA}")
    table = compare_tracks(found[0], 1).table.set_index("quantity")
    for quantity, tolerance in (
        ("energy per voxel (MeV)", 0.05),
        ("dE/dx over 3 cm (MeV/cm)", 0.06),
        ("voxels within 5 voxels", 0.06),
        ("voxels per voxel of length", 0.05),
    ):
        row = table.loc[quantity]
        assert row["mean sim"] == pytest.approx(row["mean real"], rel=tolerance), quantity
        assert row["median sim"] == pytest.approx(row["median real"], rel=tolerance), quantity
        assert row["n real"] == 1 or row["KS distance"] < 0.15


def test_a_file_without_long_muons_or_of_another_layout_is_refused(tmp_path) -> None:
    other = tmp_path / "other.h5"
    other.write_bytes(b"not HDF5")
    with pytest.raises(DataError, match=r"other\.h5: not a PILArNet-M file"):
        compare_tracks(other, 0)
    simulate_file(tmp_path / "v1.h5", 2, 0, revision="v1")
    with pytest.raises(DataError, match=r"v1\.h5"):
        compare_tracks(tmp_path / "v1.h5", 0)


def test_simulated_file_compares_with_itself(tmp_path) -> None:
    simulate_file(tmp_path / "v2.h5", 20, 0)
    comparison = compare_tracks(tmp_path / "v2.h5", 1)
    row = comparison.table.set_index("quantity").loc["energy per voxel (MeV)"]
    assert row["mean sim"] == pytest.approx(row["mean real"], rel=0.06)
    assert np.isfinite(comparison.simulated.energy).all()
